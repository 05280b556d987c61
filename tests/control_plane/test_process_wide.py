"""What a process remembers: answers for who asks again, counts, and how busy its host is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ai_engine.api.instruments import RECENT
from ai_engine.control_plane.host import FIRST_SECONDS, Host
from ai_engine.control_plane.repeats import KEPT_SECONDS, MOST_ANSWERS, Repeats, Reply
from ai_engine.domain.errors import NotAnswerableError
from ai_engine.domain.performance import ModelPerformance
from tests.api.serving import Served, serving, train_body
from tests.control_plane.clients import Clock, decode, mapped, moment, number, share, whole
from tests.control_plane.samples import path_bodies

BODIES = path_bodies()
SYSTEM = {
    **dict.fromkeys(
        ("cpu_utilization", "memory_utilization", "disk_utilization", "network_utilization"), share
    ),
    **dict.fromkeys(("active_predictions", "completed_optimizations", "anomalies_detected"), whole),
    "system_load": number,
    "timestamp": moment,
}
STATISTICS = {
    "total_predictions": whole,
    "accuracy_by_model": mapped(number),
    "model_utilization": mapped(share),
    "error_rates": mapped(share),
    "timestamp": moment,
}


def test_what_nobody_measured_is_null(served: Served) -> None:
    system, told = served.get("/metrics/system").json(), served.get("/statistics/predictions").json()
    decode(SYSTEM, system)
    decode(STATISTICS, told)
    assert system["model_accuracy_avg"] is system["prediction_latency_ms"] is None
    assert told["prediction_latency"] == {"avg": None, "p95": None, "p99": None, "quantiles_of_last": 0}
    assert (told["total_predictions"], told["error_rates"], told["model_utilization"]) == (0, {}, {})


def test_what_is_asked_is_counted(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1, resource_models=0) as server:
        server.post("/train", train_body()).raise_for_status()
        for _ in range(3):
            rows = [{"cpu": 50.0, "mem": 40.0, "timestamp": 1_700_000_000 + i} for i in range(3)]
            server.post("/models/resource_predictor/predict", {"data": rows}).raise_for_status()
        server.post("/models/nobody/predict", {"data": [{"cpu": 1}]})
        server.post("/predict/resources", BODIES["/predict/resources"]).raise_for_status()
        server.post("/predict/resources", {})
        server.post("/detect/anomaly", BODIES["/detect/anomaly"]).raise_for_status()
        server.post("/optimize/scaling", BODIES["/optimize/scaling"]).raise_for_status()
        told = server.get("/statistics/predictions").json()
        assert told["total_predictions"] == 6
        assert told["model_utilization"]["resource_predictor"] == 0.5
        assert told["error_rates"] == {"http-404": 1 / 8, "not-answerable": 1 / 8}
        latency = told["prediction_latency"]
        assert 0 < latency["p95"] <= latency["p99"]
        assert latency["quantiles_of_last"] == 6
        assert told["accuracy_by_model"]["resource_predictor"] > 0.5
        system = server.get("/metrics/system").json()
        assert (system["anomalies_detected"], system["active_predictions"]) == (1, 0)
        assert system["completed_optimizations"] == len(BODIES["/optimize/scaling"]["historical_data"][0]) - 1
        assert system["model_accuracy_avg"] == told["accuracy_by_model"]["resource_predictor"]
        assert system["prediction_latency_ms"] == pytest.approx(1000 * latency["avg"])
        # A newer measurement counts before that of the training.
        measured = ModelPerformance(accuracy_score=0.25)
        server.registry.record("resource_predictor", "1.0.0", measured)
        assert server.get("/metrics/system").json()["model_accuracy_avg"] == 0.25
        for seconds in range(RECENT + 10):
            server.service.instruments.predicted("m", 1, float(seconds))
        latency = server.get("/statistics/predictions").json()["prediction_latency"]
        assert latency["quantiles_of_last"] == RECENT
        assert latency["p99"] == pytest.approx(RECENT + 9 - 0.01 * RECENT, abs=1)


def test_health_tells_its_moment_and_its_parts(served: Served) -> None:
    told = served.get("/health").json()
    decode({"timestamp": moment, "components": mapped(lambda value, where: str(value))}, told)
    assert told["components"] == {"database": "healthy", "models": "healthy", "trainings": "healthy"}


# -- the host -----------------------------------------------------------------------------------------------


class FakeHost:
    """A host whose files a test writes; whoever waits lets its time pass."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock = root, Clock()
        (root / "proc" / "net").mkdir(parents=True)
        self.busy, self.idle, self.sent = 100.0, 900.0, 0.0
        self.pauses: list[float] = []
        self.during: Any = None
        self.write()

    def write(self, speed: int | None = None) -> None:
        (self.root / "proc" / "stat").write_text(f"cpu  {self.busy} 0 0 {self.idle} 0 0 0 0 0 0\ncpu0 1\n")
        (self.root / "proc" / "meminfo").write_text(
            "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n"
        )
        lines = (
            f"head\nhead\n lo: {7 * self.sent} 0 0 0 0 0 0 0 {self.sent}\n"
            f" eth0: {self.sent} 0 0 0 0 0 0 0 {self.sent}\n"
        )
        (self.root / "proc" / "net" / "dev").write_text(lines)
        if speed is not None:
            (self.root / "sys" / "class" / "net" / "eth0").mkdir(parents=True, exist_ok=True)
            (self.root / "sys" / "class" / "net" / "eth0" / "speed").write_text(f"{speed}\n")

    def pass_time(self, seconds: float, busy: float, sent: float = 0.0, speed: int | None = None) -> None:
        self.clock.sleep(seconds)
        self.busy += 100 * seconds * busy
        self.idle += 100 * seconds * (1 - busy)
        self.sent += sent
        self.write(speed)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.pass_time(seconds, 0.5)


