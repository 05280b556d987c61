"""Log lines of the engine: written to standard error, as text for people or as JSON for programs.

The library itself configures nothing. The commands do, and the application where the environment asks for it.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

# The id of the request that is being handled; None outside of one. Threads that work for a request, and a
# child process that trains for it, have it too.
REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("ai_engine_request_id", default=None)

# What a record may carry besides its message; `api/request_log.py` says it of every request.
_OF_REQUESTS: Final = ("method", "path", "status", "duration_ms", "client")
# Loggers whose lines are ours to write. Of others, what is a warning.
_OURS: Final = ("ai_engine", "uvicorn")


def configure(level: str, form: str) -> None:
    """Write the log to standard error from now on, instead of where it was written before.

    Parameters
    ----------
    level : str
        ``debug``, ``info``, ``warning``, ``error`` or ``critical``: the least that is written.
    form : str
        ``text``, or ``json`` for one JSON object a line.
    """
    least = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, _StandardError):
            root.removeHandler(old)
    handler = _StandardError()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root.addHandler(handler)
    root.setLevel(max(least, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(least)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # as its command sets them up
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # Ours tells more of every request.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the moment of a line."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class TextFormatter(logging.Formatter):
    """One line a record: time (UTC), level, logger, the id of the request in brackets, message.

    What a client sent cannot start a line: signs that no terminal prints are escaped, and the lines of a
    traceback are indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, and below it its traceback."""
        request = REQUEST_ID.get()
        of_request = f" [{request}]" if request else ""
        message = printable(record.getMessage())
        line = f"{_moment(record)} {record.levelname} {record.name}{of_request}: {message}"
        return line + "".join(f"\n    {printable(one)}" for one in _traceback(self, record).splitlines())


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `timestamp` (UTC), `level`, `logger`, `message`, `request_id`.

    Where there is one, `exception` holds the traceback. The line of a request has `method`, `path`, `status`,
    `duration_ms` and `client` besides.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the object of a record."""
        told: dict[str, Any] = {  # JSON values
            "timestamp": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": REQUEST_ID.get(),
        }
        known = record.__dict__
        told.update((key, known[key]) for key in _OF_REQUESTS if key in known)
        if traceback := _traceback(self, record):
            told["exception"] = traceback
        return json.dumps(told)


def printable(text: str) -> str:
    """Return a text as one line without signs that no terminal prints.

    >>> printable("a\\nb")
    'a\\\\nb'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)
