"""What waits for the catalogue, read once: each entry of the outage journal as an operation.

Only what our own saves write is an operation. A document that this version cannot know, because a newer one
wrote it, stays where it is; whoever adds a kind or changes what one means raises FORMAT.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from uuid import uuid4

from ai_engine.catalogue.protocol import Catalogue, Transaction
from ai_engine.directory.protocol import JournalEntry, OutageJournal
from ai_engine.domain import clock
from ai_engine.domain.digests import is_digest
from ai_engine.domain.entities import Digest, ModelId, ModelVersion, NewVersion, Place, Run
from ai_engine.domain.errors import StorageError
from ai_engine.domain.names import check_name, check_version, is_file_of
from ai_engine.domain.performance import ModelPerformance
from ai_engine.formats import serializer
from ai_engine.registry import documents
from ai_engine.registry.documents import Document

FORMAT = 1
_DIGESTS = re.compile(rb"sha256:[0-9a-f]{64}")
_UPGRADE = "upgrade novacron-ai-engine on this machine, and it is taken in"


@dataclass(frozen=True, slots=True)
class SaveOperation:
    """A version whose bytes are durable.

    Attributes
    ----------
    key : str
        What the catalogue remembers the operation by, so that it is applied once.
    new : NewVersion
        With its number, which its caller was told.
    model_path : str
        Its file, in the model directory as it is now.
    actor : str
        Who saved it.
    """

    key: str
    new: NewVersion
    version: str
    model_path: str
    digest: Digest
    actor: str

    @property
    def told(self) -> str:
        """What a user reads of it."""
        return f"the save of {self.new.name}@{self.version} waits for the database"

    def as_version(self, seq: int, is_active: bool) -> ModelVersion:
        """Return the version as the catalogue will tell of it."""
        new = self.new
        return ModelVersion(
            new.model_id, new.name, self.version, seq, is_active, self.model_path, new.artifact
        )


@dataclass(frozen=True, slots=True)
class MeasureOperation:
    """Measurements that were made after the save; of older entries the name and version are not known."""

    key: str
    model_id: ModelId
    name: str
    version: str
    performances: tuple[ModelPerformance, ...]

    @property
    def told(self) -> str:
        """What a user reads of it."""
        return f"measurements of {self.name}@{self.version} wait for the database"


@dataclass(frozen=True, slots=True)
class RunOperation:
    """A training record that was given after the save."""

    key: str
    model_id: ModelId
    name: str
    version: str
    run: Run

    @property
    def told(self) -> str:
        """What a user reads of it."""
        return f"a training record of {self.name}@{self.version} waits for the database"


@dataclass(frozen=True, slots=True)
class NewerOperation:
    """What a newer version of this software wrote: kept, and its number and bytes with it."""

    problem: str
    digests: frozenset[str] = frozenset()
    name: str | None = None
    version: str | None = None

    @property
    def told(self) -> str:
        """What a user reads of it."""
        return f"{self.problem}: {_UPGRADE}"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What is no operation; `lasting` where it will never be one."""

    problem: str
    lasting: bool
    digests: frozenset[str] = frozenset()

    @property
    def told(self) -> str:
        """What a user reads of it."""
        return f"is no change that can be applied: {self.problem}"


@dataclass(frozen=True, slots=True)
class ForeignOperation:
    """What another registry keeps in the same place."""

    owner: str

    @property
    def told(self) -> str:
        """What a user reads of it."""
        return f"operations of the registry in {self.owner} wait here; it takes them in when it is opened"


Applicable = SaveOperation | MeasureOperation | RunOperation
Operation = Applicable | NewerOperation | Unreadable | ForeignOperation


@dataclass(frozen=True, slots=True)
class Queued:
    """An operation in its place.

    Attributes
    ----------
    seq : int
        Behind every position in the catalogue, and in the order of the journal.
    """

    entry: str
    seq: int
    operation: Operation


@dataclass(frozen=True, slots=True)
class Change:
    """An operation that can be applied, in its place."""

    entry: str
    seq: int
    operation: Applicable


# -- writing -------------------------------------------------------------------------------------------------


def save_document(new: NewVersion, version: str, model_path: str, actor: str) -> Document:
    """Return the document of a save."""
    return {
        "kind": "save",
        "version": documents.version_to_dict(new, version),
        "model_path": model_path,
        # The directory may be moved before the operation is applied.
        "model_dir": os.path.dirname(model_path),
        "digest": new.artifact.digest,
        "actor": actor,
    }


def measure_document(version: ModelVersion, performances: Iterable[ModelPerformance]) -> Document:
    """Return the document of measurements. Raises InvalidInputError where one cannot be stored."""
    measured = [documents.performance_to_dict(performance) for performance in performances]
    return {"kind": "record", **_of(version), "performances": measured}


def run_document(version: ModelVersion, run: Run) -> Document:
    """Return the document of a training record. Raises InvalidInputError where it cannot be stored."""
    return {"kind": "run", **_of(version), "run": documents.run_to_dict(run)}


def _of(version: ModelVersion) -> Document:
    return {"model_id": version.model_id, "name": version.name, "number": version.version}


def encode(document: Document, owner: str) -> bytes:
    """Return the entry of a document."""
    common = {"format": FORMAT, "operation": uuid4().hex, "at": clock.to_text(clock.now()), "owner": owner}
    return documents.encode(common | document)


