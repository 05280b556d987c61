"""What trained forecasters that cover a resource say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.tracks import Track, Tracks, names_of, resource_of
from ai_engine.control_plane.trained import MOST_ROWS, Version, active_versions, own_name, rows_of
from ai_engine.domain.clock import from_text
from ai_engine.domain.errors import InvalidInputError
from ai_engine.registry.registry import Registry

# So many times worse than carrying the last value forward on the very rows that were sent: another unit, or
# another machine than the model is of.
MISFIT: Final = 5.0


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
    rows = rows_of(present, version.reading, vm, now)
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
