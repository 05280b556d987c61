"""Probe the health of the registry, at most once a second, without keeping requests waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from anyio import CapacityLimiter, move_on_after, to_thread

from ai_engine.domain.errors import AIEngineError
from ai_engine.registry.json_views import health_shape
from ai_engine.registry.registry import Registry

INTERVAL: Final = 1.0
# How long an answer waits for a probe that is under way before it tells the last one instead.
PATIENCE: Final = 0.5
# A probe that takes longer is itself the finding: a write of ours takes milliseconds.
OVERDUE: Final = 3.0


class Health:
    """The health of a registry, probed in a thread, once for all who ask.

    Parameters
    ----------
    registry : Registry
        Whose state.
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry, self._clock = registry, clock
        self._probe: asyncio.Task[dict[str, Any]] | None = None
        self._begun = 0.0
        self._last: dict[str, Any] | None = None
        self._actives: dict[str, str] = {}
        self._readers = CapacityLimiter(2)

    async def state(self) -> dict[str, Any]:
        """Return the newest answer of `Registry.health`, at most a second old unless the database is slow."""
        loop = asyncio.get_running_loop()
        # A test client has a new loop for every request, in which nobody can wait for a task of the last one.
        if (
            self._probe is None
            or self._probe.get_loop() is not loop
            or (self._probe.done() and self._clock() - self._begun >= INTERVAL)
        ):
            self._begun = self._clock()
            self._probe = loop.create_task(asyncio.to_thread(self._ask))
        probe = self._probe
        await asyncio.wait({probe}, timeout=PATIENCE)
        if probe.done():
            self._last = probe.result()
            return self._last
        return self._overdue(self._clock() - self._begun)

    def _ask(self) -> dict[str, Any]:
        try:
            return health_shape(self._registry.health())
        except AIEngineError as error:
            return _state("degraded", str(error))

    def _overdue(self, seconds: float) -> dict[str, Any]:
        if self._last is not None and seconds < OVERDUE:
            return self._last
        reason = f"the database has not answered for {seconds:.1f} s"
        return (self._last or _state("degraded", reason)) | {"status": "degraded", "reason": reason}

    async def unable(self) -> str | None:
        """Return why no model can be served; None where models can."""
        with move_on_after(PATIENCE):
            try:
                await to_thread.run_sync(self._registry.names, abandon_on_cancel=True, limiter=self._readers)
            except AIEngineError as error:
                return str(error)
            return None
        return f"the database has not answered for {PATIENCE:g} s"

    async def actives(self) -> dict[str, str]:
        """Return the active versions; the last known ones where the database is slow."""
        with move_on_after(PATIENCE):
            self._actives = await to_thread.run_sync(
                self._registry.actives, abandon_on_cancel=True, limiter=self._readers
            )
        return self._actives


def _state(status: str, reason: str | None) -> dict[str, Any]:
    return {"status": status, "reason": reason, "waiting": 0, "in_memory_only": 0}