# -- reading -------------------------------------------------------------------------------------------------


def parse(entry: JournalEntry, owner: str, model_dir: str) -> Operation:
    """Return what an entry says, whatever it is; never raises.

    Parameters
    ----------
    entry : JournalEntry
        As it was read.
    owner : str
        Whose journal it is.
    model_dir : str
        Where files of versions are.
    """
    if entry.data is None:
        return Unreadable(str(entry.problem), entry.lasting)
    digests = digests_in(entry.data)
    try:
        document = documents.decode(entry.data)
        told = document.get("owner", owner)
        if told != owner:
            return ForeignOperation(str(told)[:300])
        return _newer(document, digests) or _parsed(document, model_dir)
    except ValueError as error:
        return Unreadable(str(error), True, digests)


def digests_in(data: bytes) -> frozenset[str]:
    """Return every digest that some bytes name, whatever else they say."""
    return frozenset(found.decode() for found in _DIGESTS.findall(data))


def _newer(document: Document, digests: frozenset[str]) -> NewerOperation | None:
    """Return what only a newer version can read; None for what this one can."""
    known = document.get("format", 1)
    if type(known) is not int or known < 1:
        raise ValueError(f"format is {known!r}, not a number from 1 on")
    version = document.get("version")
    described = version if isinstance(version, dict) else {}
    artifact = described.get("artifact")
    stored = artifact.get("format") if isinstance(artifact, dict) else None
    if known > FORMAT:
        problem = f"was written by a newer version of this software, in format {known}"
    elif isinstance(stored, str) and stored not in serializer.FORMATS:
        problem = f"was written by a newer version of this software, for a model in format {stored[:80]!r}"
    else:
        return None
    name, number = described.get("name"), described.get("version")
    if isinstance(name, str) and isinstance(number, str):
        return NewerOperation(problem, digests, name, number)
    return NewerOperation(problem, digests)


def _parsed(document: Document, model_dir: str) -> Applicable:
    key = documents.text(document, "operation")
    if not key:
        raise ValueError("operation is empty")
    match document.get("kind"):
        case "save":
            return _save(key, document, model_dir)
        case "record":
            performances = document.get("performances")
            if not isinstance(performances, list):
                raise ValueError("performances is not a list")
            measured = tuple(documents.performance_from_dict(one) for one in performances)
            return MeasureOperation(key, *_version_of(document), measured)
        case "run":
            return RunOperation(key, *_version_of(document), documents.run_from_dict(document.get("run")))
        case kind:
            shown = repr(kind)[:80] if isinstance(kind, str) else f"a {type(kind).__name__}"
            raise ValueError(f"its kind is {shown}; if a newer version of this software wrote it, upgrade")


def _version_of(document: Document) -> tuple[ModelId, str, str]:
    """Return which version an operation is about: its id, name and number."""
    name, number = (documents.text(document, key) if key in document else "" for key in ("name", "number"))
    return ModelId(documents.text(document, "model_id")), name, number


def _save(key: str, document: Document, model_dir: str) -> SaveOperation:
    """Return a save as our own write it: of bytes in the store, by digest, with its file at home."""
    new = documents.version_from_dict(documents.mapping(document, "version"))
    check_name(new.name)
    version = check_version(new.version)
    if not new.model_id.startswith(f"{new.name}#"):
        raise ValueError(f"model_id is {new.model_id[:300]!r}, which is no id of {new.name!r}")
    if new.artifact.place is not Place.STORE:
        raise ValueError(f"place is {new.artifact.place.value!r}, and a save that waits has 'store'")
    digest = new.artifact.digest
    if digest is None or not is_digest(digest) or document.get("digest") != digest:
        raise ValueError("digest is missing, or not that of the version")
    path = documents.text(document, "model_path")
    there = documents.text(document, "model_dir") if "model_dir" in document else model_dir
    directory, file = os.path.split(path)
    if directory != there or not is_file_of(file, new.name, version):
        raise ValueError(f"model_path is {path[:300]!r}, which is no file of {new.name}@{version}")
    actor = documents.text(document, "actor") if "actor" in document else "ai-engine"
    return SaveOperation(key, new, version, f"{model_dir}/{file}", digest, actor)


# -- the bytes that are needed ------------------------------------------------------------------------------


@contextmanager
def writing_alone(
    catalogue: Catalogue, journal: OutageJournal
) -> Iterator[tuple[Transaction, frozenset[str]]]:
    """Write to the catalogue while nothing can begin to wait; yields the digests that what waits needs."""
    with ExitStack() as held, catalogue.write(alone=True) as work:
        held.enter_context(journal.exclusive())
        yield work, digests_needed(journal)


def digests_needed(journal: OutageJournal) -> frozenset[str]:
    """Return the digests that the journal needs, which is held exclusively.

    What cannot be applied, what a newer version wrote and what was set aside counts, digest by digest.

    Raises
    ------
    StorageError
        If an entry cannot be read now, and may need any.
    """
    names = (*journal.names(), *map(os.path.basename, journal.rejected()))
    entries = [entry for name in names if (entry := journal.read(name)) is not None]
    for entry in entries:
        if entry.data is None and not entry.lasting:
            raise StorageError(f"{journal.location}/{entry.name} {entry.problem}, so nothing is removed now")
    return frozenset[str]().union(*(digests_in(entry.data or b"") for entry in entries))
