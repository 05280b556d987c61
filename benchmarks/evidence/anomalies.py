"""What are anomaly detection and migration prediction worth, beside what they are to reach?

Server machines (SMD) are learned without labels from the train file, given the minute of each row, and
are judged row by row by the labels of the test file: average precision beside that of an isolation forest
of 200 trees, and F1 at the model's own threshold. NAB files are learned from their probationary rows and
scored by the standard profile on the model's own flags. OSIC durations are learned from the first 70 % of
each configuration and measured on the last 30 %, beside the median of each configuration.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score

from ai_engine.training.engine import Trained, fit
from ai_engine.training.evaluation import measure_flags
from ai_engine.training.request import TrainingRequest

DATA: Final = Path(__file__).resolve().parents[2].parent / "shared" / "data"
START: Final = 1_600_000_000
CONFIGURATION: Final = ("storage", "variant", "tunneling", "flavor", "vcpus", "ram_gb", "disk_gb", "parallel")
AFTERWARDS: Final = ("leg", "vm_slot", "source", "target")
WHOLE: Final = frozenset({"vcpus", "ram_gb", "disk_gb", "parallel", "vm_slot"})

Row = dict[str, Any]  # JSON values


def train(kind: str, rows: list[Row], **given: Any) -> Trained:
    def ignore(fraction: float, message: str) -> None: ...

    return fit(TrainingRequest(kind, name="benchmark", **given), rows, ignore)


def nab_score(n_rows: int, flagged: Sequence[int], windows: Sequence[tuple[int, int]]) -> tuple[float, int]:
    """Return the raw score of the standard profile, and how many windows count.

    Parameters
    ----------
    n_rows : int
        Of the file.
    flagged : sequence of int
        The rows that are flagged.
    windows : sequence of pair of int
        The first and the last row of each labelled window.

    References
    ----------
    Lavin & Ahmad (2015), Evaluating real-time anomaly detection algorithms, ICMLA, arXiv:1510.03336, sec.
    III: the first 15 % of a file (of at most 5,000 rows) do not count; in a window the earliest flag
    counts, by a sigmoid of its place; a flag outside costs 0.11 times the sigmoid of its distance from
    the window before it; a window without a flag costs 1. Numenta's ``nab/sweeper.py`` is the reference.

    Examples
    --------
    >>> nab_score(100, [50], [(50, 59)])
    (1.0, 1)
    >>> nab_score(100, [], [(50, 59)])
    (-1.0, 1)
    >>> nab_score(100, [20, 50], [(50, 59)])
    (0.89, 1)
    """
    probation = probationary(n_rows)
    best = {window: -1.0 for window in windows if window[1] >= probation}
    wrong = 0.0
    for row in flagged:
        if row < probation:
            continue
        inside = next((window for window in windows if window[0] <= row <= window[1]), None)
        if inside is not None:
            first, last = inside
            place = _sigmoid(-(last - row + 1) / (last - first + 1)) / _sigmoid(-1.0)
            best[inside] = max(best[inside], place)
            continue
        before = [window for window in windows if window[1] < row]
        distance = (row - before[-1][1]) / (before[-1][1] - before[-1][0]) if before else 3.0
        wrong += 0.11 * _sigmoid(distance)
    return sum(best.values()) + wrong, len(best)


def probationary(n_rows: int) -> int:
    return int(min(math.floor(0.15 * n_rows), 0.15 * 5_000))


def _sigmoid(place: float) -> float:
    return -1.0 if place >= 3.0 else 2 / (1 + math.exp(5 * place)) - 1


def servers(machines: Sequence[str]) -> list[Row]:
    found = []
    for machine in machines:
        part = DATA / "smd" / f"machine-{machine}"
        known = pq.read_table(f"{part}_train.parquet").to_pylist()
        rows = pq.read_table(f"{part}_test.parquet").to_pylist()
        labels = np.array([row.pop("label") == 1 for row in rows])
        matrix: list[npt.NDArray[np.float64]] = [
            np.array([list(row.values()) for row in part_rows]) for part_rows in (known, rows)
        ]
        forest = IsolationForest(n_estimators=200, random_state=0).fit(matrix[0])
        for number, row in enumerate([*known, *rows]):
            row["timestamp"] = START + 60 * number
        answer = train("anomaly_detection", known).estimator.predict(rows)
        flags = np.array([row["is_anomaly"] for row in answer])
        precision = float(average_precision_score(labels, [row["score"] for row in answer]))
        forest_precision = float(average_precision_score(labels, -forest.score_samples(matrix[1])))
        found.append(
            {
                "machine": machine,
                "average_precision": precision,
                "isolation_forest": forest_precision,
                "f1": measure_flags(labels, flags).f1,
                "flagged": float(flags.mean()),
                "labelled": float(labels.mean()),
            }
        )
    return found


def series(most: int | None) -> list[Row]:
    found: list[Row] = []
    told = json.loads((DATA / "nab" / "labels.json").read_text())["windows"]
    for name, spans in list(told.items())[:most]:
        with gzip.open(DATA / "nab" / f"{Path(name).name}.gz", "rt") as file:
            rows: list[Row] = [row | {"value": float(row["value"])} for row in csv.DictReader(file)]
        moments = [row["timestamp"] for row in rows]
        windows = [(moments.index(first[:19]), moments.index(last[:19])) for first, last in spans]
        start = probationary(len(rows))
        answer = train("anomaly_detection", rows[:start]).estimator.predict(rows[start:])
        flagged = [start + number for number, row in enumerate(answer) if row["is_anomaly"]]
        score, counted = nab_score(len(rows), flagged, windows)
        found.append({"file": Path(name).stem, "score": score, "windows": counted, "flags": len(flagged)})
    return found


def durations() -> list[Row]:
    with gzip.open(DATA / "migration_osic" / "migrations.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in CONFIGURATION)].append(row)
    known: list[Row] = []
    rest: list[Row] = []
    errors: list[float] = []
    for group in groups.values():
        cut = round(0.7 * len(group))
        known += group[:cut]
        rest += group[cut:]
        median = float(np.median([float(row["duration_s"]) for row in group[:cut]]))
        errors += [abs(float(row["duration_s"]) - median) for row in group[cut:]]
    observed = np.array([float(row["duration_s"]) for row in rest])
    found = []
    for name, columns in (("known before", CONFIGURATION), ("all", (*CONFIGURATION, *AFTERWARDS))):
        made = train(
            "migration_prediction",
            [_cells(row, columns) | {"duration_s": float(row["duration_s"])} for row in known],
        )
        answer = made.estimator.predict([_cells(row, columns) for row in rest])
        said, lower, upper = (
            np.array([row[f"duration_s{end}"] for row in answer]) for end in ("", "_lower", "_upper")
        )
        found.append(
            {
                "columns": name,
                "mae_s": float(np.abs(said - observed).mean()),
                "median_by_configuration": float(np.mean(errors)),
                "inside_90": float(((lower <= observed) & (observed <= upper)).mean()),
            }
        )
    return found


def _cells(row: Row, columns: Sequence[str]) -> Row:
    return {name: int(row[name]) if name in WHOLE else row[name] for name in columns}
