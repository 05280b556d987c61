"""What past migrations show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.answers import (
    MigrationPattern,
    MigrationPatterns,
)
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.given import Given, number_of
from ai_engine.domain.errors import NotAnswerableError

_SUCCEEDED: Final = ("success", "successful", "completed", "succeeded", "ok", "true")


_FAILED: Final = ("failed", "failure", "error", "aborted", "cancelled", "false")


def migration_patterns(question: Question) -> Outcome:
    """Return how migrations of each kind went.

    Raises
    ------
    NotAnswerableError
        If no record tells both how long it took and whether it succeeded.
    """
    groups: dict[str, list[tuple[float, bool]]] = {}
    left: Counter[str] = Counter()
    for row in Given(question.fields).items("historical_data"):
        if not isinstance(row, Mapping):
            left["are no objects"] += 1
            continue
        seconds = next(
            (
                n
                for key in ("duration_s", "duration_seconds", "duration")
                if (n := number_of(row.get(key))) is not None
            ),
            None,
        )
        good = _succeeded(row)
        if seconds is None or seconds < 0 or good is None:
            left["do not tell both a duration and whether they succeeded"] += 1
            continue
        named = next(
            (row[key] for key in ("pattern", "type", "migration_type", "strategy") if row.get(key)), None
        )
        route = "".join(
            f" {key} {row[key]}"
            for key in ("source", "source_node", "destination", "dest_node")
            if row.get(key)
        )
        groups.setdefault(str(named) if named else route.strip() or "all migrations", []).append(
            (seconds, good)
        )
    if not groups:
        raise NotAnswerableError(
            "what past migrations show",
            "no record of historical_data tells both a duration (duration_s) and whether it succeeded "
            "(success or status)",
        )
    overall = float(np.mean([seconds for group in groups.values() for seconds, _ in group]))
    found = []
    for name, group in sorted(groups.items(), key=lambda one: (-len(one[1]), one[0])):
        rate = sum(good for _, good in group) / len(group)
        mean = float(np.mean([seconds for seconds, _ in group]))
        advice = []
        if rate < 1:
            advice.append(
                f"{sum(not good for _, good in group)} of {len(group)} failed: look at their logs before the "
                "next one"
            )
        if mean > 1.2 * overall:
            advice.append(
                f"takes {mean:.4g} s where all take {overall:.4g} s on average: prefer another way, or a "
                "quieter time"
            )
        if not advice:
            advice.append(f"all {len(group)} succeeded, in {mean:.4g} s on average: go on so")
        found.append(MigrationPattern(name, len(group), rate, mean, advice))
    notes = [f"{count} records {why}: left out" for why, count in left.items()]
    return Outcome(MigrationPatterns(found, notes), 0.0, "counts", "1", numbers=len(found))


def _succeeded(row: Mapping[str, Any]) -> bool | None:
    for key in ("success", "succeeded", "status", "outcome", "failed"):
        value = row.get(key)
        if isinstance(value, bool):
            return value is not (key == "failed")
        if isinstance(value, str) and value.strip().lower() in (*_SUCCEEDED, *_FAILED):
            return value.strip().lower() in _SUCCEEDED
        if key in ("success", "failed") and value in (0, 1):
            return bool(value) is not (key == "failed")
    return None
