"""What a service does for its registry while nobody asks: re-read artifacts, and clean up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ai_engine.domain.errors import AIEngineError
from ai_engine.domain.retention import Policy
from ai_engine.registry.registry import Registry

log = logging.getLogger(__name__)

# Every artifact is read again at least so often, if the rate allows it; seconds.
_VERIFY_EVERY = 24 * 3600.0
# The audit log's newest entry is signed so often, if it is a new one; seconds.
_SIGN_EVERY = 600.0


class Upkeep:
    """A thread that verifies and cleans up until it is stopped.

    Parameters
    ----------
    registry : Registry
        Which it looks after.
    verify_rate : float
        Bytes a second at which artifacts are re-read; 0: not at all.
    policy : Policy or None
        What a clean-up keeps; None: none is made.
    clean_up_every : float
        Seconds between two clean-ups.
    sign : callable or None
        Signs the audit log's newest entry, now and then and at the end; None: nobody does.
    settle : float
        Seconds before the first artifact is read: a service that starts has better things to do.
    """

    def __init__(
        self,
        registry: Registry,
        verify_rate: float,
        policy: Policy | None,
        clean_up_every: float,
        sign: Callable[[], None] | None = None,
        settle: float = 60.0,
    ) -> None:
        self._registry = registry
        self._verify_rate = verify_rate
        self._policy = policy
        self._clean_up_every = clean_up_every
        self._sign = sign
        self._settle = settle
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ai-engine-upkeep", daemon=True)

    def __enter__(self) -> Upkeep:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        verify_at = time.monotonic() + self._settle if self._verify_rate else float("inf")
        clean_up_at = time.monotonic() if self._policy else float("inf")
        sign_at = time.monotonic() + _SIGN_EVERY if self._sign else float("inf")
        while True:
            due = min(verify_at, clean_up_at, sign_at) - time.monotonic()
            if self._stopped.wait(min(max(due, 0.0), threading.TIMEOUT_MAX)):
                if self._sign:
                    self._sign()
                return
            try:
                if self._sign and time.monotonic() >= sign_at:
                    sign_at = time.monotonic() + _SIGN_EVERY
                    self._sign()
                if self._policy and time.monotonic() >= clean_up_at:
                    clean_up_at = time.monotonic() + self._clean_up_every
                    self._registry.clean_up(self._policy)
                if time.monotonic() >= verify_at:
                    verify_at = time.monotonic() + _VERIFY_EVERY
                    self._registry.verify(self._pause)
            except AIEngineError as error:
                log.error("the upkeep could not be done and will be tried again: %s", error)

    def _pause(self, size: int) -> bool:
        """Wait as long as reading `size` bytes may take; tell whether to go on."""
        return not self._stopped.wait(size / self._verify_rate)
