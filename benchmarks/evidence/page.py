"""The page of what was measured, beside where it stood and what is to be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any, Final

Row = dict[str, Any]  # JSON values


@dataclass(frozen=True, slots=True)
class Target:
    """One figure: in which part it is measured, how it is found there, and what it is to be.

    Attributes
    ----------
    part, title : str
        Of `PARTS`, and what is measured.
    before : str
        Where it stood at first.
    wanted : str
        ``<= 0.7`` or ``>= 0.85``; empty where nothing is asked of it.
    found : callable
        Takes it out of what a part measured.
    spread : callable or None
        Takes the lowest and the highest out of it, where it was measured several times.
    """

    part: str
    title: str
    before: str
    wanted: str
    found: Callable[[Any], float]
    spread: Callable[[Any], list[float]] | None = None


def _fleet(key: str, title: str, before: str, wanted: str) -> Target:
    return Target(
        "fleet",
        title,
        before,
        wanted,
        lambda runs: mean(run[key] for run in runs),
        lambda runs: [run[key] for run in runs],
    )


def _nab(files: list[Row]) -> float:
    windows: int = sum(row["windows"] for row in files)
    score: float = sum(row["score"] for row in files)
    return 100 * (score + windows) / (2 * windows)


def _million(kind: str, key: str) -> Callable[[Any], float]:
    def found(costs: Row) -> float:
        most = max(row["rows"] for row in costs["trainings"])
        asked = (row for row in costs["trainings"] if row["kind"] == kind and row["rows"] == most)
        value: float = next(asked)[key]
        return value

    return found


TARGETS: Final = (
    _fleet("g", "Bitbrains: MASE to the seasonal naive, geometric mean over 60 series", "0.816", "<= 0.70"),
    _fleet("r", "the same, ratio of means", "0.901", "<= 0.72"),
    _fleet("worse_than_seasonal_naive", "series worse than it, share", "0.22", "<= 0.08"),
    _fleet("worst", "the worst of them, times", "3.6", "<= 1.3"),
    _fleet("covered_85_to_95", "series whose 90 % interval holds 85 to 95 %, share", "0.38", ">= 0.85"),
    _fleet("interval_score", "scaled interval score, geometric mean", "6.62", "<= 4.0"),
    _fleet("quantile_loss", "quantile loss at 5, 50, 95 %, mean over series", "0.147", "<= 0.100"),
    _fleet("training_cpu_seconds", "CPU seconds to train", "", "<= 60"),
    _fleet("prediction_cpu_seconds", "CPU seconds for 600 contexts of 6,048 rows", "", ""),
    Target(
        "servers",
        "SMD: average precision to an isolation forest's, ratio of means",
        "1.35",
        ">= 1.6",
        lambda rows: (
            sum(row["average_precision"] for row in rows) / sum(row["isolation_forest"] for row in rows)
        ),
    ),
    Target(
        "servers",
        "plain F1 at its own threshold",
        "0.198",
        ">= 0.35",
        lambda rows: mean(r["f1"] or 0.0 for r in rows),
    ),
    Target("series", "NAB, standard profile, own flags", "-1092", ">= 70", _nab),
    Target(
        "migrations",
        "OSIC: error of durations, s, what a planner knows",
        "6.80",
        "<= 6.3",
        lambda r: r[0]["mae_s"],
    ),
    Target(
        "migrations", "the same with leg, slot and hosts", "5.72", "<= 5.6", lambda rows: rows[1]["mae_s"]
    ),
    Target("planetlab", "PlanetLab: error of 12 steps, CPU points", "", "", lambda row: row["mae"]),
    Target(
        "planetlab",
        "the median of the last hour, on the same",
        "",
        "",
        lambda row: row["median_of_the_last_hour"],
    ),
    Target(
        "costs",
        "CPU s, 1,000,000 rows: resource_prediction",
        "40",
        "",
        _million("resource_prediction", "cpu_seconds"),
    ),
    Target("costs", "peak MiB of it", "1902", "", _million("resource_prediction", "peak_mib")),
    Target("costs", "CPU s: anomaly_detection", "23", "", _million("anomaly_detection", "cpu_seconds")),
    Target("costs", "peak MiB of it", "1748", "", _million("anomaly_detection", "peak_mib")),
    Target("costs", "CPU s: regression", "39", "", _million("regression", "cpu_seconds")),
    Target("costs", "peak MiB of it", "1715", "", _million("regression", "peak_mib")),
    Target(
        "costs",
        "reading CSV, CPU microseconds a row",
        "19",
        "<= 2",
        lambda found: found["reading"][0]["microseconds"],
    ),
    Target(
        "costs", "reading CSV, peak bytes a row", "1600", "<= 100", lambda found: found["reading"][0]["bytes"]
    ),
    Target(
        "costs",
        "CPU s: forecasts for 700 VMs of 330 rows",
        "3.3",
        "<= 2",
        lambda found: found["predictions"][0]["cpu_seconds"],
    ),
)


def met(wanted: str, found: float) -> bool | None:
    """Tell whether a figure is what is to be reached; None where nothing is asked of it.

    >>> met("<= 0.7", 0.7), met(">= 0.85", 0.8), met("", 1.0)
    (True, False, None)
    """
    if not wanted:
        return None
    bound = float(wanted[2:])
    return found <= bound if wanted.startswith("<=") else found >= bound


def table(kept: Mapping[str, Any]) -> str:
    """Return every figure that was measured as a table in Markdown."""
    lines = ["| | before | to reach | measured | |", "|---|---|---|---|---|"]
    for target in TARGETS:
        if target.part not in kept:
            continue
        found = kept[target.part]["found"]
        value = target.found(found)
        shown = f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
        runs = target.spread(found) if target.spread is not None else []
        if len(runs) > 1:
            shown += f" ({min(runs):.3g} to {max(runs):.3g})"
        verdict = {None: "", True: "reached", False: "**missed**"}[met(target.wanted, value)]
        lines.append(f"| {target.title} | {target.before} | {target.wanted} | {shown} | {verdict} |")
    return "\n".join(lines)


def page(kept: Mapping[str, Any]) -> str:
    """Return the page."""
    parts = [
        "# What the models are worth",
        "Written by `OMP_NUM_THREADS=1 python -m benchmarks.evidence`, which says what each figure is; where "
        "there are two numbers more, they are the least and most of three seeds. What was chosen after its "
        "rows had been seen, and what was tried for what is missed, stands in "
        "[How are models trained and measured?](design/11-training.md). [What the numbers mean](numbers.md).",
        table(kept),
    ]
    if "costs" in kept:
        found = kept["costs"]["found"]
        parts += ["## Reading", _rows(found["reading"]), "## Training", _rows(found["trainings"])]
        parts += ["## Forecasts in one call", _rows(found["predictions"])]
    for part, title in (("servers", "SMD, by machine"), ("series", "NAB, by file"), ("migrations", "OSIC")):
        if part in kept:
            parts += [f"## {title}", _rows(kept[part]["found"])]
    if "fleet" in kept:
        worst = sorted({run["worst_series"] for run in kept["fleet"]["found"]})
        parts.append(f"The series that is worst of all: {', '.join(worst)}.")
    measured = sorted({f"{part['measured'][:10]}, {part['machine']}" for part in kept.values()})
    parts.append(f"Measured {'; '.join(measured)}.")
    return "\n\n".join(parts) + "\n"


def _shown(cell: object) -> str:
    """Return a cell, numbers with three digits that count."""
    if isinstance(cell, float):
        return f"{cell:.3g}" if abs(cell) < 1000 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _rows(rows: list[Row]) -> str:
    names = [name.replace("_", " ") for name in rows[0]]
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for row in rows:
        cells = map(_shown, row.values())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
