"""Which versions to keep. Pure: records in, versions to drop out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ai_engine.domain.entities import ModelVersion
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.performance import HIGHER_IS_BETTER, REALS
from ai_engine.domain.versions import sort_key


@dataclass(frozen=True, slots=True)
class Policy:
    """What to keep; a version stays if any of these rules keeps it, and the active one always does.

    Attributes
    ----------
    keep_versions : int or None
        So many of the highest versions of each model.
    younger_than : timedelta or None
        All that were saved within it.
    best, metric : int or None, str
        So many of the best by a metric of ModelPerformance, as it was measured last.
    keep_previous : bool
        The version that a rollback would return to.
    name : str or None
        The one model that the policy is for; None for all.

    Raises
    ------
    InvalidInputError
        If a number is below 1, the metric is unknown, or no rule keeps anything.
    """

    keep_versions: int | None = None
    younger_than: timedelta | None = None
    best: int | None = None
    metric: str = "mae"
    keep_previous: bool = False
    name: str | None = None

    def __post_init__(self) -> None:
        for field in ("keep_versions", "best"):
            value = getattr(self, field)
            if value is not None and (type(value) is not int or value < 1):
                raise InvalidInputError(field, f"{value!r} is not a whole number of at least 1")
        if self.younger_than is not None and self.younger_than <= timedelta(0):
            raise InvalidInputError("younger_than", f"{self.younger_than} is not a length of time")
        if self.metric not in REALS:
            raise InvalidInputError("metric", f"{self.metric!r} is not one of {', '.join(REALS)}")
        if self.keep_versions is None and self.younger_than is None and self.best is None:
            raise InvalidInputError("policy", "keeps nothing; say how many versions, how young or how good")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version, with what a policy asks of it.

    Attributes
    ----------
    measured : float or None
        The policy's metric as it was measured last.
    previous : bool
        Whether a rollback would return to it.
    """

    version: ModelVersion
    created_at: datetime | None
    pinned: bool
    measured: float | None
    previous: bool


def to_drop(candidates: Iterable[Candidate], policy: Policy, now: datetime) -> list[ModelVersion]:
    """Return the versions that no rule of the policy keeps, lowest first within each model."""
    by_name: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_name[candidate.version.name].append(candidate)
    return [
        candidate.version for of_one in by_name.values() for candidate in _drop_of_one(of_one, policy, now)
    ]


def _drop_of_one(candidates: list[Candidate], policy: Policy, now: datetime) -> list[Candidate]:
    kept = {c.version.seq for c in candidates if c.version.is_active or c.pinned}
    lowest_first = sorted(candidates, key=_rank)
    if policy.keep_versions is not None:
        kept |= {c.version.seq for c in lowest_first[-policy.keep_versions :]}
    if policy.younger_than is not None:
        since = now - policy.younger_than
        kept |= {c.version.seq for c in candidates if c.created_at is None or c.created_at > since}
    if policy.best is not None:
        measured = [(c.measured, c.version.seq) for c in candidates if c.measured is not None]
        best_first = sorted(measured, reverse=policy.metric in HIGHER_IS_BETTER)
        kept |= {seq for _, seq in best_first[: policy.best]}
    if policy.keep_previous:
        kept |= {c.version.seq for c in candidates if c.previous}
    return [c for c in lowest_first if c.version.seq not in kept]


def _rank(candidate: Candidate) -> tuple[str, int]:
    return sort_key(candidate.version.version, candidate.version.seq), candidate.version.seq
