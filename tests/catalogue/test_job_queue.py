"""What the queue of trainings costs in a SQLite file, and what a clock that jumps does to it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ai_engine.catalogue.sqlite.catalogue import SqliteCatalogue
from ai_engine.directory.ownership import ModelDirectory
from ai_engine.domain.errors import QueueFullError
from ai_engine.domain.jobs import Job, JobStatus, Order
from ai_engine.testing.job_queue_contract import LEASE, LIMIT, claim, claimed, enqueue, new_job, read

STEP = 10  # of SQLite's machine, between two calls of the counter
MANY = 10_000


class Watched:
    """A catalogue whose connections tell how many steps SQLite's machine makes."""

    def __init__(self, path: Path) -> None:
        self._connections: list[sqlite3.Connection] = []
        self.catalogue = SqliteCatalogue(
            str(path / "catalogue.db"), ModelDirectory(str(path)), on_connect=self._connections.append
        )

    def on_each(self, act: Callable[[sqlite3.Connection], None]) -> None:
        """Do something to every connection that is open."""
        for connection in self._connections:
            with suppress(sqlite3.ProgrammingError):  # closed meanwhile
                act(connection)

    def steps(self, call: Callable[[], object]) -> int:
        """Return the steps of a call, in tens."""
        count = 0

        def counted() -> int:
            nonlocal count
            count += 1
            return 0

        self.on_each(lambda connection: connection.set_progress_handler(counted, STEP))
        call()
        self.on_each(lambda connection: connection.set_progress_handler(None, STEP))
        assert count
        return count


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.catalogue.close()


def fill(catalogue: SqliteCatalogue, status: JobStatus, count: int) -> None:
    """Have so many jobs more, of which each is as it stands."""
    with catalogue.write() as work:
        job, _ = work.jobs.enqueue(new_job(), 10**6)
        columns = (
            "token, model_name, model_type, spec, rows_digest, rows_format, rows_size, fingerprint, "
            "submitted_by, submitted_at"
        )
        work._execute(
            f"INSERT INTO engine_jobs ({columns}, status) "
            f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
            f"SELECT {columns}, '{status.value}' FROM engine_jobs, n WHERE seq = :seq",
            {"seq": int(job.job_id.split("-")[0], 16)},
        )
        work.jobs.cancel(job.job_id)


def beat(catalogue: SqliteCatalogue, job: Job) -> Order:
    with catalogue.write() as work:
        return work.jobs.beat(job.claim, LEASE, "fitting", 0.5)


def test_a_job_costs_the_same_however_many_wait_or_have_ended(watched: Watched) -> None:
    catalogue = watched.catalogue
    costs: dict[str, list[int]] = {}
    for status in (JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.COMPLETED):
        fill(catalogue, status, 10 if not costs else MANY)
        costs.setdefault("claim", []).append(watched.steps(lambda: claim(catalogue)))
        costs.setdefault("ask", []).append(watched.steps(lambda: enqueue(catalogue, limit=10**6)))
        with catalogue.read() as snapshot:
            (job,) = snapshot.jobs.page(JobStatus.RUNNING, 1)
        costs.setdefault("beat", []).append(watched.steps(lambda job=job: beat(catalogue, job)))  # type: ignore[misc]
        costs.setdefault("show", []).append(watched.steps(lambda job=job: read(catalogue, job.job_id)))  # type: ignore[misc]
    few, many, ended = costs.pop("ask")  # counts those that wait, in their index, as far as the limit
    assert many - few < 2 * MANY  # tens of steps: less than twenty steps each
    assert ended <= many * 1.01
    for what, (few, *more) in costs.items():
        assert max(more) <= 1.2 * few + 2, (what, few, more)


def test_a_limit_bounds_what_asking_costs(watched: Watched) -> None:
    def ask() -> None:
        with pytest.raises(QueueFullError):
            enqueue(watched.catalogue)

    fill(watched.catalogue, JobStatus.QUEUED, LIMIT)
    at_limit = watched.steps(ask)
    fill(watched.catalogue, JobStatus.QUEUED, MANY)
    assert watched.steps(ask) <= at_limit + 5  # a tree of another depth


