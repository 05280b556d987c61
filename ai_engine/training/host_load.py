"""How full a host would be with a VM more on it, from what is known of both. Imports no numeric library."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# Up to here a host has room for what its other VMs do next; from here on it is worth less the fuller it is,
# and nothing where it is full. A rule of thumb, and not measured: no open data tells what became of choices.
ROOMY: Final = 80.0
FULL: Final = 100.0


@dataclass(frozen=True, slots=True)
class Load:
    """What of a resource of a host would be in use.

    Attributes
    ----------
    resource : str
        ``CPU`` or ``memory``.
    percent : float
        0 and more; above 100 the VM does not fit.
    after : bool
        Whether what the VM uses is in it; else it is of before the move.
    """

    resource: str
    percent: float
    after: bool

    @property
    def room(self) -> float:
        """Return 1 with room to spare, 0 where it is full.

        >>> [Load("CPU", percent, True).room for percent in (80.0, 90.0, 120.0)]
        [1.0, 0.5, 0.0]
        """
        return min(max((FULL - self.percent) / (FULL - ROOMY), 0.0), 1.0)

    def told(self) -> str:
        """Return it in words.

        >>> Load("CPU", 91.2, True).told()
        'CPU would be 91 % used with the VM on it: little room'
        """
        verdict = ""
        if self.percent >= FULL:
            verdict = ": it does not fit" if self.after else ": it is full"
        elif self.percent > ROOMY:
            verdict = ": little room"
        if self.after:
            return f"{self.resource} would be {self.percent:.0f} % used with the VM on it{verdict}"
        used = f"{self.resource} is {self.percent:.0f} % used before the move{verdict}"
        return f"{used}; what the VM adds is not known"


def loads(host: Mapping[str, Any], vm: Mapping[str, Any]) -> list[Load]:
    """Return what is known of a host's load once a VM is on it.

    Parameters
    ----------
    host : mapping
        ``cpu_percent`` and ``memory_percent``, what is in use now; ``cpu_cores`` and ``memory_mb``, what it
        has.
    vm : mapping
        ``cpu_percent`` of its ``vcpus``, and ``memory_mb`` (or ``ram_gb``): what it uses.
    """
    found = []
    cpu, cores = _number(host, "cpu_percent"), _number(host, "cpu_cores")
    if cpu is not None:
        own, vcpus = _number(vm, "cpu_percent"), _number(vm, "vcpus")
        added = own * vcpus / cores if own is not None and vcpus is not None and cores else None
        found.append(Load("CPU", cpu + (added or 0.0), added is not None))
    memory, size = _number(host, "memory_percent"), _number(host, "memory_mb")
    if memory is not None:
        gigabytes = _number(vm, "ram_gb")
        needed = _number(vm, "memory_mb")
        if needed is None and gigabytes is not None:
            needed = 1024 * gigabytes
        added = 100 * needed / size if needed is not None and size else None
        found.append(Load("memory", memory + (added or 0.0), added is not None))
    return found


def _number(of: Mapping[str, Any], name: str) -> float | None:
    """Return a number from 0 on; None where there is none."""
    value = of.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value) if value >= 0 else None
