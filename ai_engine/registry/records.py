"""The records beside the artifacts: what is known of versions without the catalogue.

A record is written with its version and never changed; a pointer is written when another version than the
one saved last becomes active. They are no truth while there is a catalogue, and the nearest thing to it once
there is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ai_engine.artifacts.protocol import Shelf
from ai_engine.domain import clock
from ai_engine.domain.records import ModelVersion, NewVersion
from ai_engine.registry import wire


@dataclass(frozen=True, slots=True)
class Record:
    """A version as its record tells of it."""

    new: NewVersion
    version: str
    model_path: str


def write(new: NewVersion, version: str) -> bytes:
    """Return the record of a version."""
    return json.dumps(wire.version_to_dict(new, version)).encode()


def pointer(version: ModelVersion, at: str) -> bytes:
    """Return the record of a version's becoming active."""
    return json.dumps(
        {"name": version.name, "model_id": version.model_id, "version": version.version, "activated_at": at}
    ).encode()


class Records:
    """All records of a directory.

    Parameters
    ----------
    shelf : Shelf
        Where they are.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def __iter__(self) -> Iterator[Record]:
        """Yield the record of every version, oldest first; what cannot be read is left out."""
        found = []
        for path, text in self._shelf.records():
            try:
                document = json.loads(text)
                found.append(Record(wire.version_from_dict(document), str(document["version"]), path))
            except (ValueError, KeyError, TypeError):
                continue
        yield from sorted(found, key=lambda record: record.new.created_at)

    def actives(self) -> dict[str, str]:
        """Return the id of the version of each model that became active last."""
        moves: list[tuple[str, str, str]] = []
        for record in self:
            if record.new.activate:
                moves.append((clock.to_text(record.new.created_at), record.new.name, record.new.model_id))
        for text in self._shelf.pointers():
            try:
                document: dict[str, Any] = json.loads(text)
                moves.append(
                    (str(document["activated_at"]), str(document["name"]), str(document["model_id"]))
                )
            except (ValueError, KeyError, TypeError):
                continue
        return {name: model_id for _, name, model_id in sorted(moves)}

    def find(self, name: str, version: str | None) -> ModelVersion | None:
        """Return a version, or the one that became active last."""
        active = self.actives().get(name)
        for seq, record in enumerate(self, start=1):
            new = record.new
            wanted = new.model_id == active if version is None else record.version == version
            if new.name == name and wanted:
                is_active = new.model_id == active
                return ModelVersion(
                    new.model_id, name, record.version, seq, is_active, record.model_path, new.artifact
                )
        return None
