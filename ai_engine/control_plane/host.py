"""How busy this host is, as Linux tells it in /proc and /sys; shares from 0 to 1."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ai_engine.domain.errors import NotAnswerableError

# Between the first two readings; later ones take what came since the last.
FIRST_SECONDS: Final = 0.1
# Two readings closer than this tell of so few ticks that a share of them is noise.
LEAST_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a host was between two readings.

    Attributes
    ----------
    cpu, memory, disk, network : float
        Shares from 0 to 1. The disk is the one that holds the models, by its room.
    network_basis : str
        What the network is a share of.
    system_load : float
        Processes that ran or waited to, as the mean of the last minute.
    """

    cpu: float
    memory: float
    disk: float
    network: float
    network_basis: str
    system_load: float


@dataclass(frozen=True, slots=True)
class _Reading:
    at: float
    busy: float
    total: float
    sent: float  # bytes


class Host:
    """A host that is read now and then; one object a process.

    Parameters
    ----------
    root : str
        Where ``proc`` and ``sys`` are.
    clock : callable
        Monotonic seconds.
    pause : callable
        Waits for some seconds; only before the first answer.
    """

    def __init__(
        self,
        root: str = "/",
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._root, self._clock, self._pause = Path(root), clock, pause
        self._lock = threading.Lock()
        self._last: _Reading | None = None
        self._load = (0.0, 0.0)
        self._highest = 0.0

    def load(self, directory: str) -> Load:
        """Return how busy the host was since the last call; blocks for a tenth of a second at the first.

        Parameters
        ----------
        directory : str
            On the disk whose room is told.

        Raises
        ------
        NotAnswerableError
            If this system does not tell.
        """
        try:
            cpu, rate = self._between()
            disk = os.statvfs(directory)
            share, basis = self._of_link(rate)
            return Load(
                cpu,
                self._memory(),
                1 - disk.f_bavail / disk.f_blocks if disk.f_blocks else 0.0,
                share,
                basis,
                os.getloadavg()[0],
            )
        except (OSError, ValueError, LookupError) as error:
            raise NotAnswerableError(
                "how busy this host is", f"it is read from /proc, which this system does not have so: {error}"
            ) from None

    def _between(self) -> tuple[float, float]:
        """Return the share of CPU time, and the bytes a second, between two readings."""
        with self._lock:
            if self._last is None:
                self._last = self._read()
                self._pause(FIRST_SECONDS)
            now, before = self._read(), self._last
            seconds, ticks = now.at - before.at, now.total - before.total
            if seconds >= LEAST_SECONDS and ticks > 0:
                rate = max(now.sent - before.sent, 0.0) / seconds
                self._load = min(max((now.busy - before.busy) / ticks, 0.0), 1.0), rate
                self._highest = max(self._highest, rate)
                self._last = now
            return self._load

    def _read(self) -> _Reading:
        first = (self._root / "proc" / "stat").read_text().split("\n", 1)[0].split()[1:]
        ticks = [float(one) for one in first[:8]]
        idle = ticks[3] + ticks[4]
        return _Reading(self._clock(), sum(ticks) - idle, sum(ticks), sum(self._bytes().values()))

    def _bytes(self) -> dict[str, float]:
        """Return the bytes received and sent by each interface but the loopback."""
        found = {}
        for line in (self._root / "proc" / "net" / "dev").read_text().splitlines()[2:]:
            name, _, told = line.partition(":")
            numbers = told.split()
            if name.strip() != "lo" and len(numbers) >= 9:
                found[name.strip()] = float(numbers[0]) + float(numbers[8])
        return found

    def _memory(self) -> float:
        told = dict(
            line.split(":", 1)
            for line in (self._root / "proc" / "meminfo").read_text().splitlines()
            if ":" in line
        )
        total, free = (float(told[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
        return min(max(1 - free / total, 0.0), 1.0)

    def _of_link(self, rate: float) -> tuple[float, str]:
        """Return the traffic as a share of the links' speed, or of the highest that was seen."""
        width = 0.0
        for name in self._bytes():
            try:
                megabits = float((self._root / "sys" / "class" / "net" / name / "speed").read_text())
            except (OSError, ValueError):
                continue
            width += max(megabits, 0.0) * 1e6 / 8
        if width > 0:
            return min(rate / width, 1.0), f"bytes received and sent, of the {width:.4g} bytes/s of the links"
        share = rate / self._highest if self._highest > 0 else 0.0
        return (
            share,
            "the links tell no speed: bytes received and sent, of the most that was seen since the start",
        )
