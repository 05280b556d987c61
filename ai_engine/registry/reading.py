"""From a version to its object: find the bytes, check them, and only then make the object of them."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import replace

from ai_engine.artifacts.protocol import Opened
from ai_engine.domain import clock
from ai_engine.domain.digests import digest_of, matches
from ai_engine.domain.errors import ArtifactCorruptedError, CatalogueUnavailableError, StorageError
from ai_engine.domain.records import Artifact, Digest, Identity, ModelVersion, Place
from ai_engine.formats import choice
from ai_engine.registry.loaded import LoadedModels
from ai_engine.registry.stores import Stores

log = logging.getLogger(__name__)

# A file that changes within the clock's granularity after it was looked at keeps its times. Two seconds is
# the coarsest granularity of a file system in use (FAT), and what git allows for.
_SETTLED_NS = 2_000_000_000


class Reader:
    """Makes objects of versions.

    Parameters
    ----------
    stores : Stores
        Where the bytes are.
    loaded : LoadedModels or None
        Where an object is kept once it is made; None for one who only checks bytes.
    """

    def __init__(self, stores: Stores, loaded: LoadedModels | None) -> None:
        self._stores = stores
        self._loaded = loaded or LoadedModels(0)

    def load(self, version: ModelVersion) -> object:
        """Return the object of a version, the same one to all callers of the process.

        Raises
        ------
        ArtifactCorruptedError
            If the bytes are missing or changed. They are not deserialised.
        ModelLoadError
            If the bytes are right and this Python cannot make the object.
        """
        # The id of a version of ours is unique in the world; one of the original's is so beside its path.
        key = (version.model_id, version.model_path)
        return self._loaded.get(key, version.artifact.size or 0, lambda: self._make(version))

    def _make(self, version: ModelVersion) -> object:
        view = self.verified(version)
        artifact = version.artifact
        saved_with = {**({"python": artifact.python} if artifact.python else {}), **artifact.packages}
        return choice.load(version.label, artifact.format, view, saved_with)

    def digest(self, version: ModelVersion) -> Digest | None:
        """Return the digest of a version, read off the bytes where none is recorded."""
        if version.artifact.digest is None:
            return digest_of(self.verified(version))
        return version.artifact.digest

    def plain(self, version: ModelVersion) -> bytes:
        """Return a version as a pickle that `pickle.load` alone can read."""
        view = self.verified(version)
        return choice.FORMATS[version.artifact.format].plain(view)

    def verified(self, version: ModelVersion) -> memoryview:
        """Return the bytes of a version, checked against its digest."""
        if version.artifact.place is Place.ROW:
            return self._from_row(version, mend=True)
        if version.artifact.place is Place.STORE:
            return self._from_store(version)
        return self._from_path(version)

    def reread(self, version: ModelVersion) -> memoryview:
        """Return the bytes of a version, each of them read and checked now, whatever is known of them."""
        if version.artifact.place is Place.ROW:
            return self._from_row(version, mend=False)
        if version.artifact.place is Place.PATH:
            return self._from_path(version)
        digest = _known(version)
        opened = self._stores.artifacts.open(digest)
        if opened is None:
            raise ArtifactCorruptedError(version.label, "are missing")
        self._check(version, digest, opened)
        return opened.view

    # -- small: the truth is in the catalogue, the file is a copy ------------------------------------------

    def _from_row(self, version: ModelVersion, mend: bool) -> memoryview:
        digest = _known(version)
        data = None
        with suppress(CatalogueUnavailableError), self._stores.catalogue.read() as snapshot:
            data = snapshot.blob(digest)
        if data is None or not matches(data, digest):
            data = self._stores.shelf.read(version.model_path)
            if data is None or not matches(data, digest):
                raise ArtifactCorruptedError(
                    version.label, "are missing or changed, in the row and in the file"
                )
            log.error("the row of %s has lost its bytes; those of its file are right", version.label)
        elif mend:
            self._mend_file(version, data)
        return memoryview(data)

    def _mend_file(self, version: ModelVersion, data: bytes) -> None:
        if self._stores.shelf.read(version.model_path) == data:
            return
        log.warning(
            "the file of %s was missing or altered and is written again: %s",
            version.label,
            version.model_path,
        )
        with suppress(StorageError):
            self._stores.shelf.mend(version.model_path, data)

    # -- large: the truth is an immutable file ---------------------------------------------------------------

    def _from_store(self, version: ModelVersion) -> memoryview:
        digest = _known(version)
        identity = self._stores.artifacts.identify(digest)
        if identity is None or not self._sealed(digest, identity):
            return self.reread(version)
        opened = self._stores.artifacts.open(digest)
        if opened is None or opened.identity != identity:
            return self.reread(version)
        return opened.view

    def _sealed(self, digest: Digest, identity: Identity | None) -> bool:
        """Tell whether the file is, unchanged, the one whose digest was checked before."""
        if identity is None:
            return False
        with suppress(StorageError), self._stores.catalogue.read() as snapshot:
            return snapshot.seal(digest) == identity
        return False

    def _check(self, version: ModelVersion, digest: Digest, opened: Opened) -> None:
        if not matches(opened.view, digest):
            raise ArtifactCorruptedError(version.label, "do not match their digest")
        if opened.identity is not None and time.time_ns() - opened.identity.ctime_ns > _SETTLED_NS:
            with suppress(StorageError), self._stores.catalogue.write() as work:
                work.set_seal(digest, opened.identity, clock.now())

    # -- of the original software: a file wherever it put it ------------------------------------------------

    def _from_path(self, version: ModelVersion) -> memoryview:
        try:
            with open(version.model_path, "rb") as file:
                data = file.read()
        except (OSError, ValueError) as error:
            raise ArtifactCorruptedError(version.label, f"cannot be read ({error})") from error
        digest = version.artifact.digest
        if digest is None:
            self._record(version, Artifact(Place.PATH, digest_of(data), "pickle", len(data)))
        elif not matches(data, digest):
            raise ArtifactCorruptedError(version.label, f"in {version.model_path} do not match their digest")
        return memoryview(data)

    def _record(self, version: ModelVersion, artifact: Artifact) -> None:
        log.warning(
            "%s was saved by the original software without a digest; the bytes in %s count as its own "
            "from now on, with the digest %s",
            version.label,
            version.model_path,
            artifact.digest,
        )
        with suppress(StorageError), self._stores.catalogue.write() as work:
            present = work.find(version.name, version.version)
            if present is not None and present.artifact.digest is None:
                work.set_artifact(
                    version.model_id, replace(present.artifact, digest=artifact.digest, size=artifact.size)
                )


def _known(version: ModelVersion) -> Digest:
    if version.artifact.digest is None:
        raise ArtifactCorruptedError(version.label, "have no recorded digest")
    return version.artifact.digest
