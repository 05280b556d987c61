from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.api.serving import Served, serving
from tests.control_plane.clients import IntegrationLayer, Scheduler
from tests.training.conftest import data

__all__ = ["data"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server a module; trainings begin only where they are asked for."""
    with serving(tmp_path_factory.mktemp("models"), workers=1, resource_models=0) as server:
        yield server


def sending(server: Served) -> Any:
    def send(path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        answer = server.post(path, body)
        return answer.status_code, answer.json()

    return send


@pytest.fixture
def layer(served: Served) -> IntegrationLayer:
    return IntegrationLayer(sending(served))


@pytest.fixture
def scheduler(served: Served) -> Scheduler:
    return Scheduler(sending(served))
