"""Trainings on behalf of requests: how many at once, how many wait, and that none is left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from ai_engine.api.problems import RefusedError
from ai_engine.api.trainings import WAITING, Trainings
from ai_engine.domain.errors import TrainingFailedError
from ai_engine.settings import Settings
from ai_engine.training import child

ENDLESS = ("sleep", "1000")


@pytest.fixture
def trainings(tmp_path: Path) -> Trainings:
    return Trainings(Settings(model_dir=str(tmp_path)), cores=1)


async def until_running(trainings: Trainings, waiting: int) -> None:
    while not trainings.processes or trainings.waiting < waiting:
        await asyncio.sleep(0.01)


def test_a_training_that_ended_makes_room(trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "COMMAND", ("sh", "-c", "read order; read request; exit 3"))

    async def many() -> None:
        for number in range(WAITING + 4):
            with pytest.raises(TrainingFailedError):
                await trainings.train(b"{}")
            assert (trainings.begun, trainings.failed) == (number + 1, number + 1)
            assert (trainings.running, trainings.waiting, len(trainings.processes)) == (0, 0, 0)

    asyncio.run(many())


def test_so_many_wait_and_no_more_and_stopping_tells_them_all(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "COMMAND", ENDLESS)

    async def ask() -> None:
        asked = [asyncio.create_task(trainings.train(b"{}")) for _ in range(1 + WAITING)]
        await until_running(trainings, WAITING)
        assert (trainings.running, trainings.waiting, trainings.begun) == (1, WAITING, 1)
        with pytest.raises(RefusedError) as refused:
            await trainings.train(b"{}")
        assert (refused.value.status, trainings.failed) == (503, 0)
        assert f"{WAITING} trainings are waiting" in str(refused.value)
        trainings.stop()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [one.status for one in answers if isinstance(one, RefusedError)] == [503] * (1 + WAITING)
        assert (trainings.begun, trainings.failed, trainings.running) == (1, 1, 0)

    asyncio.run(ask())
    assert trainings.processes == frozenset()


def test_one_whose_client_has_gone_is_ended_and_makes_room(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "COMMAND", ENDLESS)

    async def leave() -> None:
        for _ in range(2):
            asked = asyncio.create_task(trainings.train(b"{}"))
            await until_running(trainings, 0)
            (process,) = trainings.processes
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            while psutil.pid_exists(process.pid):
                await asyncio.sleep(0.01)
            while trainings.running:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(leave(), 60))
    assert trainings.processes == frozenset()
