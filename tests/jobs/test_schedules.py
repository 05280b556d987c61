"""Schedules that are due: each is done once, whoever looks, and what came of it is told."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.catalogue.schedules import ScheduleBook
from ai_engine.domain.clock import now as present
from ai_engine.domain.entities import SavedVersion
from ai_engine.domain.errors import (
    CatalogueUnavailableError,
    InvalidInputError,
    JobStateError,
    QueueFullError,
    ScheduleNotFoundError,
)
from ai_engine.domain.jobs import JobCompletion, JobStatus, Usage, failure
from ai_engine.domain.schedules import (
    LONGEST,
    Happening,
    Last,
    Schedule,
    Selection,
    Source,
    interval,
    next_due,
    row_count,
    selection,
    told_interval,
)
from ai_engine.jobs import schedules as scheduling
from ai_engine.jobs import upkeep
from ai_engine.jobs.schedules import Scheduler, new_schedule, run_now
from ai_engine.jobs.upkeep import JobUpkeep
from ai_engine.models import ModelManager
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings
from ai_engine.telemetry.rows_file import ARCHIVE
from ai_engine.telemetry.sources import SourceReading, examine
from ai_engine.testing import in_memory
from tests.registry.outages import locked

SETTINGS = Settings()
HEADER = "timestamp,cpu\n"


def lines(count: int, start: int = 0) -> str:
    return "".join(f"2026-01-01T00:00:00Z,{number}\n" for number in range(start, start + count))


class Scheduled:
    """A registry with a source, and one who looks at it."""

    def __init__(self, registry: Registry, directory: Path) -> None:
        self.registry, self.path = registry, directory / "cpu.csv"
        self.directory = directory
        self.path.write_text(HEADER + lines(10))
        self.looker = Scheduler(registry, SETTINGS)

    def put(self, **given: Any) -> Schedule:
        fields = {"model_type": "resource_prediction", "source": str(self.path), **given}
        return self.registry.schedules.put(new_schedule(self.registry, "cpu", fields))

    def now(self) -> Schedule:
        return self.registry.schedules.get("cpu")

    def last(self) -> Last:
        last = self.now().last
        assert last is not None
        return last

    def come(self, seconds: float = 1e6) -> None:
        """Let time have passed: everything that the schedule knows lies further back."""
        database = sqlite3.connect(self.registry.location, timeout=30)
        with database:
            for column in ("due_at", "held_until"):
                database.execute(
                    f"UPDATE engine_schedules SET {column} = strftime('%Y-%m-%d %H:%M:%f000', {column}, ?)",
                    (f"{-seconds} seconds",),
                )
        database.close()
        self.looker._count_at = float("-inf")

    def train(self, **result: Any) -> str:
        """Do the job that waits, and return the version."""
        job = self.registry.queue.claim("worker", "host", 600.0)
        assert job is not None
        told = {"active": True, "activation_reason": None, **result}

        def made(saved: SavedVersion) -> dict[str, Any]:
            return {"model_version": saved.version, **told}

        saved = self.registry.save("cpu", [1], job=JobCompletion(job.claim, made))
        self.registry.queue.close_books(job.claim, Usage())
        return saved.version

    def fail(self) -> None:
        job = self.registry.queue.claim("worker", "host", 600.0)
        assert job is not None
        self.registry.queue.fail(job.claim, failure("no good rows"), "no good rows", Usage())


@pytest.fixture
def scheduled(tmp_path: Path) -> Iterator[Scheduled]:
    with ModelManager(tmp_path / "models") as manager:
        yield Scheduled(manager.registry, tmp_path)


# -- a time --------------------------------------------------------------------------------------------------


def test_a_training_is_asked_for_with_the_rows_that_there_are(scheduled: Scheduled) -> None:
    scheduled.put(every="6h", target_columns=["cpu"])
    assert scheduled.looker.look() == 1
    assert scheduled.looker.look() == 0
    assert scheduled.looker.asked == 1
    (job,) = scheduled.registry.queue.page()
    assert (job.model_name, job.model_type, job.submitted_by) == (
        "cpu",
        "resource_prediction",
        "the schedule of cpu",
    )
    assert (job.spec["activate"], job.spec["target_columns"]) == ("if_better", ["cpu"])
    assert job.rows is not None
    assert job.rows.format == "csv"
    with scheduled.registry.queue.rows(job) as path:
        assert Path(path).read_text() == HEADER + lines(10)
    assert scheduled.last().outcome is Happening.QUEUED
    version = scheduled.train(active=False, activation_reason="it is not better")
    last = scheduled.last()
    assert (last.outcome, last.version, last.active, last.reason) == (
        Happening.COMPLETED,
        version,
        False,
        "it is not better",
    )


def test_times_that_were_missed_are_made_up_for_once(scheduled: Scheduled) -> None:
    first = scheduled.put(every="1h").due_at
    assert scheduled.looker.look() == 1
    scheduled.train()
    scheduled.path.write_text(HEADER + lines(20))
    scheduled.come(7 * 86400.0)
    assert scheduled.looker.look() == 1
    assert scheduled.looker.look() == 0
    scheduled.train()
    assert scheduled.looker.look() == 0
    assert len(scheduled.registry.queue.page()) == 2
    due = scheduled.now().due_at
    assert due is not None
    assert first is not None
    assert present() < due <= present() + timedelta(hours=1)
    assert (due - first) % timedelta(hours=1) == timedelta()  # still at the same minute


def test_the_one_before_has_not_ended_and_the_next_is_skipped(scheduled: Scheduled) -> None:
    scheduled.put(every="1h")
    scheduled.looker.look()
    (job,) = scheduled.registry.queue.page()
    for status in ("queued", "running"):
        if status == "running":
            assert scheduled.registry.queue.claim("worker", "host", 600.0) is not None
        scheduled.path.write_text(HEADER + lines(len(status) * 10))
        scheduled.come()
        assert scheduled.looker.look() == 0
        last = scheduled.last()
        assert last.outcome is Happening.SKIPPED
        assert job.job_id in str(last.reason)
        assert status in str(last.reason)
    assert scheduled.now().warning is None
    assert not scheduled.now().is_due
    scheduled.registry.queue.cancel(job.job_id)
    scheduled.registry.queue.confirm_cancel(scheduled.registry.queue.get(job.job_id).claim, Usage())
    assert scheduled.last().outcome is Happening.CANCELLED
    scheduled.come()
    assert scheduled.looker.look() == 1


def test_what_has_not_changed_is_not_trained_on_again(scheduled: Scheduled) -> None:
    scheduled.put(every="1h")
    scheduled.looker.look()
    scheduled.train()
    scheduled.path.write_text(HEADER + lines(10))  # anew, with the same bytes
    scheduled.come()
    assert scheduled.looker.look() == 0
    assert scheduled.last().outcome is Happening.UNCHANGED
    assert not scheduled.now().is_due
    scheduled.path.write_text(HEADER + lines(11))
    scheduled.come()
    assert scheduled.looker.look() == 1


def test_what_failed_is_tried_again_and_told(scheduled: Scheduled) -> None:
    scheduled.put(every="1h")
    for number in (1, 2):
        scheduled.come()
        assert scheduled.looker.look() == 1
        scheduled.fail()
        assert (scheduled.now().failures, scheduled.now().warning is not None) == (number, number == 2)
    assert "no good rows" in str(scheduled.now().warning)
    health = scheduled.registry.health()
    assert health.schedules is not None
    assert [one.name for one in health.schedules] == ["cpu"]
    assert health.status == "healthy"
    scheduled.come()
    scheduled.looker.look()
    scheduled.train()
    assert scheduled.now().warning is None


def test_a_source_that_is_missing_is_told_and_looked_at_again(scheduled: Scheduled) -> None:
    scheduled.put(every="30d")
    scheduled.path.unlink()
    assert scheduled.looker.look() == 0
    last = scheduled.last()
    assert last.outcome is Happening.UNREADABLE
    assert str(scheduled.path) in str(last.reason)
    assert scheduled.now().is_due
    scheduled.path.write_text(HEADER + lines(10))
    assert scheduled.looker.look() == 0  # within a minute
    scheduled.come(scheduling.AGAIN + 1)
    assert scheduled.looker.look() == 1
    assert scheduled.now().warning is None


def test_a_full_queue_is_tried_again(scheduled: Scheduled) -> None:
    scheduled.put(every="30d")
    full = Scheduler(scheduled.registry, Settings(queue=0))
    assert full.look() == 0
    assert scheduled.last().outcome is Happening.SKIPPED
    scheduled.come(scheduling.AGAIN + 1)
    assert scheduled.looker.look() == 1


def test_a_clock_that_was_set_back_lets_nobody_wait_for_long(scheduled: Scheduled) -> None:
    scheduled.put(every="1h")
    scheduled.looker.look()
    scheduled.train()
    scheduled.path.write_text(HEADER + lines(20))
    scheduled.come(-365 * 86400.0)
    assert scheduled.looker.look() == 0
    due = scheduled.now().due_at
    assert due is not None
    assert due <= present() + timedelta(hours=1, seconds=5)
    scheduled.come(3601.0)
    assert scheduled.looker.look() == 1


def test_a_hold_of_a_clock_that_was_set_back_ends(scheduled: Scheduled) -> None:
    turn = scheduled.put(every="1h").turn
    assert scheduled.registry.schedules.hold(turn, 60.0)
    assert scheduled.registry.schedules.due() == []
    scheduled.come(-86400.0)
    scheduled.come(0.0)
    database = sqlite3.connect(scheduled.registry.location)
    with database:
        database.execute("UPDATE engine_schedules SET due_at = '2026-01-01 00:00:00.000000'")
    database.close()
    assert len(scheduled.registry.schedules.due()) == 1


def test_all_files_are_trained_on_together(scheduled: Scheduled, tmp_path: Path) -> None:
    for day in ("2026-01-01", "2026-01-02"):
        (tmp_path / f"{day}.csv").write_text(HEADER + lines(5))
    scheduled.put(source=f"{tmp_path}/{{date}}.csv", files="all", every="1h")
    assert scheduled.looker.look() == 1
    (job,) = scheduled.registry.queue.page()
    assert job.rows is not None
    assert job.rows.format == ARCHIVE
    assert [Path(file.path).name for file in scheduled.now().asked] == ["2026-01-01.csv", "2026-01-02.csv"]


# -- rows ----------------------------------------------------------------------------------------------------


def test_a_training_is_asked_for_once_enough_rows_have_come(scheduled: Scheduled) -> None:
    scheduled.put(rows=10)
    assert scheduled.looker.look() == 1
    scheduled.train()
    for added, asked in ((9, 0), (10, 1)):
        scheduled.path.write_text(HEADER + lines(10 + added))
        scheduled.come()
        assert scheduled.looker.look() == asked, added
    scheduled.train()
    scheduled.come()
    assert scheduled.looker.look() == 0
    assert scheduled.last().outcome is Happening.COMPLETED


def test_files_are_counted_again_only_once_they_look_otherwise(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled.put(rows=100)
    counts = []

    def counting(*given: Any, **more: Any) -> SourceReading:
        counts.append(1)
        return examine(*given, **more)

    monkeypatch.setattr(scheduling, "examine", counting)
    for _ in range(3):
        scheduled.come()
        assert scheduled.looker.look() == 0
    assert len(counts) == 1
    assert scheduled.now().last is None
    scheduled.path.write_text(HEADER + lines(100))
    assert scheduled.looker.look() == 0  # not again within seconds
    scheduled.come()
    assert scheduled.looker.look() == 1


def test_rows_that_failed_are_not_asked_for_again_and_again(scheduled: Scheduled) -> None:
    scheduled.put(rows=10)
    assert scheduled.looker.look() == 1
    scheduled.fail()
    scheduled.looker = Scheduler(scheduled.registry, SETTINGS)
    assert scheduled.looker.look() == 0
    scheduled.path.write_text(HEADER + lines(20))
    scheduled.come()
    assert scheduled.looker.look() == 1


def test_rows_that_come_while_a_training_runs_wait_for_its_end(scheduled: Scheduled) -> None:
    scheduled.put(rows=10)
    scheduled.looker.look()
    scheduled.path.write_text(HEADER + lines(30))
    scheduled.come()
    assert scheduled.looker.look() == 0
    assert scheduled.last().outcome is Happening.QUEUED
    scheduled.train()
    scheduled.come()
    assert scheduled.looker.look() == 1


def test_a_source_that_is_back_is_told_where_rows_are_waited_for(scheduled: Scheduled) -> None:
    scheduled.put(rows=100)
    scheduled.path.unlink()
    assert scheduled.looker.look() == 0
    assert scheduled.last().outcome is Happening.UNREADABLE
    scheduled.path.write_text(HEADER + lines(10))
    scheduled.come()
    assert scheduled.looker.look() == 0
    assert scheduled.last().outcome is Happening.UNCHANGED
    assert "10 new rows" in str(scheduled.last().reason)
    assert scheduled.now().warning is None


def test_rows_come_before_the_time_and_the_time_begins_anew(scheduled: Scheduled) -> None:
    scheduled.put(every="30d", rows=10)
    scheduled.looker.look()
    scheduled.train()
    scheduled.come(86400.0)
    scheduled.path.write_text(HEADER + lines(20))
    assert scheduled.looker.look() == 1
    due = scheduled.now().due_at
    assert due is not None
    assert due > present() + timedelta(days=29, hours=23)
    scheduled.train()
    scheduled.path.write_text(HEADER + lines(21))
    scheduled.come(31 * 86400.0)
    assert scheduled.looker.look() == 1  # one row is enough by then


# -- whoever looks -------------------------------------------------------------------------------------------


def test_however_many_look_one_asks(scheduled: Scheduled) -> None:
    scheduled.put(every="1h")
    together = threading.Barrier(6)

    def look(_: int) -> int:
        with ModelManager(scheduled.directory / "models") as manager:
            one = Scheduler(manager.registry, SETTINGS)
            together.wait()
            return one.look()

    with ThreadPoolExecutor(6) as lookers:
        assert sum(lookers.map(look, range(6))) == 1
    assert len(scheduled.registry.queue.page()) == 1


def test_who_is_overtaken_while_it_reads_leaves_nothing(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled.put(every="1h")

    def slow(*given: Any, **more: Any) -> SourceReading:
        found = examine(*given, **more)
        monkeypatch.setattr(scheduling, "examine", examine)
        scheduled.come(scheduling._HOLD + 1)  # its hold has ended
        assert Scheduler(scheduled.registry, SETTINGS).look() == 1
        return found

    monkeypatch.setattr(scheduling, "examine", slow)
    assert scheduled.looker.look() == 0
    assert len(scheduled.registry.queue.page()) == 1
    scheduled.train()
    artifacts = scheduled.directory / "models" / ".engine" / "artifacts"
    assert list(artifacts.glob("*")) == []


def test_who_comes_second_reads_nothing(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduled.put(every="1h")
    (seen,) = scheduled.registry.schedules.due()
    assert scheduled.registry.schedules.hold(seen.turn, 60.0)
    monkeypatch.setattr(scheduling, "examine", pytest.fail)
    assert not scheduled.looker._do(seen)
    assert scheduled.now().last is None


def test_one_schedule_that_cannot_be_done_stops_no_other(
    scheduled: Scheduled, caplog: pytest.LogCaptureFixture
) -> None:
    scheduled.put(every="1h")
    database = sqlite3.connect(scheduled.registry.location)
    with database:
        database.execute(
            "INSERT INTO engine_schedules "
            "(name, spec, source, files, every, revision, set_by, set_at, due_at) "
            "SELECT 'a', '{\"model_type\": \"gone\"}', source, files, every, 1, set_by, set_at, due_at "
            "FROM engine_schedules"
        )
    database.close()
    assert scheduled.looker.look() == 1
    gone = scheduled.registry.schedules.get("a").last
    assert gone is not None
    assert gone.outcome is Happening.UNREADABLE
    assert "gone" in str(gone.reason)


def test_one_that_fails_unforeseen_stops_no_other(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scheduled.put(every="1h")
    other = {"model_type": "resource_prediction", "source": f"{scheduled.directory}/a*.csv", "every": "1h"}
    scheduled.registry.schedules.put(new_schedule(scheduled.registry, "a", other))

    def failing(source: Source, *given: Any, **more: Any) -> SourceReading:
        if source.pattern.endswith("a*.csv"):
            raise RuntimeError("nobody thought of this")
        return examine(source, *given, **more)

    monkeypatch.setattr(scheduling, "examine", failing)
    assert scheduled.looker.look() == 1
    assert "nobody thought of this" in caplog.text
    told = scheduled.registry.schedules.get("a")
    assert told.last is not None
    assert "log" in str(told.last.reason)
    assert scheduled.looker.look() == 0  # and not again within a minute


def forget_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for lifetime in ("JOB_LIFETIME", "KEY_LIFETIME"):
        monkeypatch.setattr(f"ai_engine.registry.training_queue.{lifetime}", -600.0)


def test_whoever_works_looks_and_forgets(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "LOOK", 0.01)
    forget_at_once(monkeypatch)
    scheduled.put(every="1h")
    scheduled.looker.look()
    scheduled.fail()
    scheduled.come()
    asked = threading.Event()
    looking = JobUpkeep(scheduled.registry, SETTINGS, trains=True, asked=asked.set)
    looking.start()
    assert asked.wait(30)
    looking.stop()
    looking.join()
    (job,) = scheduled.registry.queue.page()
    assert job.status is JobStatus.QUEUED  # the one that failed is forgotten
    assert looking.scheduler.asked == 1


def test_who_does_not_train_leaves_schedules_alone_and_forgets(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_at_once(monkeypatch)
    scheduled.put(every="1h")
    scheduled.looker.look()
    scheduled.fail()
    scheduled.come()
    looking = JobUpkeep(scheduled.registry, SETTINGS, trains=False, asked=pytest.fail)
    looking.look()
    assert scheduled.registry.queue.page() == []
    looking.look()  # and not each second


def test_a_database_that_is_down_is_looked_at_again(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled.put(every="1h")
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "0.05")
    with ModelManager(scheduled.directory / "models") as manager:
        looking = JobUpkeep(manager.registry, SETTINGS, trains=True, asked=lambda: None)
        with locked(scheduled.directory / "models"):
            looking.look()
            with pytest.raises(CatalogueUnavailableError):
                looking.scheduler.look()
        looking.look()
        assert looking.scheduler.asked == 1


def test_a_registry_in_memory_has_schedules_too(tmp_path: Path) -> None:
    with in_memory() as manager:
        scheduled = Scheduled(manager.registry, tmp_path)
        scheduled.put(every="1h")
        assert scheduled.looker.look() == 1
        scheduled.train()
        assert scheduled.last().outcome is Happening.COMPLETED


# -- now -----------------------------------------------------------------------------------------------------


def test_a_schedule_is_run_when_somebody_wants_it(scheduled: Scheduled) -> None:
    before = scheduled.put(every="30d")
    with pytest.raises(ScheduleNotFoundError):
        run_now(scheduled.registry, SETTINGS, "memory")
    scheduled.looker.look()
    with pytest.raises(JobStateError, match="queued"):
        run_now(scheduled.registry, SETTINGS, "cpu")
    scheduled.train()
    job = run_now(scheduled.registry, SETTINGS, "cpu")  # though nothing has come
    assert scheduled.now().job_id == job.job_id
    assert before.due_at is not None
    assert not scheduled.now().is_due
    scheduled.train()
    scheduled.path.unlink()
    with pytest.raises(InvalidInputError, match="source"):
        run_now(scheduled.registry, SETTINGS, "cpu")
    scheduled.path.write_text(HEADER + lines(1))
    with pytest.raises(QueueFullError):
        run_now(scheduled.registry, Settings(queue=0), "cpu")


# -- what can be asked for -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "source"),
        ({"source": "/a.csv"}, "every"),
        ({"source": "/a.csv", "every": "soon"}, "every"),
        ({"source": "/a.csv", "rows": 0}, "rows"),
        ({"source": "/a.csv", "rows": True}, "rows"),
        ({"source": "/a.csv", "every": "1h", "files": "some"}, "files"),
        ({"source": "/{date:%A}.csv", "every": "1h"}, "source"),
        ({"source": "/a.csv", "every": "1h", "colour": "red"}, "colour"),
        ({"source": "/a.csv", "every": "1h", "activate": "often"}, "activate"),
        ({"source": "/a.csv", "every": "1h", "model_type": None}, "model_type"),
    ],
)
def test_what_cannot_be_scheduled_names_its_field(
    scheduled: Scheduled, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        new_schedule(scheduled.registry, "cpu", {"model_type": "resource_prediction", **given})
    assert refused.value.field == field
    assert scheduled.registry.schedules.page() == []


def test_the_type_is_that_of_the_newest_version(scheduled: Scheduled) -> None:
    scheduled.registry.save("cpu", [1], model_type="anomaly_detection")
    new = new_schedule(scheduled.registry, "cpu", {"source": "/a.csv", "every": 60})
    assert new.spec["model_type"] == "anomaly_detection"
    assert json.loads(json.dumps(dict(new.spec))) == new.spec


@settings(deadline=None)
@given(st.floats(1.0, LONGEST))
def test_any_time_from_a_second_to_ten_years_is_an_interval(seconds: float) -> None:
    assert interval(seconds) == seconds
    assert interval(timedelta(seconds=seconds)) == pytest.approx(seconds)


@settings(deadline=None)
@given(st.integers(1, 500), st.sampled_from("smhdw"))
def test_an_interval_is_told_as_it_is_read(count: int, unit: str) -> None:
    seconds = interval(f"{count}{unit}")
    assert interval(told_interval(seconds)) == seconds
    assert interval(f" {count} {unit.upper()} ") == seconds


@pytest.mark.parametrize(
    "given",
    ["", "6", "h", "6 hours", "-1h", "0s", "0.9s", 0.99, "3651d", LONGEST + 1, float("nan"), True, None, [1]],
)
def test_anything_else_is_none(given: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        interval(given)
    assert refused.value.field == "every"


@pytest.mark.parametrize("given", [0, -1, 1.0, "5", True, 10**12 + 1])
def test_new_rows_are_a_whole_number(given: object) -> None:
    with pytest.raises(InvalidInputError):
        row_count(given)


def test_bounds_are_within() -> None:
    assert (row_count(1), row_count(10**12), interval(LONGEST), interval(1)) == (1, 10**12, LONGEST, 1.0)
    assert selection("all") is Selection.ALL
    with pytest.raises(InvalidInputError):
        selection(["all"])


@settings(deadline=None)
@given(
    st.datetimes(timezones=st.just(present().tzinfo)).filter(lambda at: 1000 < at.year < 9000),
    st.floats(1.0, LONGEST),
    st.floats(-1e7, 1e8),
)
def test_the_next_time_is_ahead_and_at_most_an_interval_away(due: Any, every: float, late: float) -> None:
    now = due + timedelta(seconds=late)
    following = next_due(due, now, every)
    assert following > now or following > due
    if late >= 0:
        assert now < following <= now + timedelta(seconds=every) + timedelta(microseconds=1000)


def test_a_book_of_schedules_is_what_a_transaction_has(scheduled: Scheduled) -> None:
    stores = scheduled.registry.schedules.stores
    with stores.catalogue.write() as work:
        book: ScheduleBook = work.schedules
        assert book.count() == 0
