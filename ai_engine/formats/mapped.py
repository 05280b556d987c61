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
from ai_engine.formats.protocol import Code

ALIGNMENT = 64
_MARK = b"AIEMAP01"
_FOOTER = struct.Struct("<Q8s")


class Output(Protocol):
    """Something that takes bytes and memory as it is."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append bytes."""


class MappedFormat:
    """A pickle whose large buffers stand beside it."""

    name = "mapped"

    def code(self, view: memoryview) -> Code:
        try:
            start, stream = _layout(view)
        except (struct.error, ValueError, KeyError, TypeError):
            return Code(bytes(view), b"")  # the digest will tell what was done to it
        return Code(bytes(view[:stream]), bytes(view[start:]))

    def load(self, code: Code, view: memoryview) -> object:
        if code.tail[-len(_MARK) :] != _MARK:
            raise pickle.UnpicklingError("the file does not end as a mapped model does")
        places = json.loads(code.tail[: -_FOOTER.size])["buffers"]
        return pickle.loads(code.head, buffers=[view[offset : offset + size] for offset, size in places])

    def plain(self, code: Code, view: memoryview) -> bytes:
        output = io.BytesIO()
        pickle.Pickler(output, protocol=PROTOCOL).dump(self.load(code, view))
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


def _layout(view: memoryview) -> tuple[int, int]:
    """Return where the index starts and how long the pickle is. Raises where the file is no mapped model."""
    start, mark = _FOOTER.unpack(view[-_FOOTER.size :])
    stream = json.loads(bytes(view[start : -_FOOTER.size]))["stream"]
    if mark != _MARK or not 0 <= stream <= start:
        raise ValueError
    return start, stream
