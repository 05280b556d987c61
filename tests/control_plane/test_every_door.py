"""Every row of the tables, against a real server, decoded as strictly as the clients do it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest

from ai_engine.control_plane.doors import DOORS, PAIRS
from tests.api.serving import Served
from tests.control_plane.clients import ALIASES, PATHS, SERVICES, IntegrationLayer, Scheduler, decode
from tests.control_plane.samples import nodes, path_bodies, service_data

BODIES, DATA = path_bodies(), service_data()


@pytest.mark.parametrize("path", PATHS)
def test_a_path_answers_what_its_client_declares(path: str, scheduler: Scheduler) -> None:
    assert scheduler.ask(path, BODIES[path]) is not None
    assert scheduler.attempts == 1


@pytest.mark.parametrize("pair", DATA, ids="/".join)
def test_a_service_answers_what_its_client_declares(pair: tuple[str, str], layer: IntegrationLayer) -> None:
    layer.ask(f"{pair}", *pair, DATA[pair])
    assert len(layer.sent) == 1


BY_PATH = {("migration", "predict"): "/predict/migration", ("bandwidth", "optimize"): "/optimize/bandwidth"}
# Trainings and versions are asked for in test_trainings.
ASKED = [pair for pair in (*ALIASES, *BY_PATH) if pair in BY_PATH or ALIASES[pair] in DATA]


@pytest.mark.parametrize("pair", ASKED, ids="/".join)
def test_an_alias_answers_as_its_service(pair: tuple[str, str], served: Served) -> None:
    assert pair in PAIRS
    whole = ALIASES.get(pair)
    data = BODIES[BY_PATH[pair]] if whole is None else DATA[whole]
    service, method = pair
    body = {"id": "", "service": f" {service.upper()} ", "method": f"{method.title()}\n", "data": data}
    answer = served.post("/api/v1/process", body).json()
    assert answer["success"], answer
    decode(PATHS[BY_PATH[pair]] if whole is None else SERVICES[whole], answer["data"])


def test_every_door_has_a_client_here() -> None:
    """The table of the code, and the clients' own."""
    counts = {"/metrics/system", "/statistics/predictions"}
    assert {door.path for door in DOORS if door.path} == set(PATHS) | counts
    assert set(PAIRS) == set(SERVICES) | set(ALIASES) | set(BY_PATH)


def numbers(value: Any, where: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number of an answer with where it stands; not those of the clock."""
    if isinstance(value, bool):
        return
    if isinstance(value, (int, float)):
        yield where, float(value)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in ("process_time", "uptime_seconds"):
                yield from numbers(item, f"{where}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item, f"{where}[]")


# What a number is that no measurement changes: settings of the question, and counts of what was sent.
SETTLED = {
    "priority",
    "points",
    "cycles",
    "interval_seconds",
    "frequency",
    "iterations",
    "memory_iterations",
    "compression_level",
    "level",
    "chunk_size",
    "job_queue_length",
    "cpu_usage_rows",
    "memory_usage_rows",
    "io_usage_rows",
    "network_usage_rows",
    "capacity_score",
    "nodes",
    "nodes_to_spare",
    "target_utilization",
    "period",
    "cpu_usage_season_seconds",
    "few_moments",
    "target_capacity",
    "quantiles_of_last",
}


# Questions in which what otherwise always holds does not.
OTHERS = {
    "/optimize/performance": [
        BODIES["/optimize/performance"] | {"performance_data": [*nodes(3), *nodes(4, high=0.05, low=0.5)]}
    ],
    "/optimize/bandwidth": [BODIES["/optimize/bandwidth"] | {"qos_requirements": {"max_bandwidth": 100}}],
}


@pytest.mark.parametrize("path", PATHS)
def test_no_number_is_a_constant(path: str, served: Served) -> None:
    """Each number of an answer is another one for at least one of some other questions."""
    varied = [*(variant(BODIES[path], seed) for seed in range(6)), *OTHERS.get(path, [])]
    answers = [served.post(path, body) for body in [BODIES[path], *varied]]
    told = [dict(_by_place(answer.json())) for answer in answers if answer.status_code == 200]
    assert len(told) >= 3, [answer.text[:200] for answer in answers]
    for place, first in told[0].items():
        if place.rpartition(".")[2].removesuffix("[]") not in SETTLED:
            assert any(other.get(place, first) != first for other in told[1:]), (
                f"{path}: {place} is always {first}"
            )


def _by_place(answer: Any) -> Iterator[tuple[str, tuple[float, ...]]]:
    found: dict[str, list[float]] = {}
    for place, value in numbers(answer):
        found.setdefault(place, []).append(value)
    for place, values in found.items():
        yield place, tuple(values)


def variant(body: Any, seed: int) -> Any:
    """Return a question with other measurements: each is moved, some more than others."""
    place = 0

    def moved(value: Any, name: str = "") -> Any:
        nonlocal place
        if isinstance(value, bool):
            place += 1
            return value if (place + seed) % 3 else not value
        if isinstance(value, (int, float)):
            if name in ("prediction_horizon", "sensitivity", "analysis_window"):
                return value
            place += 1
            return value * (1 + 0.25 * abs(math.sin(place * (seed + 1)))) * (0.3 if seed == 5 else 1.0)
        if isinstance(value, dict):
            return {key: moved(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [moved(item, name) for item in value]
        return value

    return moved(copy.deepcopy(body))
