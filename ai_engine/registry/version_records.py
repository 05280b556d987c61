"""The records beside the artifacts: what is known of versions without the catalogue.

A record is written with its version and never changed; a pointer is written when another version than the
one saved last becomes active. They are no truth while there is a catalogue, and the nearest thing to it once
there is none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from ai_engine.directory.protocol import VersionFiles
from ai_engine.domain import clock
from ai_engine.domain.entities import ModelVersion, NewVersion
from ai_engine.domain.names import is_file_of
from ai_engine.registry import documents


@dataclass(frozen=True, slots=True)
class Record:
    """A version as its record tells of it.

    Attributes
    ----------
    waits_in : str or None
        The outage journal in which its row waited when the record was written.
    """

    new: NewVersion
    version: str
    model_path: str
    waits_in: str | None


def write(new: NewVersion, version: str, waits_in: str | None = None) -> bytes:
    """Return the record of a version, and of where its row waits.

    Without the report of its training: all records are read together, and reports may be long.
    """
    if new.run is not None and new.run.report is not None:
        new = replace(new, run=replace(new.run, report=None))
    waits = {} if waits_in is None else {"waits_in": waits_in}
    return documents.encode(documents.version_to_dict(new, version) | waits)


def pointer(version: ModelVersion, at: str) -> bytes:
    """Return the record of a version's becoming active."""
    return json.dumps(
        {"name": version.name, "model_id": version.model_id, "version": version.version, "activated_at": at}
    ).encode()


class VersionRecords:
    """All records of a directory, read once for as long as none comes or goes.

    Parameters
    ----------
    version_files : VersionFiles
        Where they are.
    """

    def __init__(self, version_files: VersionFiles) -> None:
        self._version_files = version_files
        self._stamp: int | None = None
        self._records: list[Record] = []
        self._actives: dict[str, str] = {}

    def __iter__(self) -> Iterator[Record]:
        """Yield the record of every version, oldest first; what cannot be read is left out."""
        self._read()
        yield from self._records

    def actives(self) -> dict[str, str]:
        """Return the id of the version of each model that became active last."""
        self._read()
        return self._actives

    def waits(self, name: str, version: str) -> bool:
        """Tell whether a version was saved into an outage journal."""
        self._read()
        return any(
            record.waits_in is not None and record.version == version and record.new.name == name
            for record in self._records
        )

    def find(self, name: str, version: str | None) -> ModelVersion | None:
        """Return a version, or the one that became active last."""
        if version is None:
            active = self.actives().get(name)
            return None if active is None else self.find_id(active)
        for seq, record in enumerate(self, start=1):
            if (record.new.name, record.version) == (name, version):
                return self._as_version(seq, record)
        return None

    def find_id(self, model_id: str) -> ModelVersion | None:
        """Return the version of an id."""
        for seq, record in enumerate(self, start=1):
            if record.new.model_id == model_id:
                return self._as_version(seq, record)
        return None

    def _as_version(self, seq: int, record: Record) -> ModelVersion:
        new = record.new
        is_active = self._actives.get(new.name) == new.model_id
        return ModelVersion(
            new.model_id, new.name, record.version, seq, is_active, record.model_path, new.artifact
        )

    def _read(self) -> None:
        stamp = self._version_files.stamp()
        if stamp == self._stamp:
            return
        found = (_parsed(path, text) for path, text in self._version_files.records())
        known = [record for record in found if record is not None]
        self._records = sorted(known, key=lambda record: record.new.created_at)
        self._actives = {name: model_id for _, name, model_id in sorted(self._moves())}
        self._stamp = stamp

    def _moves(self) -> Iterator[tuple[str, str, str]]:
        """Yield when which version of a model became active."""
        for record in self._records:
            if record.new.activate:
                yield clock.to_text(record.new.created_at), record.new.name, record.new.model_id
        for text in self._version_files.pointers():
            with suppress(ValueError):
                document = documents.decode(text)
                at, name = documents.text(document, "activated_at"), documents.text(document, "name")
                yield at, name, documents.text(document, "model_id")


def newest(version_files: VersionFiles) -> Iterator[Record]:
    """Yield the records that were written last, newest first, as far as a quick look finds them."""
    for path, text in version_files.newest_records():
        record = _parsed(path, text)
        if record is not None:
            yield record


def _parsed(path: str, data: bytes) -> Record | None:
    try:
        document = documents.decode(data)
        new = documents.version_from_dict(document)
        waits_in = documents.text(document, "waits_in") if "waits_in" in document else None
    except ValueError:
        return None
    file = os.path.basename(path)
    if os.path.normpath(path) != path or not is_file_of(file, new.name, str(new.version)):
        return None  # no record that we wrote leads anywhere else
    return Record(new, str(new.version), path, waits_in)
