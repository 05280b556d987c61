"""The records that travel between the layers: plain, frozen, without any I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, NewType

from ai_engine.domain.performance import ModelPerformance

if TYPE_CHECKING:
    from ai_engine.domain.schedules import Schedule

ModelId = NewType("ModelId", str)
Digest = NewType("Digest", str)  # "algorithm:hex"
# What tells, without reading them, that stored bytes are those that were read before. Only their store knows
# how to read it.
Identity = NewType("Identity", str)


class Place(StrEnum):
    """Where the bytes of a version are."""

    ROW = "row"  # in the catalogue, in the same commit as the version
    STORE = "store"  # in the artifact store, by digest
    PATH = "path"  # where the original software wrote them; read, never removed


class Seal(NamedTuple):
    """A file whose digest was checked, as it was then; while it is so it need not be read again.

    Attributes
    ----------
    code : str
        The digest of the part that loading executes, which is checked at every loading; where versions are
        signed, a signature over it.
    """

    identity: Identity
    code: str


@dataclass(frozen=True, slots=True)
class Run:
    """One training attempt: when, on how much, with what, how good.

    Attributes
    ----------
    started, completed : datetime or None
        A naive one is local time.
    dataset_size : int or None
        Rows that were given.
    hyperparameters : dict
        As used, defaults included.
    validation_score : float or None
        On rows that the fit did not see.
    report : mapping or None
        What was measured in detail (JSON values). It may be long, so it is read by itself; a run that was
        read from a list has none.
    """

    started: datetime | None
    completed: datetime | None
    dataset_size: int | None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    validation_score: float | None = None
    report: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """The stored bytes of a version, and what it takes to make the object of them again.

    Attributes
    ----------
    place : Place
        Which store has them.
    digest : Digest or None
        None for bytes of the original software that nobody has read yet.
    format : str
        ``pickle`` or ``mapped``.
    size : int or None
        Bytes.
    python : str or None
        The version of Python at saving.
    packages : dict
        The packages that the pickle names, with their versions at saving.
    store : str or None
        The id of the artifact store that has them, where one does.
    signature : str or None
        By which who saved them is known, where versions are signed.
    """

    place: Place
    digest: Digest | None
    format: str
    size: int | None
    python: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    store: str | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable save of a model.

    Attributes
    ----------
    seq : int
        Its position in the order of creation.
    is_active : bool
        Whether `get_model(name)` returned it at the time of reading.
    """

    model_id: ModelId
    name: str
    version: str
    seq: int
    is_active: bool
    model_path: str
    artifact: Artifact

    @property
    def label(self) -> str:
        """How messages call it: ``name@version``."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version that is about to be saved; without a number it gets the next one.

    Attributes
    ----------
    metadata : mapping
        Of values that JSON has.
    created_at : datetime
        Aware.
    performance, run : ModelPerformance, Run or None
        Recorded in the same transaction.
    """

    model_id: ModelId
    name: str
    version: str | None
    model_type: str | None
    algorithms: tuple[str, ...]
    metadata: Mapping[str, Any]
    activate: bool
    artifact: Artifact
    created_at: datetime
    performance: ModelPerformance | None = None
    run: Run | None = None


class SavedVersion(str):
    """What a save answers: the id of the version, which is a text, and what else the save settled.

    Attributes
    ----------
    name, version : str
        The model, and the number that the version got.
    active : bool
        Whether `get_model(name)` returns it from now on.

    Examples
    --------
    >>> saved = SavedVersion("cpu#5e7d", "cpu", "1.0.0", active=True)
    >>> saved == "cpu#5e7d", saved.name, saved.version
    (True, 'cpu', '1.0.0')
    """

    name: str
    version: str
    active: bool

    def __new__(cls, model_id: str, name: str, version: str, active: bool) -> SavedVersion:
        """Return the id `model_id` with what belongs to it."""
        saved = super().__new__(cls, model_id)
        saved.name, saved.version, saved.active = name, version, active
        return saved

    def __reduce__(self) -> tuple[object, ...]:
        return SavedVersion, (str(self), self.name, self.version, self.active)

    @property
    def model_id(self) -> ModelId:
        """The id alone."""
        return ModelId(str(self))


@dataclass(frozen=True, slots=True)
class PointerMove:
    """What a change of the active version came to.

    Attributes
    ----------
    version, previous_version : str or None
        The active one now, and before; None where none was.
    """

    version: str
    previous_version: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a registry can do all that it is for.

    Attributes
    ----------
    status : str
        ``healthy`` or ``degraded``.
    reason : str or None
        Why it is degraded, and what to do.
    waiting : int
        Operations that wait for the database.
    in_memory_only : int
        Versions that could not be stored and end with the process.
    damaged : tuple of str
        Versions whose bytes were found changed, as ``name@version``.
    journal, database : str
        Where they are.
    schedules : tuple of Schedule or None
        By which models are trained again, first those that somebody should do something about, a hundred at
        most; None where they cannot be read now.
    """

    status: str
    reason: str | None
    waiting: int
    in_memory_only: int
    damaged: tuple[str, ...]
    journal: str
    database: str
    schedules: tuple[Schedule, ...] | None = None


@dataclass(frozen=True, slots=True)
class Activation:
    """One step of the active pointer.

    Attributes
    ----------
    actor, reason : str
        Who moved it, and why.
    """

    name: str
    version: str
    activated_at: datetime | None
    actor: str
    reason: str
