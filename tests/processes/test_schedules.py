"""Processes that all look for what is due: each time makes one job, whoever comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ai_engine.domain.schedules import Happening
from ai_engine.jobs.schedules import new_schedule
from ai_engine.models import ModelManager
from tests.faults.driver import diagnose, run

SCHEDULES = 12
# All are due the whole time: each look does what nobody has done yet.
LOOKING = """
    from ai_engine.jobs.schedules import Scheduler
    from ai_engine.settings import Settings
    with ModelManager(directory) as manager:
        looking = Scheduler(manager.registry, Settings())
        for _ in range(5):
            looking.look()
        tell("asked", "cpu", looking.asked, 0)
"""


def test_each_time_makes_one_job_however_many_processes_look(tmp_path: Path) -> None:
    source, directory = tmp_path / "cpu.csv", tmp_path / "models"
    source.write_text("timestamp,cpu\n2026-01-01T00:00:00Z,1\n")
    given = {"source": str(source), "every": "6h", "model_type": "resource_prediction"}
    with ModelManager(directory) as manager:
        for number in range(SCHEDULES):
            manager.registry.schedules.put(new_schedule(manager.registry, f"m{number}", given))
        with ThreadPoolExecutor(3) as threads:
            ran = list(threads.map(lambda _: run(LOOKING, directory), range(3)))
        assert [code for _, code in ran] == [0] * 3
        assert sum(line.seed for lines, _ in ran for line in lines) == SCHEDULES
        jobs = manager.registry.queue.page()
        assert sorted(job.model_name for job in jobs) == sorted(f"m{number}" for number in range(SCHEDULES))
        told = {one.name: one.last for one in manager.registry.schedules.page()}
        for job in jobs:
            last = told[job.model_name]
            assert last is not None
            assert (last.outcome, last.job_id) == (Happening.QUEUED, job.job_id)
    assert [found for found in diagnose(directory) if found.is_open] == []
