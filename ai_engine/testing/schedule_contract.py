"""What every Catalogue must do for schedules; see catalogue.schedules for the prose."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from ai_engine.catalogue.protocol import Catalogue
from ai_engine.domain.digests import digest_of
from ai_engine.domain.errors import InvalidInputError, ScheduleChangedError, ScheduleNotFoundError
from ai_engine.domain.jobs import MOST_DEATHS, Job, JobRows, NewJob, failure
from ai_engine.domain.schedules import (
    Happening,
    NewSchedule,
    Schedule,
    Selection,
    Source,
    SourceFile,
)

OpenCatalogue = Callable[[], Catalogue]
HOUR = 3600.0
LEASE = 600.0
FILES = (SourceFile("/data/cpu.csv", 4, digest_of(b"rows"), 3),)


def new_schedule(name: str = "cpu", every: float | None = HOUR, rows: int | None = None) -> NewSchedule:
    """Return a schedule that can be set."""
    return NewSchedule(name, {"model_type": "kind", "name": name}, Source("/data/*.csv"), every, rows)


def put(catalogue: Catalogue, new: NewSchedule | None = None) -> Schedule:
    """Set a schedule in a transaction of its own."""
    with catalogue.write("tester") as work:
        return work.schedules.put(new or new_schedule())


def read(catalogue: Catalogue, name: str = "cpu") -> Schedule:
    """Return a schedule that there is."""
    with catalogue.read() as snapshot:
        found = snapshot.schedules.get(name)
    assert found is not None
    return found


def due(catalogue: Catalogue) -> list[str]:
    """Return the models of which somebody may have to do something now."""
    with catalogue.read() as snapshot:
        return [schedule.name for schedule in snapshot.schedules.due()]


def ask(catalogue: Catalogue, schedule: Schedule) -> Job:
    """Enqueue the job of a schedule that was seen, as whoever looks does."""
    stored = JobRows(digest_of(b"rows"), "csv", 4)
    with catalogue.write("the schedule") as work:
        job, _ = work.jobs.enqueue(NewJob(schedule.name, "kind", {}, stored), 1000)
        work.schedules.asked(schedule.turn, job.job_id, FILES)
    return job


def claimed(catalogue: Catalogue) -> Job:
    """Claim a job that there is."""
    with catalogue.write() as work:
        job = work.jobs.claim("worker", "host", LEASE)
    assert job is not None
    return job


class ScheduleContract:
    """Give it a fixture `open_catalogue`: a callable that opens the same empty catalogue, each time anew."""

    def test_a_schedule_is_known_to_every_opening(self, open_catalogue: OpenCatalogue) -> None:
        """As it was set, and it is due at once."""
        new = replace(new_schedule(rows=5), source=Source("/data/{date}.csv", Selection.ALL, "/data"))
        put(open_catalogue(), new)
        known = read(open_catalogue())
        assert (known.name, dict(known.spec), known.source) == ("cpu", dict(new.spec), new.source)
        assert (known.every, known.rows, known.set_by) == (HOUR, 5, "tester")
        assert (known.last, known.failures, known.asked, known.trained, known.job_id) == (
            None,
            0,
            (),
            (),
            None,
        )
        assert known.is_due
        assert known.warning is None
        assert due(open_catalogue()) == ["cpu"]

    def test_a_schedule_says_when(self) -> None:
        """By a time, by rows, or by both."""
        with pytest.raises(InvalidInputError, match="every"):
            new_schedule(every=None)

    def test_they_are_listed_by_name_a_page_at_a_time(self, open_catalogue: OpenCatalogue) -> None:
        """And counted."""
        catalogue = open_catalogue()
        for name in ("b", "a", "c"):
            put(catalogue, new_schedule(name))
        with catalogue.read() as snapshot:
            assert [one.name for one in snapshot.schedules.page()] == ["a", "b", "c"]
            assert [one.name for one in snapshot.schedules.page(1, "a")] == ["b"]
            assert snapshot.schedules.page(5, "c") == []
            assert snapshot.schedules.count() == 3
            assert snapshot.schedules.get("d") is None

    def test_one_that_is_removed_is_gone(self, open_catalogue: OpenCatalogue) -> None:
        """And the job that it asked for goes on."""
        catalogue = open_catalogue()
        job = ask(catalogue, put(catalogue))
        with catalogue.write() as work:
            work.schedules.remove("cpu")
        with catalogue.read() as snapshot:
            assert snapshot.schedules.count() == 0
        with pytest.raises(ScheduleNotFoundError), catalogue.write() as work:
            work.schedules.remove("cpu")
        running = claimed(catalogue)
        assert running.job_id == job.job_id
        with catalogue.write() as work:
            work.jobs.complete(running.claim, "cpu#1", {"model_version": "1.0.0"})

    def test_a_job_is_enqueued_once_however_many_see_that_it_is_due(
        self, open_catalogue: OpenCatalogue
    ) -> None:
        """Who comes second is refused, and leaves nothing."""
        catalogue = open_catalogue()
        seen = put(catalogue)
        together = threading.Barrier(8)

        def look(_: int) -> bool:
            together.wait()
            try:
                ask(catalogue, seen)
            except ScheduleChangedError:
                return False
            return True

        with ThreadPoolExecutor(8) as lookers:
            assert sorted(lookers.map(look, range(8))) == [False] * 7 + [True]
        with catalogue.read() as snapshot:
            (job,) = snapshot.jobs.page()
        now = read(catalogue)
        assert (now.job_id, now.asked, now.trained) == (job.job_id, FILES, ())
        assert now.last is not None
        assert (now.last.outcome, now.last.job_id) == (Happening.QUEUED, job.job_id)
        assert seen.due_at is not None
        assert now.due_at == seen.due_at + timedelta(seconds=HOUR)
        assert due(catalogue) == []

    def test_who_holds_a_schedule_is_alone_with_it(self, open_catalogue: OpenCatalogue) -> None:
        """Until the hold ends, or what it was due for is done."""
        catalogue = open_catalogue()
        seen = put(catalogue)
        with catalogue.write() as work:
            assert work.schedules.hold(seen.turn, LEASE)
            assert not work.schedules.hold(seen.turn, LEASE)
        assert due(catalogue) == []
        ask(catalogue, seen)
        with catalogue.write() as work:
            assert not work.schedules.hold(seen.turn, LEASE)
            gone = work.schedules.put(new_schedule("gone", every=1.0))
            assert work.schedules.hold(gone.turn, -1.0)  # one that has ended when it begins
            assert work.schedules.hold(gone.turn, LEASE)

    @pytest.mark.parametrize("again", [None, LEASE])
    def test_why_nothing_was_trained_is_told(
        self, open_catalogue: OpenCatalogue, again: float | None
    ) -> None:
        """And the time is done with, unless it is to be tried again."""
        catalogue = open_catalogue()
        seen = put(catalogue)
        with catalogue.write() as work:
            work.schedules.passed(seen.turn, Happening.UNREADABLE, "there is no file", again)
        now = read(catalogue)
        assert now.last is not None
        assert (now.last.outcome, now.last.reason, now.last.job_id) == (
            Happening.UNREADABLE,
            "there is no file",
            None,
        )
        assert now.is_due is (again is not None)
        assert due(catalogue) == []
        assert now.warning is not None
        with catalogue.read() as snapshot:
            assert [one.name for one in snapshot.schedules.troubled(5)] == ["cpu"]
        with pytest.raises(ScheduleChangedError), catalogue.write() as work:
            work.schedules.passed(seen.turn, Happening.UNCHANGED, "too late")
        with catalogue.write() as work:
            work.schedules.passed(now.turn, Happening.UNCHANGED, "nothing new")
        assert read(catalogue).warning is None

    def test_a_version_is_told_and_what_it_was_trained_on(self, open_catalogue: OpenCatalogue) -> None:
        """In the transaction that ends the job."""
        catalogue = open_catalogue()
        ask(catalogue, put(catalogue))
        job = claimed(catalogue)
        result = {"model_version": "1.0.1", "active": False, "activation_reason": "it is worse"}
        with pytest.raises(ZeroDivisionError), catalogue.write() as work:
            work.jobs.complete(job.claim, "cpu#1", result)
            raise ZeroDivisionError
        assert read(catalogue).trained == ()
        with catalogue.write() as work:
            work.jobs.complete(job.claim, "cpu#1", result)
        now = read(catalogue)
        assert now.last is not None
        assert (now.last.outcome, now.last.version, now.last.active, now.last.reason) == (
            Happening.COMPLETED,
            "1.0.1",
            False,
            "it is worse",
        )
        assert (now.trained, now.last.job_id, now.failures) == (FILES, job.job_id, 0)

    @pytest.mark.parametrize("end", ["failed", "died"])
    def test_trainings_that_fail_again_and_again_are_told(
        self, open_catalogue: OpenCatalogue, end: str
    ) -> None:
        """One does not count for much, and a version ends it."""
        catalogue = open_catalogue()
        put(catalogue, new_schedule(every=1.0))
        for number in (1, 2):
            ask(catalogue, read(catalogue))
            for _ in range(MOST_DEATHS if end == "died" else 1):
                job = claimed(catalogue)
                with catalogue.write() as work:
                    if end == "died":
                        work.jobs.lose(job.claim, "SIGKILL")
                    else:
                        work.jobs.fail(job.claim, failure("no rows"), "no rows")
            now = read(catalogue)
            assert now.last is not None
            assert (now.last.outcome, now.failures) == (Happening.FAILED, number)
            assert ("SIGKILL" if end == "died" else "no rows") in str(now.last.reason)
            assert (now.warning is not None) is (number == 2)
            with catalogue.read() as snapshot:
                assert len(snapshot.schedules.troubled(5)) == number - 1
        ask(catalogue, read(catalogue))
        job = claimed(catalogue)
        with catalogue.write() as work:
            work.jobs.complete(job.claim, "cpu#1", {})
        assert (read(catalogue).failures, read(catalogue).warning) == (0, None)

    @pytest.mark.parametrize("state", ["queued", "running"])
    def test_one_that_is_cancelled_is_told_and_one_that_is_retried_waits(
        self, open_catalogue: OpenCatalogue, state: str
    ) -> None:
        """It is no failure."""
        catalogue = open_catalogue()
        job = ask(catalogue, put(catalogue))
        if state == "running":
            job = claimed(catalogue)
        with catalogue.write() as work:
            work.jobs.cancel(job.job_id)
        if state == "running":
            with catalogue.write() as work:
                work.jobs.confirm_cancel(job.claim)
        now = read(catalogue)
        assert now.last is not None
        assert (now.last.outcome, now.failures, now.trained) == (Happening.CANCELLED, 0, ())
        with catalogue.write() as work:
            work.jobs.retry(job.job_id)
        now = read(catalogue)
        assert now.last is not None
        assert (now.last.outcome, now.last.reason) == (Happening.QUEUED, None)

    def test_a_changed_schedule_is_a_new_one_to_whoever_saw_the_old(
        self, open_catalogue: OpenCatalogue
    ) -> None:
        """It keeps what it knows of the same source, and its time where that comes first."""
        catalogue = open_catalogue()
        seen = put(catalogue)
        ask(catalogue, seen)
        job = claimed(catalogue)
        with catalogue.write() as work:
            work.jobs.complete(job.claim, "cpu#1", {"model_version": "1.0.0"})
        before = read(catalogue)
        longer = put(catalogue, new_schedule(every=10 * HOUR))
        assert (longer.due_at, longer.trained, longer.last) == (before.due_at, FILES, before.last)
        shorter = put(catalogue, new_schedule(every=60.0))
        assert shorter.due_at is not None
        assert before.due_at is not None
        assert shorter.observed_at < shorter.due_at < before.due_at
        with pytest.raises(ScheduleChangedError):
            ask(catalogue, before)
        other = put(catalogue, replace(new_schedule(), source=Source("/elsewhere")))
        assert (other.trained, other.asked, other.last) == ((), (), None)

    def test_one_that_waits_for_rows_is_looked_at_again_and_again(
        self, open_catalogue: OpenCatalogue
    ) -> None:
        """It has no time, unless it is given one, which rows that come earlier move."""
        catalogue = open_catalogue()
        only = put(catalogue, new_schedule("rows", every=None, rows=10))
        assert (only.due_at, only.is_due) == (None, False)
        both = put(catalogue, new_schedule("both", rows=10))
        ask(catalogue, only)
        ask(catalogue, both)
        assert sorted(due(catalogue)) == ["both", "rows"]
        assert read(catalogue, "rows").due_at is None
        early = read(catalogue, "both")
        assert not early.is_due
        ask(catalogue, early)
        moved = read(catalogue, "both")
        assert moved.due_at is not None
        assert early.due_at is not None
        assert early.due_at < moved.due_at <= moved.observed_at + timedelta(seconds=HOUR)