@pytest.mark.parametrize("statement", ["queued", "lapsed"])
def test_what_is_claimed_is_found_without_a_sort(watched: Watched, statement: str) -> None:
    caught: list[str] = []
    enqueue(watched.catalogue)
    watched.on_each(lambda connection: connection.set_trace_callback(caught.append))
    assert claim(watched.catalogue) is not None
    wanted = "engine_job_leases WHERE lapses_at" if statement == "lapsed" else "WHERE status = "
    (asked,) = {one for one in caught if one.startswith("SELECT") and wanted in one}
    with sqlite3.connect(watched.catalogue.location) as database:
        plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {asked}")]
    database.close()
    if statement == "queued":
        assert plan == ["SEARCH engine_jobs USING COVERING INDEX engine_jobs_status (status=?)"]
    else:  # a row for each job that runs, and no other
        assert plan == ["SCAN engine_job_leases"]


def test_heartbeats_leave_nothing_behind(watched: Watched) -> None:
    """A hundred thousand of them: in one transaction, as what they leave is what counts here."""
    catalogue = watched.catalogue
    enqueue(catalogue)
    job = claimed(catalogue)
    beat(catalogue, job)
    before = pages(catalogue)
    with catalogue.write() as work:
        for _ in range(100_000):
            assert work.jobs.beat(job.claim, LEASE, "fitting", 0.5) is Order.GO_ON
    assert pages(catalogue) == before
    with catalogue.read() as snapshot:
        assert len(snapshot.jobs.events(job.job_id)) == 1


def pages(catalogue: SqliteCatalogue) -> int:
    catalogue.reclaim()
    return os.path.getsize(catalogue.location)


def shift(catalogue: SqliteCatalogue, hours: int) -> None:
    """Move every moment of the leases: what a clock does to them that jumps the other way."""
    moved = ", ".join(
        f"{column} = strftime('%Y-%m-%d %H:%M:%f000', {column}, '{hours} hours')"
        for column in ("beat_at", "lapses_at")
    )
    with catalogue.write() as work:
        work._execute(f"UPDATE engine_job_leases SET {moved}")


def test_a_clock_that_is_set_back_makes_no_lease_longer(watched: Watched) -> None:
    catalogue = watched.catalogue
    enqueue(catalogue)
    job = claimed(catalogue, lease=LEASE)
    shift(catalogue, 5)
    with catalogue.read() as snapshot:
        assert snapshot.jobs.claimable()  # for the claim that sets the lease right
    assert claim(catalogue) is None  # its worker is given the time to be heard of
    assert beat(catalogue, job) is Order.GO_ON
    with catalogue.write() as work:
        work._execute("UPDATE engine_job_leases SET seconds = -1")
    shift(catalogue, 5)
    assert claimed(catalogue).job_id == job.job_id  # and not only in five hours


def test_a_clock_that_is_set_forward_costs_an_attempt_and_no_job(watched: Watched) -> None:
    catalogue = watched.catalogue
    enqueue(catalogue)
    job = claimed(catalogue)
    shift(catalogue, -5)
    assert beat(catalogue, job) is Order.GO_ON  # nobody has come for it
    shift(catalogue, -5)
    again = claimed(catalogue)
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    assert beat(catalogue, job) is Order.LOST


def test_a_key_is_forgotten_after_a_day(watched: Watched) -> None:
    catalogue = watched.catalogue
    first = enqueue(catalogue, new_job(key="k", fingerprint="a"))
    for age, same in (("-23.9 hours", True), ("-24.1 hours", False)):
        with catalogue.write() as work:
            work._execute(
                f"UPDATE engine_jobs SET submitted_at = strftime('%Y-%m-%d %H:%M:%f000', 'now', '{age}')"
            )
        assert (enqueue(catalogue, new_job(key="k", fingerprint="a")).job_id == first.job_id) is same
    assert read(catalogue, first.job_id).status is JobStatus.QUEUED