@pytest.fixture
def fake(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def test_a_host_is_measured_between_two_looks(fake: FakeHost, tmp_path: Path) -> None:
    host = Host(str(tmp_path), lambda: fake.clock.now, fake.pause)
    first = host.load(str(tmp_path))
    assert first.cpu == pytest.approx(0.5)
    assert first.memory == pytest.approx(0.75)
    assert 0 <= first.disk <= 1
    assert fake.pauses == [FIRST_SECONDS]
    fake.pass_time(10, 0.9, sent=500)
    assert host.load(str(tmp_path)).cpu == pytest.approx(0.9)
    assert host.load(str(tmp_path)).cpu == pytest.approx(0.9)  # too soon to tell anything else
    assert fake.pauses == [FIRST_SECONDS]


@pytest.mark.parametrize(("speed", "share_of"), [(8, 0.1), (-1, 1.0), (None, 1.0)])
def test_the_network_is_a_share_of_its_links_or_of_the_most_seen(
    speed: int | None, share_of: float, fake: FakeHost, tmp_path: Path
) -> None:
    host = Host(str(tmp_path), lambda: fake.clock.now, fake.pause)
    assert host.load(str(tmp_path)).network == 0
    fake.pass_time(10, 0.1, sent=500_000, speed=speed)  # 100 kB/s both ways together
    found = host.load(str(tmp_path))
    assert found.network == pytest.approx(share_of)
    assert ("tell no speed" in found.network_basis) == (speed != 8)
    fake.pass_time(10, 0.1, sent=250_000, speed=speed)
    assert host.load(str(tmp_path)).network == pytest.approx(share_of / 2)


def test_a_system_that_does_not_tell_is_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(NotAnswerableError, match="how busy this host is"):
        Host(str(tmp_path)).load(str(tmp_path))


# -- repeats ------------------------------------------------------------------------------------------------


def test_answers_are_kept_for_a_day_and_refusals_are_not() -> None:
    clock, done = Clock(), 0

    async def work() -> Reply:
        nonlocal done
        done += 1
        return Reply(b"%d" % done, kept=done != 2)

    async def ask() -> None:
        repeats = Repeats(lambda: clock.now)
        assert [await repeats.reply("a", work) for _ in range(2)] == [b"1", b"1"]
        assert [await repeats.reply("b", work) for _ in range(2)] == [b"2", b"3"]
        assert [await repeats.reply(None, work) for _ in range(2)] == [b"4", b"5"]
        clock.sleep(KEPT_SECONDS - 1)
        assert await repeats.reply("a", work) == b"1"
        clock.sleep(1)
        assert await repeats.reply("a", work) == b"6"

    asyncio.run(ask())


def test_who_asks_while_it_runs_waits_for_the_same_even_where_the_first_has_gone() -> None:
    done = 0

    async def ask() -> None:
        repeats, go = Repeats(), asyncio.Event()

        async def work() -> Reply:
            nonlocal done
            done += 1
            await go.wait()
            return Reply(b"x", kept=True)

        first = asyncio.ensure_future(repeats.reply("a", work))
        second = asyncio.ensure_future(repeats.reply("a", work))
        await asyncio.sleep(0)
        first.cancel()
        go.set()
        assert await second == b"x"
        assert first.cancelled()
        assert await repeats.reply("a", work) == b"x"

    asyncio.run(ask())
    assert done == 1


def test_a_failure_is_everybodys_and_is_forgotten() -> None:
    async def fails() -> Reply:
        raise RuntimeError("broken")

    async def works() -> Reply:
        return Reply(b"y", kept=True)

    async def ask() -> None:
        repeats = Repeats()
        found = await asyncio.gather(*(repeats.reply("a", fails) for _ in range(3)), return_exceptions=True)
        assert [str(one) for one in found] == ["broken"] * 3
        assert await repeats.reply("a", works) == b"y"

    asyncio.run(ask())


@pytest.mark.parametrize(("limit", "size"), [("MOST_ANSWERS", 1), ("MOST_BYTES", 100)])
def test_the_oldest_answers_go_first(limit: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        f"ai_engine.control_plane.repeats.{limit}", 3 * (size if limit == "MOST_BYTES" else 1)
    )
    asked: list[str] = []

    async def ask() -> None:
        repeats = Repeats()

        async def answer(name: str) -> bytes:
            async def work() -> Reply:
                asked.append(name)
                return Reply(b"z" * size, kept=True)

            return await repeats.reply(name, work)

        for name in "abcdad":
            await answer(name)

    asyncio.run(ask())
    assert asked == ["a", "b", "c", "d", "a"]
    assert MOST_ANSWERS == 10_000
