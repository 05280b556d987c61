"""A whole copy of a registry, taken while writers write, and putting one back.

A backup is a model directory like any other, and beside it, written last, a manifest with the digest of every
file. A directory whose manifest is missing or wrong is no backup.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

from ai_engine.domain import clock
from ai_engine.domain.entities import Digest, ModelVersion, Place
from ai_engine.domain.errors import ArtifactCorruptedError, BackupError
from ai_engine.files.durable_io import make_directory, storage_errors, sync_directory, write_all
from ai_engine.registry import version_records
from ai_engine.registry.doctor import Doctor, Finding, Severity
from ai_engine.registry.model_loader import ModelLoader
from ai_engine.registry.stores import Stores
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores, model_directory

MANIFEST = "backup.json"
_DATABASE = "model_registry.db"
_ARTIFACTS = ".engine/artifacts/"
_WANTED = (_DATABASE, _ARTIFACTS)
_CHUNK = 8 * 1024 * 1024
# Versions may be dropped while their bytes are being copied; the copy of the catalogue is then taken anew.
_ATTEMPTS = 10

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Attributes
    ----------
    files : dict
        The SHA-256 of each file, in hexadecimal, by its path below the backup.
    size : int
        Bytes.
    """

    created_at: str
    catalogue_id: str
    versions: int
    size: int
    files: dict[str, str]


def back_up(settings: Settings, target: str, progress: Progress) -> Manifest:
    """Copy a registry into an empty directory while others may go on writing to it.

    Parameters
    ----------
    settings : Settings
        Of the registry.
    target : str
        A directory that does not exist or is empty.
    progress : callable
        Told how many versions are copied, and of how many.

    Raises
    ------
    BackupError
        If the target is not empty.
    ArtifactCorruptedError
        If the bytes of a version are damaged: a copy of damage is no backup.
    """
    target = _empty(target)
    stores = build_stores(settings, must_exist=True)
    copy_settings = Settings(model_dir=target)
    try:
        for _ in range(_ATTEMPTS):
            versions = _copy(stores, copy_settings, progress)
            if versions is not None:
                return _seal(copy_settings, stores.catalogue.catalogue_id, versions)
    finally:
        stores.catalogue.close()
    raise BackupError(f"versions were dropped {_ATTEMPTS} times while they were being copied; try again")


def _copy(stores: Stores, copy_settings: Settings, progress: Progress) -> int | None:
    """Copy the catalogue, then all that it names; None where a version was dropped meanwhile."""
    directory = model_directory(copy_settings)
    directory.make()
    database = f"{directory.path}/{_DATABASE}"
    if os.path.exists(database):
        os.unlink(database)
    stores.catalogue.copy_to(database)
    directory.assign(stores.catalogue.catalogue_id, database)
    copied = build_stores(copy_settings)
    reader = ModelLoader(stores, None)
    try:
        versions = _versions(copied)
        for done, version in enumerate(versions):
            progress(done, len(versions))
            try:
                _copy_artifact(copied, reader, version)
            except ArtifactCorruptedError:
                if version in _versions(stores):
                    raise
                return None
        if not _copy_rows(stores, copied):
            return None
        _settle(copied)
        progress(len(versions), len(versions))
    finally:
        copied.catalogue.close()
    return len(versions)


def _copy_artifact(copied: Stores, reader: ModelLoader, version: ModelVersion) -> None:
    place, digest = version.artifact.place, version.artifact.digest
    if place is Place.ROW or (digest is not None and copied.artifacts.has(digest)):
        return
    data = reader.reread(version)
    with copied.artifacts.create() as writer:
        writer.write(data)
        stored = writer.finish()
        if place is Place.PATH:  # the original's file may be anywhere; in the copy it is with the others
            artifact = replace(version.artifact, place=Place.STORE, digest=stored.digest, size=stored.size)
            with copied.catalogue.write() as work:
                work.set_artifact(version.model_id, artifact)


def _copy_rows(stores: Stores, copied: Stores) -> bool:
    """Copy the rows of the jobs that may yet be done; tell whether nobody has done one meanwhile."""
    with copied.catalogue.read() as snapshot:
        needed = snapshot.jobs.needed()
    for digest in needed:
        if copied.artifacts.has(digest):
            continue
        found = stores.artifacts.open(digest)
        if found is not None:
            with copied.artifacts.create() as writer:
                writer.write(found.view)
                writer.finish()
            continue
        with stores.catalogue.read() as snapshot:
            if not snapshot.jobs.needs(digest):
                return False
    return True


