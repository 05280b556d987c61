"""Trained models that cover a resource, and what they say of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.given import number_of
from ai_engine.control_plane.moments import stamp
from ai_engine.control_plane.tracks import Track, Tracks, names_of, resource_of
from ai_engine.domain.clock import from_text
from ai_engine.domain.errors import AIEngineError, InvalidInputError
from ai_engine.domain.filters import parse_search
from ai_engine.domain.names import check_name
from ai_engine.registry.registry import Registry
from ai_engine.training.kinds import BUILT_IN

log = logging.getLogger(__name__)

# Active models of a kind that are looked at for one question; each may have to be read from disk.
MOST_MODELS: Final = 20
# A context of three weeks at five minutes tells a forecaster all that it looks at.
MOST_ROWS: Final = 6_048
# So many times worse than carrying the last value forward on the very rows that were sent: another unit, or
# another machine than the model is of.
MISFIT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Version:
    """An active version of a trained model.

    Attributes
    ----------
    name, version : str
    model : object
        As it was stored.
    metrics : mapping
        ``performance_metrics`` of its training (JSON values).
    reading : mapping
        What was understood of the rows of its training.
    trained_at : str
        RFC 3339.
    rows : int
        Rows that it was trained on; 0 where that is not known.
    """

    name: str
    version: str
    model: Any  # a stored object may be of any class
    metrics: Mapping[str, Any]
    reading: Mapping[str, Any]
    trained_at: str
    rows: int

    def measure(self, *names: str) -> float | None:
        """Return the first of some measures that is known."""
        found = (number_of(self.metrics.get(name)) for name in names)
        return next((value for value in found if value is not None), None)

    @property
    def confidence(self) -> tuple[float, str] | None:
        """Return the share of held-out values inside the interval, or the skill, and which of them it is."""
        inside = self.measure("confidence_score")
        if inside is not None:
            return inside, "share of held-out values inside the 90 % interval"
        skill = self.measure("skill")
        if skill is None:
            return None
        return max(
            skill, 0.0
        ), f"skill on held-out rows, 1 - mae / baseline_mae = {skill:.3f} (0 where below)"


@dataclass(frozen=True, slots=True)
class Foretold:
    """What a trained forecaster says.

    Attributes
    ----------
    by : Version
    expected, lower, upper : mapping of str to list of float
        By column of the model, one number a step.
    times : list of float
        The moments of the steps, seconds of the epoch; empty where the model knows of none.
    interval : float
        Seconds between steps.
    knows : bool
        Whether the training saw this resource.
    """

    by: Version
    expected: Mapping[str, list[float]]
    lower: Mapping[str, list[float]]
    upper: Mapping[str, list[float]]
    times: list[float]
    interval: float
    knows: bool

    def of(self, resource: str) -> str | None:
        """Return the column of a resource; None where it is not foretold."""
        return next((name for name in names_of(resource) if name in self.expected), None)


def own_name(kind: str, resource: str) -> str:
    """Return the name of the model that is a resource's alone.

    >>> own_name("resource_prediction", "vm-1")
    'resource_predictor.vm-1'
    >>> own_name("resource_prediction", "../x")
    'resource_predictor.x-d6b96a97d147'
    """
    from hashlib import sha256

    default = BUILT_IN[kind].default_name
    plain = "".join(sign for sign in resource if sign.isascii() and (sign.isalnum() or sign in "_-+."))
    if plain != resource or len(plain) > 100 or plain.endswith("."):
        digest = sha256(resource.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        plain = f"{plain[:100].strip('.')}-{digest}"
    return check_name(f"{default}.{plain}")


def active_versions(registry: Registry, kinds: Sequence[str], resource: str = "") -> Iterator[Version]:
    """Yield the active versions of some kinds: the resource's own, then those of default names, then others.

    What cannot be loaded is logged and left out: another one, or a formula, may do.
    """
    seen = set()
    first = [own_name(kind, resource) for kind in kinds] if resource else []
    first += [name for kind in kinds if (name := BUILT_IN[kind].default_name) is not None]
    entries = []
    for kind in kinds:
        search = parse_search(f"is_active and model_type = '{kind}'", "-updated_at")
        entries += registry.describe(limit=10 * MOST_MODELS, search=search)[0]
    # A model that is one resource's alone says nothing of another.
    own = tuple(f"{BUILT_IN[kind].default_name}." for kind in kinds)
    entries = [e for e in entries if e["name"] in first or not e["name"].startswith(own)]
    entries.sort(key=lambda e: first.index(e["name"]) if e["name"] in first else len(first))
    for entry in entries[:MOST_MODELS]:
        if entry["name"] in seen:
            continue
        seen.add(entry["name"])
        metadata = entry["metadata"]
        told = metadata.get("performance_metrics")
        try:
            model = registry.load(entry["name"], entry["version"])
        except AIEngineError as error:
            log.warning("a model is passed over: %s", error)
            continue
        created = from_text(entry["created_at"])
        reading = metadata.get("reading")
        rows = number_of(reading.get("rows_used")) if isinstance(reading, Mapping) else None
        yield Version(
            entry["name"],
            entry["version"],
            model,
            told if isinstance(told, Mapping) else entry["performance"] or {},
            reading if isinstance(reading, Mapping) else {},
            stamp(created.timestamp() if created else 0.0),
            int(rows or 0),
        )


def foretold(
    registry: Registry, resource: str, tracks: Tracks, wanted: Sequence[str], minutes: float, now: float
) -> Foretold | None:
    """Return what the first trained model says that covers a resource; None where none does.

    It covers it where every column that it needs is among the tracks and it reaches as far, and its training
    knew the resource, or was of one machine without a name, or there is a history for it to go by.

    Parameters
    ----------
    wanted : sequence of str
        Resources of which one at least has to be foretold.
    """
    for version in active_versions(registry, ("resource_prediction", "workload_prediction"), resource):
        found = _foretold(registry, version, resource, tracks, wanted, minutes, now)
        if found is not None:
            return found
    return None


def _foretold(
    registry: Registry,
    version: Version,
    resource: str,
    tracks: Tracks,
    wanted: Sequence[str],
    minutes: float,
    now: float,
) -> Foretold | None:
    # Once there is a model: scikit-learn takes a second to import, and formulas need none of it.
    from ai_engine.training.calls import reading_of
    from ai_engine.training.estimators.fleet import FleetForecasterV1
    from ai_engine.training.estimators.forecaster import ForecasterV1
    from ai_engine.training.estimators.workload import WorkloadForecasterV1
    from ai_engine.training.prediction import predict

    outer = version.model
    model = outer.forecaster if isinstance(outer, WorkloadForecasterV1) else outer
    if not isinstance(model, (ForecasterV1, FleetForecasterV1)) or version.confidence is None:
        return None
    columns = {name: tracks.by_name.get(name) or tracks.of(resource_of(name)) for name in model.columns}
    interval = model.interval or 60.0
    steps = max(1, int(np.ceil(minutes * 60 / interval - 1e-9)))
    targets = [name for name in model.targets if any(name in names_of(one) for one in wanted)]
    present = {name: track for name, track in columns.items() if track is not None}
    if len(present) < len(columns) or steps > model.horizon or not targets:
        return None
    vm, knows, nameless = _known(registry, version, outer, resource)
    rows = _rows(present, version.reading, vm, now)
    if not (knows or len(rows) > 1 or (nameless and _alike(registry, version, present))):
        return None
    reading = partial(reading_of, registry, version.name, version.version)
    try:
        if len(rows) >= 2 * steps + 8 and _misfits(outer, rows, targets[0], steps, reading):
            return None
        told = predict(outer, rows[-MOST_ROWS:], steps, reading)
    except InvalidInputError:
        return None  # the columns fit, and the rows do not
    times = [found for row in told if (found := _moment(row["timestamp"])) is not None]
    return Foretold(
        version,
        {name: [float(row[name]) for row in told] for name in targets},
        {name: [float(row[f"{name}_lower"]) for row in told] for name in targets},
        {name: [float(row[f"{name}_upper"]) for row in told] for name in targets},
        times,
        interval,
        knows,
    )


def _known(
    registry: Registry, version: Version, model: Any, resource: str
) -> tuple[str | int | None, bool, bool]:
    """Return the machine as the model calls it, whether it knows it, and whether it knows of none by name."""
    from ai_engine.training.estimators.fleet import FleetForecasterV1
    from ai_engine.training.estimators.workload import WorkloadForecasterV1

    known: set[Any] = set()
    if isinstance(model, WorkloadForecasterV1):
        known |= set(model.levels)
        model = model.forecaster
    if isinstance(model, FleetForecasterV1):
        known |= {vm for forecast in model.forecasts for vm in forecast.beliefs}
    nameless = version.reading.get("group_column") is None
    if not known and not nameless:
        report = registry.report(version.name, version.version) or {}
        by_group = report.get("by_group") or {}
        known = {one.get("group") for told in by_group.values() for one in told.get("named") or ()}
    if version.name.endswith(own_name("resource_prediction", resource).partition(".")[2]):
        nameless = True
    for vm in known:
        if vm is not None and str(vm) == resource:
            return vm, True, False
    return resource, False, nameless or known == {None}


def _alike(registry: Registry, version: Version, columns: Mapping[str, Track]) -> bool:
    """Tell whether present numbers lie where those of the training did, as its report shows them.

    A model of one machine without a name may be of another one, or in another unit: of a single row nothing
    else tells.
    """
    report = registry.report(version.name, version.version) or {}
    shown = report.get("forecast") or {}
    for name, track in columns.items():
        windows = (shown.get(name) or {}).get("shown") or ()
        seen = [value for window in windows for value in window.get("observed") or () if value is not None]
        if seen:
            low, high = min(seen), max(seen)
            room = high - low + 0.1 * max(abs(low), abs(high))
            within = (low - room <= track.values) & (track.values <= high + room)
            if not within.all() or (low > 0 and (track.values < low / MISFIT).any()):
                return False
    return True


def _rows(
    columns: Mapping[str, Track], reading: Mapping[str, Any], vm: str | int | None, now: float
) -> list[dict[str, Any]]:
    """Return the rows that a model reads, as it calls its columns."""
    time_column = reading.get("time_column") or "timestamp"
    group_column = reading.get("group_column")
    timed = all(track.times is not None for track in columns.values())
    by_moment: dict[float, dict[str, Any]] = {}
    longest = max(map(len, columns.values()))
    for name, track in columns.items():
        # Without times the newest numbers of each column belong together, and the last ones are of now.
        moments = (
            track.times if timed and track.times is not None else now - 60.0 * np.arange(len(track))[::-1]
        )
        for at, value in zip(np.asarray(moments).tolist(), track.values.tolist(), strict=True):
            by_moment.setdefault(at, {})[name] = value
    rows = []
    for at in sorted(by_moment)[-max(MOST_ROWS, 1) :]:
        row = by_moment[at]
        if timed or longest == 1:
            row[time_column] = at
        if group_column:
            row[group_column] = vm
        rows.append(row)
    return rows


def _misfits(model: Any, rows: list[dict[str, Any]], target: str, steps: int, reading: Any) -> bool:
    """Tell whether a model is far worse on the last rows than carrying the value before them forward."""
    from ai_engine.training.prediction import predict

    earlier, later = rows[:-steps], [row[target] for row in rows[-steps:] if target in row]
    last = next((row[target] for row in reversed(earlier) if target in row), None)
    if last is None or not later:
        return False
    told = [row[target] for row in predict(model, earlier[-MOST_ROWS:], steps, reading)]
    seen = np.array(later)
    naive = float(np.abs(seen - last).mean())
    spread = float(np.std([row[target] for row in rows if target in row]))
    error = float(np.abs(np.resize(told, len(seen)) - seen).mean())
    return error > MISFIT * max(naive, spread)


def _moment(text: Any) -> float | None:
    found = from_text(text)
    return None if found is None else found.timestamp()


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a trained detector says of rows, the newest last."""

    by: Version
    verdicts: list[dict[str, Any]]
    columns: tuple[str, ...]


def verdicts(registry: Registry, resource: str, tracks: Tracks, now: float) -> Verdicts | None:
    """Return what the first trained detector says that covers a resource; None where none does."""
    for version in active_versions(registry, ("anomaly_detection",), resource):
        from ai_engine.training.calls import reading_of
        from ai_engine.training.estimators.anomaly import AnomalyDetectorV2
        from ai_engine.training.prediction import predict

        model = version.model
        if not isinstance(model, AnomalyDetectorV2):
            continue
        columns = {
            name: tracks.by_name.get(name) or tracks.of(resource_of(name)) for name in model.encoding.columns
        }
        present = {name: track for name, track in columns.items() if track is not None}
        if len(present) < len(columns):
            continue
        vm = next((one for one in model.pasts if one is not None and str(one) == resource), resource)
        rows = _rows(present, version.reading, vm, now)
        reading = partial(reading_of, registry, version.name, version.version)
        try:
            return Verdicts(version, predict(model, rows, None, reading), tuple(columns))
        except InvalidInputError:
            continue
    return None
