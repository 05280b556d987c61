"""A job as a program holds it that asked for one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, Final

from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.jobs import Job
from ai_engine.jobs.shapes import expected_seconds, job_shape, outcome
from ai_engine.jobs.submission import submit, submit_file
from ai_engine.jobs.waiting import followed
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings
from ai_engine.telemetry.columns import Columns
from ai_engine.telemetry.frames import columns_from
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.request import TrainingRequest

_LINES: Final = 4096


class JobHandle:
    """A training that was asked for; whoever holds this may end, and the job goes on.

    Parameters
    ----------
    registry : Registry
        Where it was asked for.
    job_id : str
        Which one it is.

    Attributes
    ----------
    id : str
        By which anybody finds it again.
    """

    def __init__(self, registry: Registry, job_id: str) -> None:
        self._registry, self.id = registry, job_id

    def __repr__(self) -> str:
        return f"<job {self.id}>"

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``completed``, ``failed`` or ``cancelled``, as of now."""
        return self._now().status.value

    def progress(self) -> dict[str, Any]:
        """Return ``stage``, ``fraction``, ``elapsed_seconds`` and ``expected_seconds``; None: not known."""
        job = self._now()
        progress: dict[str, Any] = job_shape(job, expected_seconds(self._registry, job.model_name))[
            "progress"
        ]
        return progress

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the end of the job, and return what it made, as ``POST /train`` answers it (JSON values).

        Parameters
        ----------
        timeout : float or None
            Seconds; None: for as long as it takes.

        Raises
        ------
        TimeoutError
            If it has not ended by then; it goes on.
        AIEngineError
            What the training raised.
        JobStateError
            If it was cancelled.
        """
        job = None
        for now in followed(self._registry.queue, self.id, timeout):
            job = now
        if job is None or not job.status.is_ended:
            raise TimeoutError(f"job {self.id} has not ended within {timeout:g} s; it goes on")
        return outcome(job).to_mapping()

    def cancel(self) -> None:
        """End the job: at once where it waits, within seconds where it runs.

        Raises
        ------
        JobStateError
            If it has ended.
        """
        self._registry.queue.cancel(self.id)

    def _now(self) -> Job:
        return self._registry.queue.get(self.id)


def submitted(registry: Registry, settings: Settings, request: TrainingRequest, data: Any) -> JobHandle:
    """Return the job of a training on data of any shape; see `ModelManager.submit`."""
    queue = registry.queue
    if isinstance(data, (str, os.PathLike)):
        job = submit_file(queue, settings, request, RowsFile(os.fspath(data)))
    else:
        job = submit(queue, settings, request, _as_lines(columns_from(data)), "jsonl")
    return JobHandle(registry, job.job_id)


def _as_lines(table: Columns) -> Iterator[bytes]:
    """Yield a table as JSON lines, some thousand at a time."""
    for start in range(0, len(table), _LINES):
        try:
            lines = [json.dumps(row, allow_nan=False) for row in table[start : start + _LINES]]
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                "data", f"holds what JSON has no form for: {error}. Give finite numbers, text and moments"
            ) from error
        yield "".join(f"{line}\n" for line in lines).encode()
