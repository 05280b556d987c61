"""A question that is asked again: it is the same work, and gets the first one's answer."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

KEPT_SECONDS: Final = 24 * 3600.0
MOST_ANSWERS: Final = 10_000
MOST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it was sent, and whether it is kept for who asks again: a refusal is not."""

    body: bytes
    kept: bool


class Repeats:
    """The answers of the last day, and the questions that are being answered.

    Used by the thread of one event loop at a time. What is kept is bounded; the oldest answers go first.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._running: dict[str, asyncio.Task[Reply]] = {}
        self._answers: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._size = 0

    async def reply(self, key: str | None, work: Callable[[], Awaitable[Reply]]) -> bytes:
        """Return the answer to a question.

        Parameters
        ----------
        key : str or None
            What tells the question from all others; None: nobody will ask again.
        work : callable
            Answers it. It goes on where the one who asked first goes away.
        """
        if key is None:
            return (await work()).body
        self._forget()
        known = self._answers.get(key)
        if known is not None:
            return known[1]
        running = self._running.get(key)
        # A test client has a new loop for every request, in which nobody can wait for a task of the last one.
        if running is None or running.get_loop() is not asyncio.get_running_loop():
            running = asyncio.ensure_future(_whole(work))
            self._running[key] = running
            running.add_done_callback(lambda done: self._ended(key, done))
        return (await asyncio.shield(running)).body

    def _ended(self, key: str, done: asyncio.Task[Reply]) -> None:
        if self._running.get(key) is done:
            del self._running[key]
        if done.cancelled() or done.exception() is not None:
            return
        reply = done.result()
        if reply.kept and len(reply.body) <= MOST_BYTES:
            self._answers[key] = (self._clock(), reply.body)
            self._size += len(reply.body)
            self._forget()

    def _forget(self) -> None:
        oldest = self._clock() - KEPT_SECONDS
        while self._answers:
            at, body = next(iter(self._answers.values()))
            if at > oldest and len(self._answers) <= MOST_ANSWERS and self._size <= MOST_BYTES:
                return
            self._answers.popitem(last=False)
            self._size -= len(body)


async def _whole(work: Callable[[], Awaitable[Reply]]) -> Reply:
    return await work()
