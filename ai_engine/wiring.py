"""From settings to a registry: the one module that names concrete backends."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from ai_engine.artifacts.local import LocalStore
from ai_engine.catalogue.sqlite.catalogue import SqliteCatalogue
from ai_engine.directory.key_marker import KeyMarker
from ai_engine.directory.outage_journal import LocalOutageJournal
from ai_engine.directory.ownership import ModelDirectory
from ai_engine.directory.version_files import LocalVersionFiles
from ai_engine.domain.errors import (
    InvalidInputError,
    RegistryNotFoundError,
    SigningKeyError,
    UnsafeDirectoryError,
)
from ai_engine.domain.retention import Policy
from ai_engine.files.sandbox import Sandbox
from ai_engine.registry.model_cache import PROCESS
from ai_engine.registry.registry import Registry
from ai_engine.registry.stores import Stores
from ai_engine.registry.upkeep import Upkeep
from ai_engine.settings import DEFAULT_MODEL_DIR, Settings, without_secrets

if TYPE_CHECKING:  # what few ask for takes a while to import
    from ai_engine.access.keyring import Keyring
    from ai_engine.access.signing import SigningKey, VersionSigner

log = logging.getLogger(__name__)

_SQLITE = "sqlite:///"
_SIGNING_KEY = "~/.local/share/novacron-ai-engine/signing.key"


def build_registry(settings: Settings, must_exist: bool = False) -> Registry:
    """Return the registry that the settings describe, opened.

    Parameters
    ----------
    must_exist : bool
        For a caller that has nothing to put into it: a registry that does not exist is not made.

    Raises
    ------
    RegistryNotFoundError
        If it must exist and does not.
    UnsafeDirectoryError
        If the default directory is one that another user owns or can write.
    CatalogueMismatchError
        If the directory belongs to another database.
    NewerCatalogueError
        If the database was written by a newer version of this software.
    """
    registry = Registry(build_stores(settings, must_exist), PROCESS, actor())
    registry.open()
    return registry


def build_stores(settings: Settings, must_exist: bool = False) -> Stores:
    """Return the stores that the settings describe; nothing is opened yet.

    Parameters
    ----------
    must_exist : bool
        Raise RegistryNotFoundError where there is no directory, instead of making it.
    """
    directory = model_directory(settings)
    database, artifacts = database_path(settings), _artifact_store(settings, directory)
    exists = _exists(directory, database)
    if must_exist and not exists:
        raise RegistryNotFoundError(directory.path)
    signer = _signer(settings, exists, make=not must_exist)
    if directory.path == DEFAULT_MODEL_DIR:
        _check_default(directory.path)
    if not must_exist:
        directory.make()
    return Stores(
        catalogue=SqliteCatalogue(database, directory, settings.lock_timeout),
        artifacts=artifacts,
        version_files=LocalVersionFiles(directory),
        # Inside the directory all is the directory's own, wherever it was moved to.
        journal=LocalOutageJournal(settings.journal_dir, directory.path, directory.engine)
        if settings.journal_dir
        else LocalOutageJournal(f"{directory.engine}/outage", ".", directory.engine),
        signer=signer,
    )


def _exists(directory: ModelDirectory, database: str) -> bool:
    return os.path.isdir(directory.path) and (os.path.exists(database) or os.path.isdir(directory.engine))


def model_directory(settings: Settings) -> ModelDirectory:
    """Return the model directory that the settings name."""
    return ModelDirectory(os.path.abspath(settings.model_dir))


@contextmanager
def open_registry(settings: Settings, must_exist: bool = False) -> Iterator[Registry]:
    """Build a registry for the length of a block; see build_registry."""
    registry = build_registry(settings, must_exist)
    try:
        yield registry
    finally:
        registry.close()


def open_keyring(registry: Registry, settings: Settings) -> Keyring:
    """Return the keys of a registry that is open."""
    from ai_engine.access.keyring import Keyring

    keyring = Keyring(registry.catalogue, KeyMarker(model_directory(settings)), actor())
    keyring.look()
    return keyring


def keys_exist(settings: Settings) -> bool:
    """Tell whether requests to the registry that the settings describe need a key; nothing is made."""
    directory = model_directory(settings)
    if KeyMarker(directory).is_set():
        return True
    if not _exists(directory, database_path(settings)):
        return False
    with open_registry(settings, must_exist=True) as registry:
        return open_keyring(registry, settings).required()


def upkeep(registry: Registry, settings: Settings) -> Upkeep:
    """Return what looks after a registry that is served, for the length of a `with` block."""
    keep = settings.cleanup_keep
    policy = None if keep is None else Policy(keep_versions=keep)
    from ai_engine.access.auditing import Sealer

    sealer = Sealer(registry.catalogue, partial(signing_keys, settings, make=True))
    return Upkeep(registry, settings.verify_rate, policy, settings.cleanup_every, sealer.seal)


def signing_keys(settings: Settings, make: bool = False) -> list[SigningKey]:
    """Return the keys that sign, the newest first; none where there are none and none is to be made.

    Raises
    ------
    SigningKeyError
        If others may read them, or they lie in the model directory.
    StorageError
        If they cannot be read or made.
    """
    path = os.path.abspath(settings.signing_key or os.path.expanduser(_SIGNING_KEY))
    directory = os.path.realpath(settings.model_dir)
    if os.path.commonpath((os.path.realpath(path), directory)) == directory:
        raise SigningKeyError(path, "lies in the model directory, which it is to protect; keep it elsewhere")
    from ai_engine.access.signing import signing_keys as read

    return read(path, make)


def _signer(settings: Settings, exists: bool, make: bool) -> VersionSigner | None:
    """Return who signs versions; None where the settings name no key.

    A key that is gone is not replaced by another one where there are versions that it signed.
    """
    if not settings.signing_key:
        return None
    keys = signing_keys(settings, make and not exists)
    if not keys:
        raise SigningKeyError(
            os.path.abspath(settings.signing_key),
            "does not exist. Put it back; `ai-engine doctor --sign` makes one, and signs what is there",
        )
    from ai_engine.access.signing import VersionSigner

    return VersionSigner(keys)


def database_path(settings: Settings) -> str:
    """Return the absolute path of the SQLite file that the settings name."""
    url = settings.database_url
    if not url:
        return os.path.join(os.path.abspath(settings.model_dir), "model_registry.db")
    if not url.startswith(_SQLITE) or len(url) == len(_SQLITE):
        raise InvalidInputError(
            "AI_ENGINE_DATABASE_URL", f"{without_secrets(url)!r} is not of the form sqlite:///path"
        )
    return os.path.abspath(url.removeprefix(_SQLITE))


def _artifact_store(settings: Settings, directory: ModelDirectory) -> LocalStore:
    url = settings.artifact_url
    if not url:
        return LocalStore(f"{directory.engine}/artifacts", directory.sandbox)
    if "://" in url:
        raise InvalidInputError(
            "AI_ENGINE_ARTIFACT_URL", f"{without_secrets(url)!r} is not the path of a directory"
        )
    path = os.path.abspath(url)  # perhaps on another disk, where a sandbox of its own has to be
    return LocalStore(path, Sandbox(f"{path}/.sandbox"), directory.sandbox)


def _check_default(path: str) -> None:
    """Refuse a directory under a name that everybody knows if anybody else can put models into it."""
    log.warning(
        "models are kept in %s, which may not outlive a reboot; set AI_ENGINE_MODEL_DIR to one that does",
        path,
    )
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeDirectoryError(path, "is not a directory")
    if found.st_uid != os.getuid():
        raise UnsafeDirectoryError(path, "belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafeDirectoryError(path, "can be written by other users")


def actor() -> str:
    """Return who runs this process, and where; written down with every change."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
