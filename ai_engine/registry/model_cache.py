"""Loaded models: one object for all callers of the process, bounded by bytes."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import ref

from ai_engine.domain.locks import Hold, Lock


@dataclass
class CacheCounters:
    """What the cache counted since the process began."""

    hits: int = 0
    misses: int = 0
    bytes: int = 0


class ModelCache:
    """Models by key, least recently used out first.

    One that is out but still in somebody's hands is the same object when it is asked for again. However many
    threads ask for one that is not here, it is loaded once.

    Parameters
    ----------
    max_bytes : int
        Of stored bytes, as the best known measure of what a model takes in memory.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.instruments = CacheCounters()
        self._held: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._seen: dict[Hashable, ref[Any]] = {}
        self.renew_locks()

    def renew_locks(self) -> None:
        """Forget who holds what: in a forked child the threads that did are not here."""
        # A signal handler may ask for a model while this thread is in the middle of loading one.
        self._lock = threading.RLock()
        self._loading: dict[Hashable, Lock] = {}

    def held(self, key: Hashable) -> tuple[Any, int] | None:
        """Return the model of `key` and its bytes; None where it is not here."""
        held = self._held.get(key)
        if held is not None:
            self.instruments.hits += 1
            try:  # noqa: SIM105  # `suppress` costs a tenth of getting a model again
                self._held.move_to_end(key)
            except KeyError:  # another thread has just let go of it
                pass
        return held

    def get(self, key: Hashable, size: int, load: Callable[[], object]) -> object:
        """Return the model of `key`, which takes `size` bytes; `load` makes it where it is not here."""
        held = self.held(key)
        if held is not None:
            return held[0]
        loading = self._loading.setdefault(key, threading.RLock())
        hold = None
        try:
            hold = Hold(loading).acquire()
            found, model = self._find(key, size)
            if not found:
                model = load()
                self.instruments.misses += 1
                self._keep(key, model, size)
            return model
        finally:
            if self._loading.get(key) is loading:
                self._loading.pop(key, None)
            if hold is not None:
                hold.release()

    def _find(self, key: Hashable, size: int) -> tuple[bool, object]:
        held = self._held.get(key)
        if held is not None:
            self.instruments.hits += 1
            return True, held[0]
        seen = self._seen.get(key)
        model = seen() if seen is not None else None
        if model is not None:
            self._keep(key, model, size)
            return True, model
        return False, None

    def _keep(self, key: Hashable, model: object, size: int) -> None:
        hold = Hold(self._lock).acquire()
        try:
            self._hold(key, model, size)
        finally:
            hold.release()

    def _hold(self, key: Hashable, model: object, size: int) -> None:
        with suppress(TypeError):  # not every object can be watched: a dict or a list cannot
            self._seen[key] = ref(model)
        self._held[key] = (model, size)
        self.instruments.bytes += size
        while self.instruments.bytes > self._max_bytes and len(self._held) > 1:
            _, (_, freed) = self._held.popitem(last=False)
            self.instruments.bytes -= freed
        if len(self._seen) > 2 * len(self._held) + 100:
            self._seen = {key: seen for key, seen in self._seen.items() if seen() is not None}

    def forget(self, key: Hashable) -> None:
        """Let go of a model."""
        hold = Hold(self._lock).acquire()
        try:
            held = self._held.pop(key, None)
            if held is not None:
                self.instruments.bytes -= held[1]
        finally:
            hold.release()


# The one thing that all managers of a process share: two of them on one directory serve one object.
_MAX_BYTES = 1024 * 1024 * 1024
PROCESS = ModelCache(_MAX_BYTES)
os.register_at_fork(after_in_child=PROCESS.renew_locks)
