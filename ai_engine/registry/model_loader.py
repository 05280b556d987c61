"""From a version to its object: find the bytes, check them, and only then make the object of them."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace

from ai_engine.artifacts.protocol import OpenArtifact
from ai_engine.domain import clock
from ai_engine.domain.digests import digest_of, matches
from ai_engine.domain.entities import Artifact, Digest, ModelVersion, Place, Seal
from ai_engine.domain.errors import ArtifactCorruptedError, CatalogueUnavailableError, StorageError
from ai_engine.formats import serializer
from ai_engine.formats.protocol import Code
from ai_engine.registry.model_cache import ModelCache
from ai_engine.registry.signatures import check_signature, seal_mark
from ai_engine.registry.stores import Stores

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checked:
    """Bytes that have the digest of their version.

    Attributes
    ----------
    view : memoryview
        All of them; perhaps a file that somebody else can change.
    code : Code
        What loading executes of them, as it was when the digest was checked.
    """

    view: memoryview
    code: Code


class ModelLoader:
    """Makes objects of versions.

    Parameters
    ----------
    stores : Stores
        Where the bytes are.
    loaded : ModelCache or None
        Where an object is kept once it is made; None for one who only checks bytes.
    """

    def __init__(self, stores: Stores, loaded: ModelCache | None) -> None:
        self._stores = stores
        self._loaded = loaded or ModelCache(0)

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
        held = self._loaded.held(key)
        if held is not None:
            return held[0]
        return self._loaded.get(
            key, version.artifact.size or 0, lambda: self.make(version, self.check(version))
        )

    def make(self, version: ModelVersion, checked: Checked) -> object:
        """Make the object of checked bytes, another one each time. Raises ModelLoadError."""
        artifact = version.artifact
        saved_with = {**({"python": artifact.python} if artifact.python else {}), **artifact.packages}
        return serializer.load(version.label, artifact.format, checked.code, checked.view, saved_with)

    def digest(self, version: ModelVersion) -> Digest | None:
        """Return the digest of a version, read off the bytes where none is recorded."""
        if version.artifact.digest is None:
            return digest_of(self.check(version).view)
        return version.artifact.digest

    def plain(self, version: ModelVersion) -> bytes:
        """Return a version as a pickle that `pickle.load` alone can read."""
        checked = self.check(version)
        return serializer.FORMATS[version.artifact.format].plain(checked.code, checked.view)

    def check(self, version: ModelVersion) -> Checked:
        """Return the bytes of a version, checked against its signature and its digest."""
        check_signature(version, self._stores.signer)
        if version.artifact.place is Place.STORE:
            return self._from_store(version, trust_seal=True)
        row = version.artifact.place is Place.ROW
        data = self._from_row(version, mend=True) if row else self._from_path(version)
        return Checked(memoryview(data), serializer.code_of(version.artifact.format, memoryview(data)))

    def reread(self, version: ModelVersion) -> memoryview:
        """Return the bytes of a version, each of them read and checked now, whatever is known of them."""
        check_signature(version, self._stores.signer)
        return self.unsigned(version)

    def unsigned(self, version: ModelVersion) -> memoryview:
        """Return the bytes of a version, each of them read and checked now but for its signature."""
        if version.artifact.place is Place.STORE:
            return self._from_store(version, trust_seal=False).view
        row = version.artifact.place is Place.ROW
        return memoryview(self._from_row(version, mend=False) if row else self._from_path(version))

    # -- small: the truth is in the catalogue, the file is a copy ------------------------------------------

    def _from_row(self, version: ModelVersion, mend: bool) -> bytes:
        digest = _known(version)
        data, readable = None, False
        with suppress(CatalogueUnavailableError), self._stores.catalogue.read() as snapshot:
            data, readable = snapshot.blob(digest), True
        if data is None or not matches(data, digest):
            data = self._stores.version_files.read(version.model_path)
            if data is None or not matches(data, digest):
                raise ArtifactCorruptedError(
                    version.label, "are missing or changed, in the row and in the file"
                )
            if readable:
                log.error("the row of %s has lost its bytes; those of its file are right", version.label)
        elif mend:
            self._mend_file(version, data)
        return data

    def _mend_file(self, version: ModelVersion, data: bytes) -> None:
        if self._stores.version_files.read(version.model_path) == data:
            return
        log.warning(
            "the file of %s was missing or altered and is written again: %s",
            version.label,
            version.model_path,
        )
        with suppress(StorageError):
            self._stores.version_files.mend(version.model_path, data)

    # -- large: the truth is an immutable file ---------------------------------------------------------------

    def _from_store(self, version: ModelVersion, trust_seal: bool) -> Checked:
        digest, store = _known(version), version.artifact.store
        if store not in (None, self._stores.artifacts.store_id):
            raise StorageError(
                f"the bytes of {version.label} are in the artifact store {store}, and this registry has "
                f"{self._stores.artifacts.store_id}; set AI_ENGINE_ARTIFACT_URL to the former"
            )
        opened = self._stores.artifacts.open(digest)
        if opened is None:
            raise ArtifactCorruptedError(version.label, "are missing")
        # Copied before it is checked: the mapping shows what anybody writes into the file after that.
        code = serializer.code_of(version.artifact.format, opened.view)
        seal = None
        if opened.identity is not None:
            mark = seal_mark(digest, opened.identity, digest_of(*code), self._stores.signer)
            seal = Seal(opened.identity, mark)
        if not (trust_seal and seal is not None and self._seal(digest) == seal):
            _compare(version, digest, opened, code)
            if seal is not None:
                self._set_seal(digest, seal)
        return Checked(opened.view, code)

    def _seal(self, digest: Digest) -> Seal | None:
        """Return what is known of the file whose digest was checked before."""
        with suppress(StorageError), self._stores.catalogue.read() as snapshot:
            return snapshot.seal(digest)
        return None

    def _set_seal(self, digest: Digest, seal: Seal) -> None:
        """Write down that stored bytes have their digest."""
        # Who loads waits for nobody who writes.
        with suppress(StorageError), self._stores.catalogue.write(timeout=0) as work:
            work.set_seal(digest, seal, clock.now())

    # -- of the original software: a file wherever it put it ------------------------------------------------

    def _from_path(self, version: ModelVersion) -> bytes:
        try:
            data = self._stores.version_files.read_elsewhere(version.model_path)
        except (OSError, ValueError) as error:
            raise ArtifactCorruptedError(version.label, f"cannot be read ({error})") from error
        if data is None:
            raise ArtifactCorruptedError(version.label, f"are missing: {version.model_path} is no file")
        digest = version.artifact.digest
        if digest is None:
            self._record(version, Artifact(Place.PATH, digest_of(data), "pickle", len(data)))
        elif not matches(data, digest):
            raise ArtifactCorruptedError(version.label, f"in {version.model_path} do not match their digest")
        return data

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


def _compare(version: ModelVersion, digest: Digest, opened: OpenArtifact, code: Code) -> None:
    """Raise ArtifactCorruptedError unless the copied code and the rest of the bytes have their digest."""
    head, tail = code
    if digest_of(head, opened.view[len(head) : opened.view.nbytes - len(tail)], tail) != digest:
        raise ArtifactCorruptedError(version.label, "do not match their digest")
