"""What every Catalogue must do for jobs; see catalogue.jobs for the prose."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ai_engine.catalogue.jobs import JobQueue
from ai_engine.catalogue.protocol import Catalogue
from ai_engine.domain.digests import digest_of
from ai_engine.domain.entities import Artifact, ModelId, NewVersion, Place, Run
from ai_engine.domain.errors import (
    IdempotencyKeyReusedError,
    JobNotFoundError,
    JobStateError,
    LeaseLostError,
    QueueFullError,
)
from ai_engine.domain.jobs import (
    MOST_DEATHS,
    Attempt,
    Job,
    JobClaim,
    JobRows,
    JobStatus,
    NewJob,
    Order,
    Outcome,
    Usage,
    failure,
)

OpenCatalogue = Callable[[], Catalogue]
LIMIT = 1000
LEASE = 600.0  # seconds, of a worker that lives
GONE = -1.0  # a lease that has lapsed when it begins, as if its worker had been silent for long


def new_job(rows: bytes = b"rows", key: str | None = None, fingerprint: str = "") -> NewJob:
    """Return a job that can be enqueued."""
    stored = JobRows(digest_of(rows), "json", len(rows))
    return NewJob("cpu", "resource_prediction", {"horizon": 3}, stored, key, fingerprint)


def saved_version() -> NewVersion:
    """Return a version that can be saved."""
    artifact = Artifact(Place.ROW, digest_of(b"x"), "pickle", 1)
    return NewVersion(
        ModelId("cpu#1"), "cpu", "1.0.0", None, (), {}, True, artifact, datetime(2026, 1, 1, tzinfo=UTC)
    )


def enqueue(catalogue: Catalogue, new: NewJob | None = None, limit: int = LIMIT) -> Job:
    """Enqueue a job in a transaction of its own."""
    with catalogue.write("tester") as work:
        return work.jobs.enqueue(new or new_job(), limit)[0]


def claim(catalogue: Catalogue, lease: float = LEASE) -> Job | None:
    """Claim a job in a transaction of its own."""
    with catalogue.write() as work:
        return work.jobs.claim("worker", "host", lease)


def claimed(catalogue: Catalogue, lease: float = LEASE) -> Job:
    """Claim a job that there is."""
    job = claim(catalogue, lease)
    assert job is not None
    return job


def read(catalogue: Catalogue, job_id: str) -> Job:
    """Return a job that there is."""
    with catalogue.read() as snapshot:
        job = snapshot.jobs.get(job_id)
    assert job is not None
    return job


def told(catalogue: Catalogue, job_id: str, after: int = 0) -> list[tuple[int, str, str | None]]:
    """Return the events of a job."""
    with catalogue.read() as snapshot:
        return [(event.seq, event.kind, event.stage) for event in snapshot.jobs.events(job_id, after)]


class JobQueueContract:
    """Give it a fixture `open_catalogue`: a callable that opens the same empty catalogue, each time anew."""

    def test_a_job_waits_as_it_was_asked_for(self, open_catalogue: OpenCatalogue) -> None:
        """For every opening."""
        job = enqueue(open_catalogue(), new_job(b"some rows"))
        known = read(open_catalogue(), job.job_id)
        assert (known.status, known.attempt, known.deaths) == (JobStatus.QUEUED, 0, 0)
        assert (known.model_name, known.model_type, dict(known.spec)) == (
            "cpu",
            "resource_prediction",
            {"horizon": 3},
        )
        assert known.rows == JobRows(digest_of(b"some rows"), "json", 9)
        assert known.submitted_by == "tester"
        assert known.observed_at >= known.submitted_at
        assert (known.started_at, known.completed_at, known.elapsed_seconds) == (None, None, None)
        assert (known.result, known.error) == (None, None)

    @pytest.mark.parametrize("stranger", ["", "1", "0000000001-0000000000000000", "x" * 27])
    def test_there_is_no_job_of_another_id(self, open_catalogue: OpenCatalogue, stranger: str) -> None:
        """Whatever it looks like."""
        catalogue = open_catalogue()
        enqueue(catalogue)
        with catalogue.read() as snapshot:
            assert snapshot.jobs.get(stranger) is None
            assert snapshot.jobs.events(stranger) == []
            assert snapshot.jobs.attempts(stranger) == []
        with catalogue.write() as work, pytest.raises(JobNotFoundError):
            work.jobs.cancel(stranger)
        with catalogue.write() as work, pytest.raises(JobNotFoundError):
            work.jobs.retry(stranger)
        assert read(catalogue, enqueue(catalogue).job_id).status is JobStatus.QUEUED

    def test_the_oldest_is_claimed_first_and_each_once(self, open_catalogue: OpenCatalogue) -> None:
        """With the attempt raised."""
        catalogue = open_catalogue()
        ids = [enqueue(catalogue).job_id for _ in range(3)]
        assert ids == sorted(ids)
        got = [claimed(catalogue) for _ in ids]
        assert [job.job_id for job in got] == ids
        assert all((job.status, job.attempt) == (JobStatus.RUNNING, 1) for job in got)
        assert all(job.started_at is not None and job.elapsed_seconds is not None for job in got)
        assert claim(catalogue) is None
        with catalogue.read() as snapshot:
            assert not snapshot.jobs.claimable()

    def test_many_workers_never_share_a_job(self, open_catalogue: OpenCatalogue) -> None:
        """However they come together."""
        catalogue = open_catalogue()
        ids = {enqueue(catalogue).job_id for _ in range(24)}
        together = threading.Barrier(4)

        def work(_: int) -> list[str]:
            together.wait()
            got = []
            while (job := claim(catalogue)) is not None:
                got.append(job.job_id)
            return got

        with ThreadPoolExecutor(4) as workers:
            found = [job_id for got in workers.map(work, range(4)) for job_id in got]
        assert sorted(found) == sorted(ids)

    def test_heartbeats_renew_a_lease_and_tell_how_far_it_is(self, open_catalogue: OpenCatalogue) -> None:
        """One event for each news."""
        catalogue = open_catalogue()
        enqueue(catalogue)
        job = claimed(catalogue, GONE)
        for stage, fraction in (("reading", 0.1), ("reading", 0.1), ("fitting", 0.5)):
            with catalogue.write() as work:
                assert work.jobs.beat(job.claim, LEASE, stage, fraction) is Order.GO_ON
        assert claim(catalogue) is None  # it was renewed before anybody else came
        now = read(catalogue, job.job_id)
        assert (now.stage, now.fraction) == ("fitting", 0.5)
        assert told(catalogue, job.job_id) == [(1, "progress", "reading"), (2, "progress", "fitting")]
        assert told(catalogue, job.job_id, 1) == [(2, "progress", "fitting")]

    def test_a_silent_worker_loses_its_job(self, open_catalogue: OpenCatalogue) -> None:
        """And nothing that it does with it from then on changes anything."""
        catalogue = open_catalogue()
        enqueue(catalogue)
        slow = claimed(catalogue, GONE)
        with catalogue.read() as snapshot:
            assert snapshot.jobs.claimable()
        quick = claimed(catalogue)
        assert (quick.job_id, quick.attempt, quick.deaths) == (slow.job_id, 2, 1)
        with catalogue.write() as work:
            assert work.jobs.beat(slow.claim, LEASE, "late", 1.0) is Order.LOST
        late: tuple[Callable[[JobQueue], None], ...] = (
            lambda jobs: jobs.complete(slow.claim, "cpu#1", {}),
            lambda jobs: jobs.fail(slow.claim, failure("late"), "late"),
            lambda jobs: jobs.lose(slow.claim, "late"),
            lambda jobs: jobs.hand_back(slow.claim),
            lambda jobs: jobs.confirm_cancel(slow.claim),
        )
        for change in late:
            with pytest.raises(LeaseLostError), catalogue.write() as work:
                change(work.jobs)
        now = read(catalogue, slow.job_id)
        assert (now.status, now.attempt, now.deaths) == (JobStatus.RUNNING, 2, 1)
        assert now.stage is not None
        assert now.stage.startswith("attempt 1 died: ")
        assert now.stage.endswith("; attempt 2 follows")
        with catalogue.read() as snapshot:
            first, second = snapshot.jobs.attempts(slow.job_id)
        assert (first.outcome, second.outcome) == (Outcome.DIED, None)
        assert first.error is not None

    def test_a_completed_job_has_its_result_and_its_rows_are_free(
        self, open_catalogue: OpenCatalogue
    ) -> None:
        """And it is ended once."""
        catalogue = open_catalogue()
        enqueue(catalogue)
        job = claimed(catalogue)
        assert job.rows is not None
        with catalogue.write() as work:
            assert work.jobs.needs(job.rows.digest)
            work.jobs.complete(job.claim, "cpu#1", {"model_version": "1.0.0"})
            assert not work.jobs.needs(job.rows.digest)
            assert [item.digest for item in work.debris(-1)] == [job.rows.digest]
            work.jobs.record_usage(job.claim, Usage(1.5, 2048))
        now = read(catalogue, job.job_id)
        assert (now.status, now.rows, now.stage) == (JobStatus.COMPLETED, None, None)
        assert now.result == {"model_version": "1.0.0"}
        assert now.completed_at is not None
        assert told(catalogue, job.job_id) == [(1, "completed", None)]
        with catalogue.read() as snapshot:
            (attempt,) = snapshot.jobs.attempts(job.job_id)
        assert (attempt.outcome, attempt.usage) == (Outcome.COMPLETED, Usage(1.5, 2048))
        assert (attempt.worker, attempt.host) == ("worker", "host")
        with pytest.raises(LeaseLostError), catalogue.write() as work:
            work.jobs.complete(job.claim, "cpu#2", {})

    def test_what_raises_leaves_the_job_as_it_was(self, open_catalogue: OpenCatalogue) -> None:
        """So a version and its job are completed together, or neither is."""
        catalogue = open_catalogue()
        enqueue(catalogue)
        job = claimed(catalogue)
        with pytest.raises(ZeroDivisionError), catalogue.write() as work:
            work.jobs.complete(job.claim, "cpu#1", {})
            raise ZeroDivisionError
        assert read(catalogue, job.job_id).status is JobStatus.RUNNING

    def test_a_failed_job_says_why(self, open_catalogue: OpenCatalogue) -> None:
        """And keeps its rows, for it may be retried."""
        catalogue = open_catalogue()
        enqueue(catalogue)
        job = claimed(catalogue)
        with catalogue.write() as work:
            work.jobs.fail(job.claim, failure("no rows"), "no rows")
        now = read(catalogue, job.job_id)
        assert (now.status, now.error, now.rows) == (JobStatus.FAILED, failure("no rows"), job.rows)
        assert told(catalogue, job.job_id) == [(1, "failed", None)]
        with catalogue.write() as work:
            again = work.jobs.retry(job.job_id)
        assert (again.status, again.error, again.completed_at) == (JobStatus.QUEUED, None, None)
        assert told(catalogue, job.job_id) == [(1, "progress", "waiting once more")]
        assert claimed(catalogue).attempt == 2

    @pytest.mark.parametrize("silent", [True, False])
    def test_the_third_death_sets_a_job_aside(self, open_catalogue: OpenCatalogue, silent: bool) -> None:
        """Whether its workers fell silent or told of it; and it tells its story."""
        catalogue = open_catalogue()
        job_id, healthy = enqueue(catalogue).job_id, enqueue(catalogue).job_id
        for death in range(MOST_DEATHS):
            job = claimed(catalogue, GONE if silent else LEASE)
            assert (job.job_id, job.attempt, job.deaths) == (job_id, death + 1, death)
            if not silent:
                with catalogue.write() as work:
                    work.jobs.lose(job.claim, f"SIGKILL {death}")
        assert claimed(catalogue).job_id == healthy
        now = read(catalogue, job_id)
        assert (now.status, now.deaths) == (JobStatus.FAILED, MOST_DEATHS)
        assert now.error is not None
        for part in (
            "3 times",
            "attempt 1 on host",
            "attempt 3 on host",
            "jobs retry",
            "" if silent else "SIGKILL 2",
        ):
            assert part in now.error["detail"]
        events = told(catalogue, job_id)
        assert [(seq, kind) for seq, kind, _ in events] == [(1, "progress"), (2, "progress"), (3, "failed")]
        for number, (_, _, stage) in enumerate(events[:2], 1):
            assert stage is not None
            assert stage.startswith(f"attempt {number} died: ")
            assert stage.endswith(f"; attempt {number + 1} follows")
            assert silent or f"SIGKILL {number - 1}" in stage
        with catalogue.write() as work:
            assert work.jobs.retry(job_id).deaths == 0

    def test_a_job_that_is_handed_back_has_not_died(self, open_catalogue: OpenCatalogue) -> None:
        """However often, and is the first to be claimed again."""
        catalogue = open_catalogue()
        job_id = enqueue(catalogue).job_id
        enqueue(catalogue)
        for number in range(MOST_DEATHS + 1):
            job = claimed(catalogue)
            assert (job.job_id, job.attempt, job.deaths) == (job_id, number + 1, 0)
            with catalogue.write() as work:
                work.jobs.hand_back(job.claim)
            seq, kind, stage = told(catalogue, job_id)[-1]
            assert (seq, kind) == (number + 1, "progress")
            assert stage == f"the worker of attempt {number + 1} was stopped; attempt {number + 2} follows"
            assert read(catalogue, job_id).stage == stage

    def test_a_waiting_job_is_cancelled_at_once(self, open_catalogue: OpenCatalogue) -> None:
        """And never runs."""
        catalogue = open_catalogue()
        job_id = enqueue(catalogue).job_id
        with catalogue.write() as work:
            assert work.jobs.cancel(job_id).status is JobStatus.CANCELLED
        assert claim(catalogue) is None
        assert told(catalogue, job_id) == [(1, "cancelled", None)]
        with pytest.raises(JobStateError), catalogue.write() as work:
            work.jobs.cancel(job_id)
        with catalogue.write() as work:
            assert work.jobs.retry(job_id).status is JobStatus.QUEUED

    @pytest.mark.parametrize("end", ["confirmed", "handed back", "died", "silent", "completed"])
    def test_a_running_job_is_asked_to_end(self, open_catalogue: OpenCatalogue, end: str) -> None:
        """However it ends, it does not run again."""
        catalogue = open_catalogue()
        job_id = enqueue(catalogue).job_id
        job = claimed(catalogue, GONE if end == "silent" else LEASE)
        with catalogue.write() as work:
            assert work.jobs.cancel(job_id).status is JobStatus.RUNNING
        if end != "silent":
            with catalogue.write() as work:
                assert work.jobs.beat(job.claim, LEASE, None, None) is Order.CANCEL
        with catalogue.write() as work:
            if end == "confirmed":
                work.jobs.confirm_cancel(job.claim)
            elif end == "handed back":
                work.jobs.hand_back(job.claim)
            elif end == "died":
                work.jobs.lose(job.claim, "SIGTERM")
            elif end == "completed":
                work.jobs.complete(job.claim, "cpu#1", {})
        assert claim(catalogue) is None
        expected = JobStatus.COMPLETED if end == "completed" else JobStatus.CANCELLED
        assert read(catalogue, job_id).status is expected
        assert told(catalogue, job_id) == [(1, expected.value, None)]

    @pytest.mark.parametrize("state", ["queued", "running", "completed"])
    def test_only_what_made_nothing_is_retried(self, open_catalogue: OpenCatalogue, state: str) -> None:
        """A completed one has its version."""
        catalogue = open_catalogue()
        job_id = enqueue(catalogue).job_id
        if state != "queued":
            job = claimed(catalogue)
            if state == "completed":
                with catalogue.write() as work:
                    work.jobs.complete(job.claim, "cpu#1", {})
        with pytest.raises(JobStateError, match=state), catalogue.write() as work:
            work.jobs.retry(job_id)

    @pytest.mark.parametrize("limit", [1, 3])
    def test_so_many_wait_and_no_more(self, open_catalogue: OpenCatalogue, limit: int) -> None:
        """Those that run do not count."""
        catalogue = open_catalogue()
        for _ in range(limit):
            enqueue(catalogue, limit=limit)
        with pytest.raises(QueueFullError) as refused:
            enqueue(catalogue, limit=limit)
        assert refused.value.waiting == limit
        claimed(catalogue)
        enqueue(catalogue, limit=limit)

    def test_a_key_means_one_job(self, open_catalogue: OpenCatalogue) -> None:
        """Whatever has become of it; and no key means a job of its own."""
        catalogue = open_catalogue()
        with catalogue.write() as work:
            job, is_new = work.jobs.enqueue(new_job(key="k", fingerprint="a"), LIMIT)
            assert is_new
        for step in ("queued", "running", "completed"):
            with catalogue.write() as work:
                again, is_new = work.jobs.enqueue(new_job(key="k", fingerprint="a"), 1)
                assert (again.job_id, again.status.value, is_new) == (job.job_id, step, False)
            with catalogue.write() as work:
                if step == "queued":
                    running = work.jobs.claim("worker", "host", LEASE)
                elif step == "running":
                    assert running is not None
                    work.jobs.complete(running.claim, "cpu#1", {})
        with pytest.raises(IdempotencyKeyReusedError) as refused:
            enqueue(catalogue, new_job(key="k", fingerprint="b"))
        assert refused.value.job_id == job.job_id
        assert enqueue(catalogue, new_job(key="other", fingerprint="a")).job_id != job.job_id
        assert enqueue(catalogue).job_id != enqueue(catalogue).job_id

    def test_jobs_are_listed_and_counted(self, open_catalogue: OpenCatalogue) -> None:
        """The newest first, a page at a time."""
        catalogue = open_catalogue()
        ids = [enqueue(catalogue).job_id for _ in range(5)]
        claimed(catalogue)
        with catalogue.read() as snapshot:
            jobs = snapshot.jobs
            assert [job.job_id for job in jobs.page()] == ids[::-1]
            assert [job.job_id for job in jobs.page(limit=2)] == [ids[4], ids[3]]
            assert [job.job_id for job in jobs.page(limit=2, before=ids[3])] == [ids[2], ids[1]]
            assert [job.job_id for job in jobs.page(JobStatus.QUEUED, before=ids[2])] == [ids[1]]
            assert [job.job_id for job in jobs.page(JobStatus.RUNNING)] == [ids[0]]
            assert jobs.counts() == {
                JobStatus.QUEUED: 4,
                JobStatus.RUNNING: 1,
                JobStatus.COMPLETED: 0,
                JobStatus.FAILED: 0,
                JobStatus.CANCELLED: 0,
            }

    def test_rows_of_two_jobs_are_needed_until_both_are_done(self, open_catalogue: OpenCatalogue) -> None:
        """Equal bytes are stored once."""
        catalogue = open_catalogue()
        digest = digest_of(b"shared")
        for _ in range(2):
            enqueue(catalogue, new_job(b"shared"))
        for left in (True, False):
            job = claimed(catalogue)
            with catalogue.write() as work:
                assert work.jobs.needed() == [digest]
                work.jobs.complete(job.claim, "cpu#1", {})
                assert work.jobs.needs(digest) is left
                assert bool(work.debris(-1)) is not left

    @pytest.mark.parametrize("ended", ["failed", "cancelled", "completed"])
    def test_ended_jobs_are_forgotten_and_their_rows_before(
        self, open_catalogue: OpenCatalogue, ended: str
    ) -> None:
        """Others never are."""
        catalogue = open_catalogue()
        job_id = enqueue(catalogue, new_job(b"old", key="k")).job_id
        job = claimed(catalogue)
        with catalogue.write() as work:
            if ended == "failed":
                work.jobs.fail(job.claim, failure("no"), "no")
            elif ended == "completed":
                work.jobs.complete(job.claim, "cpu#1", {})
            else:
                work.jobs.cancel(job_id)
                work.jobs.confirm_cancel(job.claim)
        waiting = enqueue(catalogue, new_job(b"new")).job_id
        with catalogue.write() as work:
            assert work.jobs.forget(LEASE, LEASE) == 0
            assert work.jobs.needs(digest_of(b"old")) is (ended != "completed")
            assert work.jobs.forget(-LEASE, LEASE) == 0
            assert not work.jobs.needs(digest_of(b"old"))
        if ended != "completed":
            with pytest.raises(JobStateError, match="rows"), catalogue.write() as work:
                work.jobs.retry(job_id)
        with catalogue.write() as work:
            assert work.jobs.forget(-LEASE, -LEASE) == 1
            assert [one.job_id for one in work.jobs.page()] == [waiting]
            # What made no version is still told, in the history of the model.
            assert [one.attempt for one in work.jobs.attempts(job_id)] == [1] * (ended != "completed")
            assert [one.job_id for one in work.runs("cpu")] == [job_id] * (ended != "completed")
            assert work.jobs.events(job_id) == []
            assert work.jobs.needs(digest_of(b"new"))
        assert enqueue(catalogue, new_job(key="k")).job_id != job_id

    def test_every_attempt_is_in_the_history_of_its_model(self, open_catalogue: OpenCatalogue) -> None:
        """In the order of their ends, with what each took; those under way are not yet."""
        catalogue = open_catalogue()
        for _ in range(2):
            enqueue(catalogue)
        job = claimed(catalogue)
        with catalogue.write() as work:
            work.jobs.fail(job.claim, failure("no rows"), "no rows")
            work.jobs.record_usage(job.claim, Usage(1.5, 1000))
        second = claimed(catalogue)
        with catalogue.read() as snapshot:
            (record,) = snapshot.runs("cpu")
            assert snapshot.runs("memory") == snapshot.runs("cpu", "1.0.0") == []
        assert (record.version, record.job_id) == (None, job.job_id)
        attempt = record.attempt
        assert attempt is not None
        assert (attempt.attempt, attempt.host, attempt.outcome, attempt.error, attempt.usage) == (
            1,
            "host",
            Outcome.FAILED,
            "no rows",
            Usage(1.5, 1000),
        )
        assert (record.run.started, record.run.completed) == (attempt.started_at, None)
        with catalogue.write() as work:
            work.jobs.lose(second.claim, "SIGKILL")
        again = claimed(catalogue)
        assert again.job_id == second.job_id
        saved = replace(saved_version(), run=Run(None, None, 7, {"alpha": 1.0}))
        with catalogue.write() as work:
            added = work.add(saved, b"x", "/models/cpu.pkl")
            work.jobs.complete(again.claim, saved.model_id, {})
            work.jobs.record_usage(again.claim, Usage(2.5, 2000))
            work.record_run(saved.model_id, Run(None, None, 8))
        enqueue(catalogue)
        last = claimed(catalogue)
        with catalogue.write() as work:
            work.jobs.hand_back(last.claim)

        def seen() -> list[tuple[str | None, int | None, Outcome | None]]:
            with catalogue.read() as snapshot:
                return [
                    (one.version, one.run.dataset_size, None if one.attempt is None else one.attempt.outcome)
                    for one in snapshot.runs("cpu")
                ]

        assert seen() == [
            (None, None, Outcome.HANDED_BACK),
            ("1.0.0", 8, None),
            ("1.0.0", 7, Outcome.COMPLETED),
            (None, None, Outcome.DIED),
            (None, None, Outcome.FAILED),
        ]
        with catalogue.read() as snapshot:
            of_version = snapshot.runs("cpu", "1.0.0")
        assert [one.attempt and one.attempt.usage for one in of_version] == [None, Usage(2.5, 2000)]
        with catalogue.write() as work:
            work.jobs.forget(-LEASE, -LEASE)
        assert len(seen()) == 5
        with catalogue.write() as work:
            work.drop(added, [])
        assert [outcome for _, _, outcome in seen()] == [Outcome.HANDED_BACK, Outcome.DIED, Outcome.FAILED]
        with catalogue.write() as work:
            assert [one.outcome for one in work.jobs.attempts(again.job_id)] == [
                Outcome.DIED,
                Outcome.COMPLETED,
            ]
            work.jobs.forget(-LEASE, -LEASE)
            # It goes with its version, and what made none stays.
            assert [one.outcome for one in work.jobs.attempts(again.job_id)] == [Outcome.DIED]

    def test_a_training_that_was_no_job_is_in_the_history_too(self, open_catalogue: OpenCatalogue) -> None:
        """With its version, or behind what there was."""
        catalogue = open_catalogue()
        at = datetime(2026, 1, 1, tzinfo=UTC)
        failed = Attempt(1, "process 5", "host", at, at, Outcome.FAILED, "no rows", Usage(1.5, 1000))
        made = replace(failed, outcome=Outcome.COMPLETED, error=None)
        saved = replace(saved_version(), run=Run(at, at, 7, {"alpha": 1.0}))
        with catalogue.write() as work:
            work.record_attempt("cpu", failed, {"alpha": 0.5})
            work.add(saved, b"x", "/models/cpu.pkl")
            work.record_attempt("cpu", made, {"alpha": 1.0}, saved.model_id)
            work.record_attempt("cpu", failed, {"alpha": 2.0})
            work.record_attempt("memory", failed, {})
        with open_catalogue().read() as snapshot:
            found = snapshot.runs("cpu")
            assert [(one.version, one.attempt, one.job_id) for one in found] == [
                (None, failed, None),
                ("1.0.0", made, None),
                (None, failed, None),
            ]
            assert [dict(one.run.hyperparameters) for one in found] == [
                {"alpha": 2.0},
                {"alpha": 1.0},
                {"alpha": 0.5},
            ]
            assert len(snapshot.runs("memory")) == 1

    def test_a_history_keeps_the_newest_attempts_that_made_nothing(
        self, open_catalogue: OpenCatalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once their jobs are forgotten; those of other models are not counted."""
        monkeypatch.setattr("ai_engine.catalogue.sql.job_queue.MOST_ATTEMPTS", 2)
        catalogue = open_catalogue()
        for name in ("memory", *["cpu"] * 4):
            enqueue(catalogue, replace(new_job(), model_name=name))
            job = claimed(catalogue)
            with catalogue.write() as work:
                work.jobs.fail(job.claim, failure("no"), f"no {job.job_id}")
        with catalogue.write() as work:
            newest = [one.job_id for one in work.jobs.page(limit=2)]
            assert work.jobs.forget(-LEASE, -LEASE) == 5
            assert [one.job_id for one in work.runs("cpu")] == newest
            failed = Attempt(
                1, "process 5", "host", datetime.now(UTC), datetime.now(UTC), Outcome.FAILED, "no"
            )
            for _ in range(3):  # that were no jobs
                work.record_attempt("cpu", failed, {})
            assert work.jobs.forget(-LEASE, -LEASE) == 0
            assert [one.job_id for one in work.runs("cpu")] == [None, None]
            assert len(work.runs("memory")) == 1

    def test_an_unknown_claim_is_no_claim(self, open_catalogue: OpenCatalogue) -> None:
        """Nor is a number that was not given yet."""
        catalogue = open_catalogue()
        enqueue(catalogue)
        job = claimed(catalogue)
        for stranger in (JobClaim("nobody", 1), JobClaim(job.job_id, 2), JobClaim(job.job_id, 0)):
            with catalogue.write() as work:
                assert work.jobs.beat(stranger, LEASE, None, None) is Order.LOST
            with pytest.raises(LeaseLostError), catalogue.write() as work:
                work.jobs.complete(stranger, "cpu#1", {})
