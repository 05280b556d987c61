"""Bound how often each client asks."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

from ai_engine.api.problems import RefusedError

# Clients that are remembered; the one that asked longest ago is forgotten first.
_MOST_CLIENTS: Final = 10_000
_MINUTE: Final = 60.0


class Rates:
    """Counts the requests of each client: each may save up a minute's worth, and gets more as time goes by.

    Parameters
    ----------
    a_minute : int or None
        How many each may send; None: any number.
    """

    def __init__(self, a_minute: int | None) -> None:
        self._a_minute = a_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many, and as of when

    def check(self, client: str, now: float | None = None) -> None:
        """Count a request. Raises RefusedError, with the seconds until the next one, where it is too many."""
        if self._a_minute is None:
            return
        moment = time.monotonic() if now is None else now
        left, since = self._left.pop(client, (float(self._a_minute), moment))
        left = min(float(self._a_minute), left + (moment - since) * self._a_minute / _MINUTE)
        allowed = left >= 1
        self._left[client] = (left - 1 if allowed else left, moment)
        if len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        if not allowed:
            seconds = int((1 - left) * _MINUTE / self._a_minute) + 1 if self._a_minute else int(_MINUTE)
            raise RefusedError(
                429,
                "too-many-requests",
                f"more than {self._a_minute} requests came in a minute; send the next one in {seconds} s",
                {"Retry-After": str(seconds)},
            )
