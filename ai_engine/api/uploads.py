"""The body of a training, streamed into a file: JSON, or a table with the request in the query."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any, Final

from anyio import to_thread
from fastapi import Request

from ai_engine.api.problems import RefusedError
from ai_engine.api.request_body import SMALL, content_type, is_json, read_object
from ai_engine.api.service import Service
from ai_engine.domain.errors import InvalidInputError
from ai_engine.files.durable_io import storage_errors, write_all
from ai_engine.files.sandbox import SandboxEntry
from ai_engine.telemetry.rows_file import RowsFile
from ai_engine.training.request import FIELDS, TrainingRequest

# The tables that are taken beside JSON, by content type.
TABLES: Final[Mapping[str, str]] = {
    "text/csv": "csv",
    "application/x-ndjson": "jsonl",
    "application/vnd.apache.parquet": "parquet",
}
_CHARSETS: Final = ("utf-8", "utf8", "utf-16")  # the last one tells itself by its first bytes
_CHUNK: Final = 1024 * 1024
_LABEL: Final = "the body"
# Query parameters that say nothing of the training.
_OF_THE_CALL: Final = frozenset(("wait",))


@asynccontextmanager
async def uploaded(service: Service, request: Request) -> AsyncIterator[tuple[TrainingRequest, RowsFile]]:
    """Receive the body of a training; its rows are in a file for the length of the block.

    Raises
    ------
    RefusedError
        If the content is of a type or an encoding that is not taken.
    InvalidInputError
        If the request is invalid. Rows of JSON are looked at here, those of a table by who reads it.
    StorageError
        If there is no room for the file.
    """
    table = _table(request)
    with ExitStack() as kept:
        with storage_errors(service.uploads.path):
            entry = kept.enter_context(service.uploads.entry())
            size = await _receive(request, entry)
        if table is not None:
            yield _of_query(request), RowsFile(entry.path, table, _LABEL)
            return
        _refuse_query(request)
        lane = service.large_bodies if size > SMALL else None
        most = service.settings.max_body_bytes
        wanted = await to_thread.run_sync(_of_json, entry.path, most, limiter=lane)
        yield wanted, RowsFile(entry.path, "json", _LABEL)


def _table(request: Request) -> str | None:
    """Return the format of a table, None for JSON; refuse anything else."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise RefusedError(
            415,
            "unsupported-content-encoding",
            f"send the body without compression, or compressed with gzip, not {encoding[:40]!r}",
        )
    if is_json(request):
        return None
    kind, charset = content_type(request)
    if kind not in TABLES or charset not in (None, *_CHARSETS):
        raise RefusedError(
            415,
            "unsupported-content-type",
            f"send JSON, CSV, JSON lines or Parquet, text in UTF-8, with Content-Type: application/json, "
            f"{', '.join(TABLES)}; not {request.headers.get('content-type', 'none')[:80]!r}",
        )
    return TABLES[kind]


async def _receive(request: Request, entry: SandboxEntry) -> int:
    """Write the body into a file as it comes; return its size."""
    size, held = 0, bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) >= _CHUNK:
            await to_thread.run_sync(write_all, entry.descriptor, bytes(held))
            size, held = size + len(held), bytearray()
    if held:
        await to_thread.run_sync(write_all, entry.descriptor, bytes(held))
    return size + len(held)


def _of_json(path: str, most: int) -> TrainingRequest:
    """Return the request of a file that holds the whole body. Its rows, far larger than it, end here."""
    with open(path, "rb") as file:
        text = file.read()
    if text[:2] == b"\x1f\x8b":
        text = _unpacked(path, most)
    request, _ = TrainingRequest.from_body(read_object(text))
    return request


def _unpacked(path: str, most: int) -> bytes:
    try:
        with gzip.open(path) as file:
            text = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInputError("body", f"is damaged gzip: {error}") from None
    if len(text) > most:
        raise RefusedError(
            413,
            "body-too-large",
            f"the body unpacks to more than {most} bytes; send fewer rows, or raise AI_ENGINE_MAX_BODY_BYTES",
        )
    return text


def _refuse_query(request: Request) -> None:
    unknown = set(request.query_params) - _OF_THE_CALL
    if unknown:
        raise InvalidInputError(min(unknown), "is not a parameter; what is trained stands in the JSON body")


def _of_query(request: Request) -> TrainingRequest:
    """Return the request that query parameters describe."""
    given: dict[str, Any] = {}  # JSON values
    for name, text in request.query_params.multi_items():
        if name in _OF_THE_CALL:
            continue
        if name in given:
            raise InvalidInputError(name, "is given twice; give it once")
        given[name] = _PARSED.get(name, str)(text) if name in FIELDS else text
    return TrainingRequest.from_mapping(given)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _share(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # refused by its name, as any other


def _object_of(name: str, example: str) -> Callable[[str], Any]:
    """Return a parser of parameters that are JSON (any values)."""

    def parsed(text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidInputError(name, f"is not JSON; give an object such as {example}") from None

    return parsed


def _activation(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text, text)


_PARSED: Final[Mapping[str, Callable[[str], Any]]] = {
    "target_columns": _names,
    "validation_split": _share,
    "hyperparameters": _object_of("hyperparameters", '{"horizon": 12}'),
    "rename": _object_of("rename", '{"cpu_usage_pct": "cpu"}'),
    "activate": _activation,
}
