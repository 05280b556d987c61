"""To which of some hosts a VM had best migrate: by the expected time, the risk, and the room on the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.extras import require_training_packages
from ai_engine.training.host_load import Load, loads
from ai_engine.training.prediction import Reading, predict

FIELD: Final = "candidates"
MOST_CANDIDATES: Final = 1_000
# What trainings call the host that a VM goes to.
DESTINATIONS: Final = (
    *("target", "target_host", "destination", "destination_host", "dest", "dest_host", "dst", "dst_host"),
    "to_host",
)
# What a candidate tells of the host and a row tells of the VM, under one name.
OF_BOTH: Final = ("host", "cpu_percent", "memory_percent", "cpu_cores", "memory_mb")
# A failure that is all but certain still leaves an expected time.
MOST_RISK: Final = 0.99


@dataclass(frozen=True, slots=True)
class Ranked:
    """What is foretold of a migration, and of the hosts that it may go to, the best one first."""

    predictions: list[dict[str, Any]]
    ranking: list[dict[str, Any]]


def rank(
    model: Any,
    rows: Sequence[Any],
    candidates: Sequence[Any],
    horizon: int | None = None,
    reading: Reading | None = None,
) -> Ranked:
    """Return the candidates for a migration, best first, with the prediction of the migration itself.

    The model foretells the migration to each candidate: its columns take the place of the row's, and its
    ``host`` that of a column of destinations; ``cpu_percent`` and the like stay the VM's where the row has
    them, and are the host's for its load (see `host_load.loads`). What the row leaves open is foretold of the
    best candidate.

    Parameters
    ----------
    model : object
        A stored object (of any type); a `MigrationV1`.
    rows : sequence
        One JSON object, the migration.
    candidates : sequence
        JSON objects with a ``host`` each, and whatever is known of it.
    horizon : int, optional
        Refused.
    reading : callable, optional
        As `predict` takes it.

    Returns
    -------
    Ranked
        Each entry of the ranking has ``host score duration_s failure_probability? reasons``. The score is
        from 0 to 1, a product: the shortest expected time until success over the candidate's, a failed
        attempt taking as long as another; and the room on the host.

    Raises
    ------
    InvalidInputError
        If the model does not foretell migrations, or the row or a candidate cannot be used.
    """
    require_training_packages()
    from ai_engine.training.estimators.migration import MigrationV1  # needs them
    from ai_engine.training.estimators.tabular import refuse_horizon

    if not isinstance(model, MigrationV1):
        raise InvalidInputError(
            FIELD,
            "only a model of migrations ranks hosts; leave them out, or name a model that was trained as "
            "migration_prediction",
        )
    refuse_horizon(horizon)
    hosts = _checked(candidates)
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], Mapping):
        raise InvalidInputError(
            "data", "with candidates, give a list of exactly one row: the migration that is to be planned"
        )
    row, columns = rows[0], model.encoding.columns
    alone = predict(model, rows, None, reading) if all(column in row for column in columns) else None
    placed = [_placed(row, host, columns) for host in hosts]
    try:
        foretold = predict(model, placed, None, reading)
    except InvalidInputError as error:
        where = error.field.replace("data", FIELD, 1) if alone is not None else error.field
        raise InvalidInputError(where, error.problem) from error
    entries = _ranking(hosts, foretold, [loads(host, row) for host in hosts])
    best = next(number for number, host in enumerate(hosts) if host["host"] == entries[0]["host"])
    return Ranked(alone or [foretold[best]], entries)


def _checked(candidates: Sequence[Any]) -> list[Mapping[str, Any]]:
    if not isinstance(candidates, list) or not 1 <= len(candidates) <= MOST_CANDIDATES:
        raise InvalidInputError(
            FIELD,
            f'give a list of 1 to {MOST_CANDIDATES} hosts, each an object such as {{"host": "h1", '
            '"cpu_percent": 40}',
        )
    seen: set[str] = set()
    for number, one in enumerate(candidates):
        if not isinstance(one, Mapping):
            raise InvalidInputError(f"{FIELD}[{number}]", 'is no object; give one such as {"host": "h1"}')
        host = one.get("host")
        if isinstance(host, bool) or not isinstance(host, (str, int)) or host == "":
            raise InvalidInputError(f"{FIELD}[{number}].host", "is missing; name the host")
        if str(host) in seen:
            raise InvalidInputError(f"{FIELD}[{number}].host", f"is {host!r} a second time; give each once")
        seen.add(str(host))
    return candidates


def _placed(row: Mapping[str, Any], host: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """Return the row of a migration to a host."""
    told = {name: value for name, value in host.items() if not (name in OF_BOTH and name in row)}
    where = {name: host["host"] for name in DESTINATIONS if name in columns and name not in told}
    return {**row, **told, **where}


def _ranking(
    hosts: Sequence[Mapping[str, Any]],
    foretold: Sequence[Mapping[str, Any]],
    known: Sequence[Sequence[Load]],
) -> list[dict[str, Any]]:
    expected = [
        one["duration_s"] / (1 - min(one.get("failure_probability", 0.0), MOST_RISK)) for one in foretold
    ]
    shortest = min(expected)
    alike = max(expected) - shortest <= 1e-6 * max(expected)
    ranked = []
    for number, (host, one, load, seconds) in enumerate(zip(hosts, foretold, known, expected, strict=True)):
        speed = 1.0 if alike or seconds <= 0 else shortest / seconds
        room = min((part.room for part in load), default=1.0)
        entry = {"host": host["host"], "score": speed * room, "duration_s": one["duration_s"]}
        if "failure_probability" in one:
            entry["failure_probability"] = one["failure_probability"]
        fullest = max((part.percent for part in load), default=0.0)
        reasons = _reasons(one, seconds - shortest, load, alone=len(hosts) == 1, alike=alike)
        ranked.append(((-entry["score"], fullest, seconds, number), entry | {"reasons": reasons}))
    return [entry for _, entry in sorted(ranked, key=lambda one: one[0])]


def _reasons(
    one: Mapping[str, Any], later: float, load: Sequence[Load], *, alone: bool, alike: bool
) -> list[str]:
    """Return in words what a place in the ranking rests on."""
    told = (
        f"{_seconds(one['duration_s'])} expected, in 9 of 10 migrations "
        f"{_seconds(one['duration_s_lower'])} to {_seconds(one['duration_s_upper'])}"
    )
    reasons = [told]
    if "failure_probability" in one:
        reasons.append(f"{100 * one['failure_probability']:.0f} % risk of failure")
    if not alone:
        if alike:
            reasons.append("the model expects the same of every candidate")
        elif later <= 0:
            reasons.append("the shortest expected time until it succeeds")
        else:
            reasons.append(f"{_seconds(later)} longer until it succeeds than with the quickest candidate")
    if not load:
        reasons.append("how full the host is was not given (cpu_percent, memory_percent)")
    return reasons + [part.told() for part in load]


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"
