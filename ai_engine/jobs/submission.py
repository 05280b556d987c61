"""Ask for a training: what to train, and a file with the rows, become a job."""

from __future__ import annotations

from typing import Final

from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.jobs import Job
from ai_engine.files.durable_io import storage_errors
from ai_engine.logs import REQUEST_ID
from ai_engine.registry.training_queue import TrainingQueue, pieces_of
from ai_engine.settings import Settings
from ai_engine.telemetry.rows_file import FORMATS, RowsFile
from ai_engine.training.request import TrainingRequest

_LONGEST_KEY: Final = 255


def submit(
    queue: TrainingQueue,
    settings: Settings,
    request: TrainingRequest,
    rows: RowsFile,
    key: str | None = None,
) -> Job:
    """Return the job of a training once it is durable; from then on the file is not needed any more.

    Parameters
    ----------
    key : str or None
        The same job is returned for the same key within 24 hours, whatever has become of it.

    Raises
    ------
    InvalidInputError
        If the key is none, or the file cannot be read.
    QueueFullError
        If as many trainings wait as may.
    IdempotencyKeyReusedError
        If the key came with another request.
    StorageError
        If the job cannot be stored.
    """
    with storage_errors(rows.path):
        return queue.submit(
            pieces_of(rows.path),
            _format(rows),
            model_name=request.model_name,
            model_type=request.kind,
            spec=request.to_mapping(),
            dedupe_key=key if key is None else _checked(key),
            request_id=REQUEST_ID.get(),
            limit=settings.queue,
        )


def _format(rows: RowsFile) -> str:
    """Return the format of a file, as its name says it where nobody did; else nothing: its bytes will."""
    if rows.format is not None:
        return rows.format
    ending = rows.path.lower().removesuffix(".gz").rpartition(".")[2]
    return ending if ending in FORMATS else ""


def _checked(key: str) -> str:
    if not 1 <= len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise InvalidInputError(
            "Idempotency-Key", f"is not 1 to {_LONGEST_KEY} printable ASCII characters, such as a UUID"
        )
    return key
