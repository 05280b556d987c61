"""Workers in processes of their own over one queue: each job is one worker's, and each save is fenced."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ai_engine.domain.jobs import JobStatus
from ai_engine.models import ModelManager
from tests.faults.driver import diagnose, run

JOBS = 40
CLAIMING = """
    with ModelManager(directory) as manager:
        while (job := manager.registry.queue.claim(str(os.getpid()), "host", 600.0)) is not None:
            tell("claimed", job.job_id, job.attempt, 0)
"""
# Every lease has lapsed when it begins: all workers have the same jobs over and over, and save for them.
FENCED = """
    from ai_engine import LeaseLostError
    from ai_engine.domain.jobs import JobCompletion
    with ModelManager(directory) as manager:
        for _ in range(60):
            job = manager.registry.queue.claim(str(os.getpid()), "host", -1.0)
            if job is None:
                continue
            try:
                manager.registry.save("cpu", [os.getpid()], job=JobCompletion(job.claim, lambda saved: {}))
                tell("saved", job.job_id, 0, 0)
            except LeaseLostError:
                tell("lost", job.job_id, 0, 0)
"""


def enqueue(directory: Path, count: int) -> list[str]:
    with ModelManager(directory) as manager:
        return [
            manager.registry.queue.submit(
                [b"[]"], "json", model_name="cpu", model_type="kind", spec={}, limit=count
            ).job_id
            for _ in range(count)
        ]


def test_each_job_is_claimed_by_one_process(tmp_path: Path) -> None:
    ids = enqueue(tmp_path, JOBS)
    with ThreadPoolExecutor(3) as threads:
        told = [
            line for lines, _ in threads.map(lambda _: run(CLAIMING, tmp_path), range(3)) for line in lines
        ]
    assert sorted(line.name for line in told) == ids
    assert {line.seed for line in told} == {1}


def test_a_job_that_all_have_makes_one_version(tmp_path: Path) -> None:
    ids = enqueue(tmp_path, 8)
    with ThreadPoolExecutor(3) as threads:
        ran = list(threads.map(lambda _: run(FENCED, tmp_path), range(3)))
    assert [code for _, code in ran] == [0] * 3
    with ModelManager(tmp_path) as manager:
        jobs = [manager.registry.queue.get(job_id) for job_id in ids]
        done = [job.job_id for job in jobs if job.status is JobStatus.COMPLETED]
        # The others were claimed a fourth time before anybody had saved, and are set aside.
        assert all(job.status is JobStatus.FAILED for job in jobs if job.job_id not in done)
        entries = manager.get_model_info()["models"]
        assert sorted(entry["model_id"] for entry in entries) == sorted(f"cpu#{job_id}" for job_id in done)
        assert manager.registry.queue.forget() == 0
    assert [found for found in diagnose(tmp_path) if found.is_open] == []
