"""Which format an object gets, and one way to write and to read them all."""

from __future__ import annotations

import io
import pickle
import platform
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ai_engine.domain.errors import AIEngineError, ModelLoadError, SerializationError
from ai_engine.formats.mapped import MappedFormat, write_buffers
from ai_engine.formats.pickled import PickleFormat, Recorder
from ai_engine.formats.protocol import Code, Format

# Up to this size an artifact rides in the commit of its version; see docs/design/02-small-artifacts.md.
SMALL = 256 * 1024
# A buffer below this size is cheaper to copy than to map.
_LARGE_BUFFER = 64 * 1024
# How a pickle writes the length of what follows.
_LENGTH = struct.Struct("<Q")

_ALL: tuple[Format, ...] = (PickleFormat(), MappedFormat())
FORMATS: Mapping[str, Format] = {format_.name: format_ for format_ in _ALL}


class Writer(Protocol):
    """Where the bytes of a large object go."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Append bytes."""


@dataclass(frozen=True, slots=True)
class Dumped:
    """An object as bytes.

    Attributes
    ----------
    data : bytes or None
        The bytes of a small one; those of a large one have gone to the writer.
    format : str
        The name of the format.
    python : str
        The version of Python.
    packages : dict
        The packages that the bytes name, with their versions.
    """

    data: bytes | None
    format: str
    python: str
    packages: Mapping[str, str]


def dump(what: str, model: object, spill: Callable[[], Writer]) -> Dumped:
    """Turn an object into bytes, without a second copy of its large arrays.

    Parameters
    ----------
    what : str
        What a message calls it.
    model : object
        Anything that can be pickled.
    spill : callable
        Called at most once, when the bytes turn out to be more than SMALL, to get where they go.

    Raises
    ------
    SerializationError
        If the object cannot be pickled; the cause is named.
    """
    sink = _Sink(spill)
    beside: list[memoryview] = []
    in_pickle = 0

    def keep_in_pickle(buffer: pickle.PickleBuffer) -> bool:
        # A small artifact is a plain pickle, so buffers stand beside it only from the one on with which it
        # is no small one. Decided as they come: an object is gone through once.
        nonlocal in_pickle
        raw = buffer.raw()
        if raw.nbytes < _LARGE_BUFFER or in_pickle + raw.nbytes <= SMALL:
            in_pickle += raw.nbytes
            return True
        beside.append(raw)
        return False

    recorder = Recorder(sink, keep_in_pickle)
    try:
        recorder.dump(model)
    except (AIEngineError, MemoryError):
        raise
    except Exception as error:
        raise SerializationError(what, error) from error
    if beside:
        write_buffers(sink.spilled(), sink.size, beside)
    format_name = MappedFormat.name if beside else PickleFormat.name
    return Dumped(sink.data(), format_name, platform.python_version(), recorder.packages)


def code_of(format_name: str, view: memoryview) -> Code:
    """Copy what loading an artifact will execute; nothing where its format is not known here."""
    format_ = FORMATS.get(format_name)
    return Code(b"", b"") if format_ is None else format_.code(view)


def load(label: str, format_name: str, code: Code, view: memoryview, saved_with: Mapping[str, str]) -> object:
    """Make the object of bytes whose digest was checked; `code` is what `code_of` returned before that.

    Raises
    ------
    ModelLoadError
        If this Python cannot: it names the class and the packages at saving.
    """
    format_ = FORMATS.get(format_name)
    try:
        if format_ is None:
            raise ValueError(f"its format {format_name!r} is not known to this version of novacron-ai-engine")
        return format_.load(code, view)
    except (MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a pickle may raise anything, SystemExit too
        raise ModelLoadError(label, error, saved_with) from error


class _Sink:
    """Keeps what is written while it is small, and hands it on once it is not."""

    def __init__(self, spill: Callable[[], Writer]) -> None:
        self._spill = spill
        self._kept = io.BytesIO()
        self._writer: Writer | None = None
        self._last = b""  # what was written last: a length stands in front of what it is the length of
        self.size = 0

    def write(self, data: Any, /) -> int:
        """Take what the pickler writes: bytes, a bytearray, a memoryview or a PickleBuffer."""
        # While there is a view of it, no other thread can give it another size.
        view = data.raw() if isinstance(data, pickle.PickleBuffer) else memoryview(data)
        if isinstance(data, bytearray) and not self._last.endswith(_LENGTH.pack(view.nbytes)):
            raise BufferError("a bytearray was given another size while it was saved")
        self._last = data if isinstance(data, bytes) else b""
        if self._writer is None and self.size + view.nbytes > SMALL:
            self.spilled()
        self.size += view.nbytes
        (self._writer or self._kept).write(view)
        return view.nbytes

    def spilled(self) -> Writer:
        """Hand on all that was kept, now and from now on."""
        if self._writer is None:
            self._writer = self._spill()
            self._writer.write(self._kept.getvalue())
            self._kept.close()
        return self._writer

    def data(self) -> bytes | None:
        """Return what was kept; None where it was handed on."""
        return self._kept.getvalue() if self._writer is None else None
