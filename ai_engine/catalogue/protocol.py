"""What a catalogue has to do, whatever database it is in.

A catalogue holds rows: which versions exist, which is active, how good they were. It never holds a promise by
itself: the registry makes bytes durable first, then a row makes them visible.

Threads and processes may use one catalogue at once. Writers queue at the start of a transaction and never
fail because another one writes, short of a wait of many seconds. Whatever a `write` block did is committed
and durable when the block has been left; when the block or the commit raises, nothing of it is left, save
for OutcomeUnknownError. A reader sees committed rows only.

A database that cannot be reached raises CatalogueUnavailableError from any call, CatalogueCorruptedError
where its own bytes are damaged. The next call tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from ai_engine.catalogue.access import AuditLog, AuditTrail, Keys, KeyStore
from ai_engine.catalogue.jobs import JobQueue, Jobs
from ai_engine.catalogue.schedules import ScheduleBook, Schedules
from ai_engine.domain.answers import ModelInfo, VersionInfo
from ai_engine.domain.entities import (
    Activation,
    Artifact,
    Digest,
    ModelVersion,
    NewVersion,
    Run,
    Seal,
)
from ai_engine.domain.history import RunRecord
from ai_engine.domain.jobs import Attempt
from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.retention import Candidate, Policy
from ai_engine.domain.search import EVERYTHING, Field, Position, Search

# Who it is that changes something on behalf of nobody.
ENGINE = "ai-engine"


class Debris(NamedTuple):
    """A file of ours whose version is gone; `digest` where it is bytes that other versions may share."""

    path: str
    digest: Digest | None


class Snapshot(Protocol):
    """Queries, all from one moment. A name or version that does not exist yields None or an empty list."""

    @property
    def jobs(self) -> Jobs:
        """The trainings that wait, run or have ended."""

    @property
    def keys(self) -> Keys:
        """The keys by which requests are allowed."""

    @property
    def audit(self) -> AuditTrail:
        """Who changed what."""

    @property
    def schedules(self) -> Schedules:
        """The schedules by which models are trained again."""

    def find(self, name: str, version: str | None = None) -> ModelVersion | None:
        """Return a version, or the active one."""

    def find_id(self, model_id: str) -> ModelVersion | None:
        """Return the version that has an id."""

    def highest(self, name: str) -> str | None:
        """Return the highest number that any version of a model ever bore."""

    def versions(self, name: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first."""

    def names(self) -> list[str]:
        """Return every model that has a version, sorted."""

    def actives(self) -> dict[str, str]:
        """Return the active version of every model that has one."""

    def everything(self) -> list[ModelVersion]:
        """Return every version there is, by name, then oldest first."""

    def describe(self, search: Search, limit: int | None, after: Position | None) -> list[VersionInfo]:
        """Return versions with every column and what was measured of them, from behind a position on.

        Each has what was measured last in `performance`, a dict; None where nothing was.
        """

    def models(self, search: Search, limit: int | None, after: Position | None) -> list[ModelInfo]:
        """Return models as `describe` returns versions, each by its active version.

        A model of which no version is active stands by its newest one. Each entry has in `versions` how many
        the model has.
        """

    def count(self, search: Search = EVERYTHING) -> int:
        """Return how many versions are meant."""

    def count_models(self, search: Search = EVERYTHING) -> int:
        """Return how many models are meant."""

    def performances(self, model_id: str) -> list[ModelPerformance]:
        """Return what was measured of a version, oldest first."""

    def latest_performance(self, model_id: str) -> ModelPerformance | None:
        """Return the measurement that was recorded last."""

    def runs(self, name: str, version: str | None = None) -> list[RunRecord]:
        """Return the training records of a model or of one version, newest first, without their reports.

        Those of a model have its attempts that made no version among them, in the order of their ends.
        """

    def report(self, model_id: str) -> Mapping[str, Any] | None:
        """Return what the last training of a version measured in detail (JSON values); None without one."""

    def blob(self, digest: Digest) -> bytes | None:
        """Return the bytes of a small artifact."""

    def seal(self, digest: Digest) -> Seal | None:
        """Return the file as it was when its digest was last checked."""

    def activations(self, name: str) -> list[Activation]:
        """Return every move of the active pointer, oldest first."""

    def whole(self, version: ModelVersion) -> NewVersion:
        """Return all that its save was given, with what was measured first."""

    def candidates(self, policy: Policy) -> list[Candidate]:
        """Return the versions that a policy decides on."""

    def inconsistencies(self) -> list[tuple[str, str, str]]:
        """Return what in the tables contradicts itself: the kind, the subject, and what is wrong."""

    def user(self, digest: Digest) -> ModelVersion | None:
        """Return a version whose bytes these are; None where there is none."""

    def uses(self, digest: Digest) -> list[ModelVersion]:
        """Return the versions whose bytes these are."""

    def debris(self, limit: int) -> list[Debris]:
        """Return files that await removal, at most `limit`; all of them where that is negative."""

    def is_debris(self, path: str) -> bool:
        """Tell whether a file awaits removal, and so is ours."""

    def is_incomplete(self) -> bool:
        """Tell whether versions that were saved were found missing here, and have not been added again."""

    def loss_accepted_at(self) -> datetime | None:
        """Return when an operator last gave up what the catalogue does not know; None where nobody did."""

    def replayed(self, operation: str) -> bool:
        """Tell whether an operation of the outage journal was applied."""


