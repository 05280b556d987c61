"""Ask for a training: what to train, and a file with the rows, become a job."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

from ai_engine.domain.errors import InvalidInputError, StorageError
from ai_engine.domain.jobs import Job
from ai_engine.logs import REQUEST_ID
from ai_engine.registry.training_queue import Scheduled, TrainingQueue
from ai_engine.settings import Settings
from ai_engine.telemetry.rows_file import RowsFile, ending_of
from ai_engine.training.request import TrainingRequest

_LONGEST_KEY: Final = 255
_PIECE: Final = 1024 * 1024


def submit(
    queue: TrainingQueue,
    settings: Settings,
    request: TrainingRequest,
    rows: Iterable[bytes],
    format_: str,
    key: str | None = None,
    scheduled: Scheduled | None = None,
) -> Job:
    """Return the job of a training once it is durable.

    Parameters
    ----------
    rows : iterable of bytes
        A file of rows, piece by piece.
    format_ : str
        One of `ai_engine.telemetry.rows_file.FORMATS`; empty: as its first bytes say.
    key : str or None
        The same job is returned for the same key within 24 hours, whatever has become of it.
    scheduled : Scheduled or None
        The schedule that asks for it.

    Raises
    ------
    InvalidInputError
        If the key is none.
    QueueFullError
        If as many trainings wait as may.
    IdempotencyKeyReusedError
        If the key came with another request.
    StorageError
        If the job cannot be stored.
    """
    return queue.submit(
        rows,
        format_,
        model_name=request.model_name,
        model_type=request.kind,
        spec=request.to_mapping(),
        dedupe_key=key if key is None else _checked(key),
        request_id=REQUEST_ID.get(),
        limit=settings.queue,
        scheduled=scheduled,
    )


def submit_file(
    queue: TrainingQueue,
    settings: Settings,
    request: TrainingRequest,
    rows: RowsFile,
    key: str | None = None,
) -> Job:
    """Return the job of a training on a file, which is not needed any more from then on; see `submit`.

    Raises
    ------
    InvalidInputError
        If the file cannot be read.
    """
    try:
        with open(rows.path, "rb") as file:
            pieces = iter(partial(file.read, _PIECE), b"")
            return submit(queue, settings, request, pieces, _format(rows), key)
    except StorageError:
        raise
    except OSError as error:
        raise InvalidInputError("data", f"{rows.called} cannot be read: {error.strerror}") from None


def _format(rows: RowsFile) -> str:
    """Return the format of a file, as its name says it where nobody did; else nothing: its bytes will."""
    return ending_of(rows.path) if rows.format is None else rows.format


def _checked(key: str) -> str:
    if not 1 <= len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise InvalidInputError(
            "Idempotency-Key", f"is not 1 to {_LONGEST_KEY} printable ASCII characters, such as a UUID"
        )
    return key
