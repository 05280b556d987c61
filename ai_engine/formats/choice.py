"""Which format an object gets, and one way to write and to read them all."""

from __future__ import annotations

import io
import pickle
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ai_engine.domain.errors import AIEngineError, ModelLoadError, SerializationError
from ai_engine.formats.mapped import MappedFormat, write_buffers
from ai_engine.formats.pickled import PickleFormat, Recorder
from ai_engine.formats.protocol import Format

# Up to this size an artifact rides in the commit of its version; measured in docs/design.md.
SMALL = 256 * 1024
# A buffer below this size is cheaper to copy than to map.
_LARGE_BUFFER = 64 * 1024

_ALL: tuple[Format, ...] = (PickleFormat(), MappedFormat())
FORMATS: Mapping[str, Format] = {format_.name: format_ for format_ in _ALL}


class Writer(Protocol):
    """Where the bytes of a large object go."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Append bytes, which must not change until the file is finished."""


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
    buffers: list[memoryview] = []

    def keep_in_pickle(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _LARGE_BUFFER:
            return True
        buffers.append(raw)
        return False

    recorder = _pickle(what, model, sink, keep_in_pickle)
    format_name: str = PickleFormat.name
    if buffers and sink.size + sum(buffer.nbytes for buffer in buffers) <= SMALL:
        sink = _Sink(spill)
        recorder = _pickle(what, model, sink, None)
    elif buffers:
        format_name = MappedFormat.name
        write_buffers(sink.spilled(), sink.size, buffers)
    return Dumped(sink.data(), format_name, platform.python_version(), recorder.packages)


def _pickle(
    what: str, model: object, sink: _Sink, buffer_callback: Callable[[pickle.PickleBuffer], bool] | None
) -> Recorder:
    recorder = Recorder(sink, buffer_callback)
    try:
        recorder.dump(model)
    except (AIEngineError, MemoryError):
        raise
    except Exception as error:
        raise SerializationError(what, error) from error
    return recorder


def load(label: str, format_name: str, view: memoryview, saved_with: Mapping[str, str]) -> object:
    """Make the object of bytes whose digest was checked.

    Raises
    ------
    ModelLoadError
        If this Python cannot: it names the class and the packages at saving.
    """
    format_ = FORMATS.get(format_name)
    try:
        if format_ is None:
            raise ValueError(f"its format {format_name!r} is not known to this version of novacron-ai-engine")
        return format_.load(view)
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
        self.size = 0

    def write(self, data: bytes | memoryview, /) -> int:
        self.size += len(data)
        if self._writer is not None:
            # The pickler may use the memory again, unless it is that of a bytes object.
            return self._writer.write(data if isinstance(data, bytes) else bytes(data))
        self._kept.write(data)
        if self.size > SMALL:
            self.spilled()
        return len(data)

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
