"""The files under which people find a version, written once its row is committed.

They are copies of the truth or other names for it. What a killed writer did not get to is done at the next
opening: its sandbox entry, which the system unlocked, says which version it was for.
"""

from __future__ import annotations

import logging
from collections.abc import Container
from contextlib import suppress

from ai_engine.directory.protocol import StagedFile
from ai_engine.domain.entities import Digest, ModelVersion, Place
from ai_engine.domain.errors import StorageError
from ai_engine.registry import version_records
from ai_engine.registry.stores import Stores

log = logging.getLogger(__name__)


class Publication:
    """Writes the files and records of versions.

    Parameters
    ----------
    stores : Stores
        Where everything is.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def publish(self, staged: StagedFile, version: ModelVersion, source: str | None, record: bytes) -> None:
        """Put the staged file of a version in its place; the version is saved whether or not that works.

        Parameters
        ----------
        source : str or None
            A file that holds the same bytes.
        record : bytes
            What a lost catalogue is rebuilt from.
        """
        try:
            content = None
            if source is None and version.artifact.place is Place.STORE:
                content = self._stored(version)
            staged.publish(version.model_path, source, record, content)
        except OSError as error:
            staged.leave()
            log.error("%s cannot be written and will be at the next opening: %s", version.model_path, error)

    def finish_interrupted(self) -> None:
        """Publish what writers committed that were killed before they could; remove what they left."""
        for leftover in self._stores.version_files.leftovers():
            with leftover as model_id:
                with self._stores.catalogue.read() as snapshot:
                    version = snapshot.find_id(model_id)
                if version is not None:
                    data = self._data(version)
                    if data is not None and not self.has_file(version, data):
                        self.write_file(version, data)
                    if not self.has_record(version, self._stores.version_files.recorded()):
                        self.write_record(version)

    def has_file(self, version: ModelVersion, data: bytes | memoryview) -> bool:
        """Tell whether a version has its file, and a small one the right bytes in it."""
        if version.artifact.place is Place.ROW:
            return self._stores.version_files.read(version.model_path) == bytes(data)
        return self._stores.version_files.exists(version.model_path)

    def write_file(self, version: ModelVersion, data: bytes | memoryview) -> None:
        """Write the file of a version, whose bytes these are."""
        digest = version.artifact.digest
        source = None
        if version.artifact.place is Place.STORE and digest is not None:
            source = self._stores.artifacts.path(digest)
        self._stores.version_files.mend(version.model_path, data if source is None else None, source)

    def has_record(self, version: ModelVersion, recorded: Container[str]) -> bool:
        """Tell whether a version is among the recorded ones."""
        return self._stores.version_files.record_path(version.model_path) in recorded

    def write_record(self, version: ModelVersion) -> None:
        """Write the record of a version."""
        with self._stores.catalogue.read() as snapshot:
            record = version_records.write(snapshot.whole(version), version.version)
        self._stores.version_files.write_record(
            self._stores.version_files.record_path(version.model_path), record
        )

    def _data(self, version: ModelVersion) -> bytes | memoryview | None:
        if version.artifact.place is Place.STORE:
            return self._stored(version)
        with suppress(StorageError), self._stores.catalogue.read() as snapshot:
            return snapshot.blob(Digest(str(version.artifact.digest)))
        return None

    def _stored(self, version: ModelVersion) -> memoryview | None:
        opened = self._stores.artifacts.open(Digest(str(version.artifact.digest)))
        return None if opened is None else opened.view