class Transaction(Snapshot, Protocol):
    """Queries and writes that become visible together."""

    @property
    def jobs(self) -> JobQueue:
        """The trainings that wait, run or have ended."""

    @property
    def keys(self) -> KeyStore:
        """The keys by which requests are allowed."""

    @property
    def audit(self) -> AuditLog:
        """Who changed what."""

    @property
    def schedules(self) -> ScheduleBook:
        """The schedules by which models are trained again."""

    def next_number(self, name: str) -> str:
        """Return the number of the next version of a model: the highest one, its patch raised by one."""

    def add(self, new: NewVersion, data: bytes | None, model_path: str) -> ModelVersion:
        """Insert a version with all that was measured of it, active if it wants to be.

        Parameters
        ----------
        new : NewVersion
            The version, with its number.
        data : bytes or None
            The bytes of a small artifact, stored once however many versions have them.
        model_path : str
            Where its file is.

        Raises
        ------
        VersionExistsError
            If the model has a version of that number.
        """

    def activate(self, version: ModelVersion, reason: str, at: datetime) -> str | None:
        """Make a version active; return the one that was, None if there was none."""

    def roll_back(self, name: str, at: datetime) -> tuple[str, str]:
        """Return the active pointer to the version before; answer the new and the old active version."""

    def record(self, model_id: str, performances: Iterable[ModelPerformance]) -> None:
        """Append measurements. Raises ModelNotFoundError where there is no such version."""

    def index(self, field: Field) -> None:
        """Make searches for the values of a field read only what they find; it costs every save a little."""

    def measure_again(self) -> None:
        """Count and sum up the measurements of every version anew."""

    def record_run(self, model_id: str, run: Run) -> None:
        """Append a training record. Raises ModelNotFoundError where there is no such version."""

    def record_attempt(
        self,
        name: str,
        attempt: Attempt,
        hyperparameters: Mapping[str, Any],
        model_id: str | None = None,
    ) -> None:
        """Append an attempt to train a model that was no job.

        Parameters
        ----------
        hyperparameters : mapping
            With which it was tried (JSON values).
        model_id : str or None
            The version that it made, whose newest training record this belongs to; None: it made none.
        """

    def withdraw(self, version: ModelVersion, files: Iterable[str], at: datetime) -> None:
        """Drop a version that was just saved; where it is active, the one before it is again."""

    def drop(self, version: ModelVersion, files: Iterable[str]) -> None:
        """Forget a version and all that hangs on it; `files` and bytes without a user become debris."""

    def pin(self, version: ModelVersion, pinned: bool) -> None:
        """Keep a version from every clean-up, or let it go."""

    def forget_debris(self, paths: Iterable[str]) -> None:
        """Strike files off the list of those that await removal."""

    def set_artifact(self, model_id: str, artifact: Artifact) -> None:
        """Record what became known of a version's bytes."""

    def set_seal(self, digest: Digest, seal: Seal, at: datetime) -> None:
        """Record a file whose digest was just checked."""

    def relocate(self, version: ModelVersion, model_path: str) -> None:
        """Record that a version's file is elsewhere now."""

    def set_incomplete(self, incomplete: bool) -> None:
        """Record whether versions that were saved are missing."""

    def accept_loss(self, at: datetime) -> None:
        """Record that what was saved before a moment and is not known here is given up."""

    def mark_replayed(self, operation: str, at: datetime) -> None:
        """Record that an operation of the outage journal is applied."""


class Catalogue(Protocol):
    """A database of versions."""

    def open(self) -> None:
        """Open it, and make it where there is none. Any other call opens it, too."""

    @property
    def catalogue_id(self) -> str:
        """The id that the first opening gave the catalogue."""

    @property
    def location(self) -> str:
        """Where it is, for messages."""

    def read(self) -> AbstractContextManager[Snapshot]:
        """Read from one moment."""

    def write(
        self, by: str = ENGINE, timeout: float | None = None, alone: bool = False
    ) -> AbstractContextManager[Transaction]:
        """Read and write; commits on leaving, rolls back on any error.

        Parameters
        ----------
        by : str
            Who changes something: written down with what is saved, and with every move of an active pointer.
        timeout : float or None
            Seconds to wait for other writers; None for as long as changes usually wait.
        alone : bool
            Whether nobody else may write meanwhile. Saves of different models need not exclude each other;
            what removes bytes excludes them all, since each may be about to refer to the same.
        """

    def stamp(self) -> int | None:
        """Return a number that differs once anybody has committed anything; None where that is not known."""

    def check(self) -> list[str]:
        """Return what is wrong with the database's own structure."""

    def copy_to(self, path: str) -> None:
        """Write the catalogue, as it is at one moment, into a new SQLite file. Writers go on meanwhile."""

    def rehearse(self, work: Callable[[Transaction], None]) -> int:
        """Do something, take it back, and return the bytes that the database would have taken afterwards."""

    def reclaim(self) -> None:
        """Give the space of deleted rows back to the disk."""

    def allocated(self) -> int:
        """Return the bytes that the database takes on the disk."""

    def close(self) -> None:
        """Let go of every connection."""
