"""Sizes and rates as programs name them, in bytes and bytes a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ai_engine.control_plane.given import number_of

_BITS: Final = {"bps": 1 / 8, "kbps": 1e3 / 8, "mbps": 1e6 / 8, "gbps": 1e9 / 8}
_BYTES: Final = {
    "bytes": 1.0, "b": 1.0, "kb": 2.0**10, "mb": 2.0**20, "gb": 2.0**30, "tb": 2.0**40,
    "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30,
}  # fmt: skip
_PER_SECOND: Final = ("_per_second", "_per_sec", "_s", "/s", "ps")
_SIZES: Final = ("vm_size", "memory_size", "memory", "ram", "vm_memory", "size", "total_memory", "mem")
_DIRTY: Final = ("dirty_rate", "dirty_page_rate", "memory_dirty_rate", "page_dirty_rate", "dirty")
_WIDTHS: Final = (
    "available_bandwidth", "bandwidth", "network_bandwidth", "link_bandwidth", "transfer_rate", "link_speed",
)  # fmt: skip
PAGE: Final = 4096.0


def memory_of(*told: Mapping[str, object]) -> float | None:
    """Return the size of a VM's memory in bytes; None where it is not told.

    A name without a unit is in bytes; ``_mb`` and ``_gb`` are binary.

    >>> memory_of({"memory_gb": 2}), memory_of({"vm_size": 1024}), memory_of({"ram_gb": "8"})
    (2147483648.0, 1024.0, 8589934592.0)
    """
    return _first(_SIZES, told, rate=False)


def dirty_rate_of(*told: Mapping[str, object]) -> float | None:
    """Return the bytes of memory that are written anew a second; None where it is not told.

    >>> dirty_rate_of({"dirty_rate_mb": 1}), dirty_rate_of({"dirty_pages_per_second": 10})
    (1048576.0, 40960.0)
    """
    for one in told:
        pages = number_of(one.get("dirty_pages_per_second", one.get("dirty_pages_per_sec")))
        if pages is not None and pages >= 0:
            size = number_of(one.get("page_size"))
            return pages * (size or PAGE)
    return _first(_DIRTY, told, rate=True, least=0.0)


def bandwidth_of(*told: Mapping[str, object]) -> float | None:
    """Return a bandwidth in bytes a second; None where it is not told.

    ``_mbps`` and ``_gbps`` are bits; a name without a unit is in bytes a second.

    >>> bandwidth_of({"bandwidth_mbps": 8}), bandwidth_of({"available_bandwidth": 5e6})
    (1000000.0, 5000000.0)
    """
    return _first(_WIDTHS, told, rate=True)


def _first(
    names: tuple[str, ...], told: tuple[Mapping[str, object], ...], *, rate: bool, least: float = 1e-9
) -> float | None:
    for one in told:
        for name in names:
            for key, value in one.items():
                unit = _unit(str(key).lower(), name, rate=rate)
                number = number_of(value)
                if unit is not None and number is not None and number >= least:
                    return number * unit
    return None


def _unit(key: str, name: str, *, rate: bool) -> float | None:
    """Return what a number of that key is multiplied with; None where the key is of something else."""
    if key == name:
        return 1.0
    if not key.startswith(f"{name}_"):
        return None
    ending = key[len(name) + 1 :]
    if rate and ending in _BITS:
        return _BITS[ending]
    if rate:
        for per in _PER_SECOND:
            if ending.removesuffix(per) in _BYTES and ending.endswith(per):
                return _BYTES[ending.removesuffix(per)]
    return _BYTES.get(ending)
