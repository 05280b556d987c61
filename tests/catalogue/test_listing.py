"""Lists over what other programs wrote, and over what was measured in any order."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import Any

from ai_engine.domain.performance import ModelPerformance
from ai_engine.models import ModelManager
from ai_engine.testing.strategies import START


def test_what_others_wrote_into_metadata_hurts_no_search(tmp_path: Any) -> None:
    with ModelManager(tmp_path) as manager:
        for version in ("1.0.0", "1.0.1", "1.0.2", "1.0.3"):
            manager.save_model("cpu", version, metadata={"team": "ops"})
        with closing(sqlite3.connect(manager.db_path, isolation_level=None)) as other:
            for number, text in enumerate(("not JSON", '["team"]', '{"team": NaN}')):
                statement = "UPDATE model_registry SET metadata = ? WHERE version = ?"
                other.execute(statement, (text, f"1.0.{number}"))
        found = manager.get_model_info(where="metadata.team = 'ops'", sort="-metadata.team")
        assert [entry["version"] for entry in found["models"]] == ["1.0.3"]
        assert manager.get_model_info(where="metadata.team is null")["total"] == 3


def test_a_listing_waits_for_no_measurement(tmp_path: Any) -> None:
    """What was measured is counted and summed where it is written, in whichever order the moments come."""
    with ModelManager(tmp_path) as manager:
        manager.save_model("cpu", 1)
        assert manager.get_model_info()["models"][0]["performance"] is None
        for hours, accuracy in ((5, 0.5), (3, None), (4, 1.0)):
            manager.update_performance(
                "cpu",
                "1.0.0",
                ModelPerformance(
                    hours / 10, None, None, None, None, accuracy, None, START + timedelta(hours=hours)
                ),
            )
        (entry,) = manager.get_model_info(where="mae < 0.45 and metric_count = 3")["models"]
        assert (entry["avg_accuracy"], entry["last_metric_update"]) == (0.75, "2026-01-01 05:00:00.000000")
        numbers = entry["performance"]
        assert numbers is not None
        assert (numbers["mae"], numbers["accuracy_score"]) == (0.4, 1.0)
        assert json.dumps(entry)
