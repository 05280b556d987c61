"""Objects as plain pickles, and which packages a pickle names."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from functools import cache
from types import BuiltinFunctionType, FunctionType
from typing import Any, Protocol

from ai_engine.formats.protocol import Code

PROTOCOL = 5


class Sink(Protocol):
    """Something that takes bytes."""

    def write(self, data: Any, /) -> object:
        """Append bytes: of a bytes object, a bytearray, a memoryview or a pickle.PickleBuffer."""


class PickleFormat:
    """A plain pickle."""

    name = "pickle"

    def code(self, view: memoryview) -> Code:
        return Code(own(view), b"")

    def load(self, code: Code, view: memoryview) -> object:  # noqa: ARG002  # all of it is code
        return pickle.loads(code.head)

    def plain(self, code: Code, view: memoryview) -> bytes:  # noqa: ARG002
        return code.head


def own(view: memoryview) -> bytes:
    """Return bytes that nobody else can change: those of the view itself where it is over such."""
    base = view.obj
    return base if isinstance(base, bytes) and len(base) == view.nbytes else bytes(view)


class Recorder(pickle.Pickler):
    """A pickler that remembers the modules of the classes and functions that its pickle names."""

    def __init__(
        self, sink: Sink, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None
    ) -> None:
        super().__init__(sink, protocol=PROTOCOL, buffer_callback=buffer_callback)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        """Look at what is pickled by its name, and pickle everything as usual."""
        if isinstance(obj, (type, FunctionType, BuiltinFunctionType)):
            module = getattr(obj, "__module__", None)
            if isinstance(module, str):
                self.modules.add(module.partition(".")[0])
        return NotImplemented

    @property
    def packages(self) -> dict[str, str]:
        """The packages that the pickle names, with their versions; those of Python itself left out."""
        found = {name: _version(name) for name in sorted(self.modules - sys.stdlib_module_names)}
        return {name: version for name, version in found.items() if version}


@cache
def _version(package: str) -> str | None:
    """Return the version of a package that is imported, asking the module first: the rest is far slower."""
    version = getattr(sys.modules.get(package), "__version__", None)
    if isinstance(version, str):
        return version
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