def restore(source: str, settings: Settings, progress: Progress) -> tuple[Manifest, list[Finding]]:
    """Put a backup into an empty model directory and examine all of it.

    Returns
    -------
    Manifest
        What was restored.
    list of Finding
        Damage that the examination found; empty where everything is as it was saved.

    Raises
    ------
    BackupError
        If the backup is not whole, or the model directory is not empty.
    """
    manifest = _checked(source, progress)
    directory = model_directory(settings)
    _empty(directory.path)
    stores = build_stores(settings)
    for name in manifest.files:
        _copy_file(f"{source}/{name}", _home(name, stores, directory.path))
    directory.assign(manifest.catalogue_id, stores.catalogue.location)
    try:
        _settle(stores)
        findings = Doctor(stores).examine(repair=True)
    finally:
        stores.catalogue.close()
    return manifest, [finding for finding in findings if finding.severity is Severity.DAMAGE]


def _home(name: str, stores: Stores, model_dir: str) -> str:
    """Return where a file of a backup goes."""
    if name == _DATABASE:
        return stores.catalogue.location
    if name.startswith(_ARTIFACTS):
        return f"{stores.artifacts.location}/{name.removeprefix(_ARTIFACTS)}"
    return f"{model_dir}/{name}"


def _settle(stores: Stores) -> None:
    """Write the files and records of a catalogue that has come to another directory."""
    for version in _versions(stores):
        path = stores.version_files.path(version.name, version.version, lambda _: True)
        with stores.catalogue.write() as work:
            work.relocate(version, path)
            work.forget_debris([item.path for item in work.debris(-1)])
            new = work.whole(version)
        digest = Digest(str(version.artifact.digest))
        with stores.catalogue.read() as snapshot:
            data = snapshot.blob(digest) if version.artifact.place is Place.ROW else None
        source = stores.artifacts.path(digest) if data is None else None
        with stores.version_files.stage(version.model_id, data) as staged:
            staged.publish(path, source, version_records.write(new, version.version))


def _versions(stores: Stores) -> list[ModelVersion]:
    with stores.catalogue.read() as snapshot:
        return snapshot.everything()


# -- the manifest --------------------------------------------------------------------------------------------


def _seal(settings: Settings, catalogue_id: str, versions: int) -> Manifest:
    """Write down the digest of every file, last of all."""
    files = {name: _digest(f"{settings.model_dir}/{name}") for name in _files(settings.model_dir)}
    size = sum(os.path.getsize(f"{settings.model_dir}/{name}") for name in files)
    manifest = Manifest(clock.to_text(clock.now()), catalogue_id, versions, size, files)
    _write(f"{settings.model_dir}/{MANIFEST}", json.dumps(asdict(manifest), indent=1).encode())
    return manifest


def _files(directory: str) -> Iterator[str]:
    """Yield what a backup is made of: the files that restoring does not write itself."""
    for root, _, names in os.walk(directory):
        for name in sorted(names):
            path = os.path.relpath(f"{root}/{name}", directory)
            if path.startswith(_WANTED):
                yield path


def _checked(source: str, progress: Progress) -> Manifest:
    """Return the manifest of a backup all of whose files are as they were written."""
    try:
        with open(f"{source}/{MANIFEST}", encoding="utf-8") as file:
            manifest = Manifest(**json.load(file))
        names = {str(name): str(digest) for name, digest in manifest.files.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BackupError(f"{source} is no whole backup: its {MANIFEST} cannot be read ({error})") from error
    for done, (name, digest) in enumerate(names.items()):
        progress(done, len(names))
        if name != os.path.normpath(name) or not name.startswith(_WANTED):
            raise BackupError(f"{source} is no whole backup: {name} is no file of one")
        path = f"{source}/{name}"
        if os.path.islink(path) or not os.path.isfile(path):
            raise BackupError(f"{source} is no whole backup: {name} is missing")
        if _digest(path) != digest:
            raise BackupError(f"{source} is no whole backup: {name} is not as it was written")
    return manifest


def _digest(path: str) -> str:
    hasher = sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


# -- files ---------------------------------------------------------------------------------------------------


def _empty(directory: str) -> str:
    """Return the directory if it may be filled."""
    directory = os.path.abspath(directory)
    if os.path.isdir(directory) and os.listdir(directory):
        raise BackupError(f"{directory} is not empty; name a directory that is, or that does not exist")
    return directory


def _copy_file(source: str, target: str) -> None:
    with storage_errors(target), open(source, "rb") as file:
        make_directory(os.path.dirname(target))
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            while chunk := file.read(_CHUNK):
                write_all(descriptor, chunk)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(os.path.dirname(target))


def _write(path: str, data: bytes) -> None:
    with storage_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(os.path.dirname(path))
