"""Objects with large arrays, laid out so that loading them maps the file instead of copying it.

A file is the pickle, then each large buffer at a multiple of 64 bytes (a cache line, and what vector
instructions want), then an index in JSON, then a footer of 16 bytes: where the index starts, and the mark of
the format. Writing needs no seek and no second copy; loading is a private mapping whose slices are the
arrays, one copy in memory for all processes, writable without touching the file.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
from collections.abc import Sequence
from typing import Protocol

from ai_engine.formats.pickled import PROTOCOL

ALIGNMENT = 64
_MARK = b"AIEMAP01"
_FOOTER = struct.Struct("<Q8s")


class Output(Protocol):
    """Something that takes bytes and memory as it is."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append bytes, which must not change until the file is finished."""


class MappedFormat:
    """A pickle whose large buffers stand beside it."""

    name = "mapped"

    def load(self, view: memoryview) -> object:
        stream, buffers = _parts(view)
        return pickle.loads(stream, buffers=buffers)

    def plain(self, view: memoryview) -> bytes:
        output = io.BytesIO()
        pickle.Pickler(output, protocol=PROTOCOL).dump(self.load(view))
        return output.getvalue()


def write_buffers(output: Output, stream_size: int, buffers: Sequence[memoryview]) -> None:
    """Write what follows a pickle of `stream_size` bytes that `output` has already."""
    position = stream_size
    index = []
    for buffer in buffers:
        padding = -position % ALIGNMENT
        output.write(bytes(padding))
        output.write(buffer)
        index.append((position + padding, buffer.nbytes))
        position += padding + buffer.nbytes
    output.write(json.dumps({"stream": stream_size, "buffers": index}).encode())
    output.write(_FOOTER.pack(position, _MARK))


def _parts(view: memoryview) -> tuple[memoryview, list[memoryview]]:
    start, mark = _FOOTER.unpack(view[-_FOOTER.size :])
    if mark != _MARK:
        raise pickle.UnpicklingError("the file does not end as a mapped model does")
    index = json.loads(bytes(view[start : -_FOOTER.size]))
    buffers = [view[offset : offset + size] for offset, size in index["buffers"]]
    return view[: index["stream"]], buffers
