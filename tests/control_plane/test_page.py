"""The page of the control plane says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ai_engine.api.instruments import RECENT
from ai_engine.control_plane import trainings
from ai_engine.control_plane.derivations import capacity, series, unusual
from ai_engine.control_plane.doors import DOORS
from ai_engine.control_plane.forecasts import ENOUGH_TO_TRAIN
from ai_engine.control_plane.repeats import KEPT_SECONDS
from ai_engine.control_plane.scaling import MOST_VMS
from ai_engine.control_plane.trained import own_name
from ai_engine.control_plane.trained_forecasts import MISFIT
from ai_engine.settings import variable
from tests.api.serving import Served
from tests.control_plane.clients import ENVELOPE, SERVICES, decode
from tests.control_plane.samples import path_bodies

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "control-plane.md").read_text()
DESIGN = (ROOT / "docs" / "design" / "16-control-plane.md").read_text()
TEXT = " ".join(PAGE.split())


def test_the_example_is_answered(served: Served) -> None:
    (body,) = re.findall(r"-d '(.*?)'\n```", PAGE, flags=re.S)
    told = decode(ENVELOPE, served.post("/api/v1/process", json.loads(body)).json())
    assert told["success"]
    found = decode(SERVICES["resource_prediction", "predict_demand"], told["data"])
    assert len(found["predictions"]) == 3


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path or "/".join(door.pairs[0]))
def test_every_door_is_on_the_page_with_its_source_and_its_right(door: object) -> None:
    (found,) = [one for one in DOORS if one is door]
    row = next(
        line
        for line in PAGE.splitlines()
        if line.startswith("|")
        and f"| {found.source} |" in line
        and (f"{found.path}`" in line or not found.path)
    )
    assert row.endswith(f"| `{found.scope}` |")
    for service, method in found.pairs:
        assert f"`{service}/{method}`" in row


def test_who_may_ask_is_told_by_what_is_asked() -> None:
    for door in DOORS:
        facts = not door.derive and ("model_training", "train") not in door.pairs
        wanted = "read" if facts else "predict" if door.derive else "train"
        assert door.scope == wanted


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    said = {
        "at least two points": series.LEAST_POINTS == 2,
        "five robust spreads": unusual.LIMIT == 5,
        "From 200 points on": unusual.SERIES_POINTS == 200,
        "a target use of 70 %": capacity.TARGET_USE == 0.7,
        "0.8 and 0.3 for the scheduler": capacity.SCHEDULER_LIMITS == (0.3, 0.8),
        "0.85 and 0.25 for the integration layer": capacity.INTEGRATION_LIMITS == (0.25, 0.85),
        "up to 10,000": MOST_VMS == 10_000,
        "A history of 200 rows or more": ENOUGH_TO_TRAIN == 200,
        "within 12 seconds": trainings.PATIENCE == 12,
        "for 24 hours": KEPT_SECONDS == 24 * 3600,
        "of the last 4,096": RECENT == 4096,
        "begin at 0.2, 0.4, 0.6 and 0.8": unusual.SEVERITIES[:4]
        == ((0.8, "critical"), (0.6, "high"), (0.4, "medium"), (0.2, "low")),
        "within a tenth of the range": series.NEAR == 0.1,
        f"`{variable('resource_models')}`": True,
        f"`{own_name('resource_prediction', 'x').replace('.x', '.<resource>')}`": True,
    }
    assert [sentence for sentence, holds in said.items() if sentence not in TEXT or not holds] == []
    assert ("five times worse" in DESIGN) == (MISFIT == 5)


def test_units_in_names_are_read_as_the_page_says(served: Served) -> None:
    body = path_bodies()["/predict/migration_time"]
    plain = served.post("/predict/migration_time", body).json()["duration_seconds"]
    named = {
        "source_node": "a",
        "dest_node": "b",
        "memory_mb": 8e9 / 2**20,
        "dirty_rate_mb_per_second": 1e8 / 2**20,
        "bandwidth_mbps": 8000,
    }
    assert served.post("/predict/migration_time", named).json()["duration_seconds"] == pytest.approx(plain)
    for name in named:
        assert f"`{name}`" in PAGE or name.endswith("_node")
