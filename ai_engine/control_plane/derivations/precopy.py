"""The pre-copy model of live migration: memory goes over in rounds, and what was written meanwhile again.

References
----------
Clark, Fraser, Hand, Hansen, Jul, Limpach, Pratt & Warfield (2005), Live migration of virtual machines, NSDI
2, 273-286: pre-copy in rounds. Liu, Jin, Xu & Liao (2011), Performance and energy modeling for live migration
of virtual machines, HPDC 20, 171-182, section 3: with a constant dirty rate D and bandwidth B each round
sends the share D/B of the round before, so that n rounds take V/B (1 - (D/B)^(n+1)) / (1 - D/B).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

# What is left to be sent while the VM stands still: a page table's worth, as long as nobody asks otherwise.
DOWNTIME_SECONDS: Final = 0.3
# Rounds after which pre-copy gives up, as Xen's implementation does.
MOST_ROUNDS: Final = 29


@dataclass(frozen=True, slots=True)
class PreCopy:
    """What a migration comes to.

    Attributes
    ----------
    seconds : float
        From the first byte to the end of the downtime.
    downtime : float
        Seconds that the VM stands still.
    rounds : int
        Rounds before that, the first full copy included.
    sent : float
        Bytes that go over the wire.
    ratio : float
        Dirty rate over bandwidth; from 1 on no round is shorter than the one before.
    converges : bool
        Whether the downtime that is aimed at is reached.
    """

    seconds: float
    downtime: float
    rounds: int
    sent: float
    ratio: float
    converges: bool


def pre_copy(
    size: float,
    dirty_rate: float,
    bandwidth: float,
    downtime: float = DOWNTIME_SECONDS,
    most_rounds: int = MOST_ROUNDS,
) -> PreCopy:
    """Return what the migration of a VM comes to.

    Parameters
    ----------
    size : float
        Memory in bytes, above 0.
    dirty_rate : float
        Bytes written anew a second, from 0.
    bandwidth : float
        Bytes a second, above 0.
    downtime : float
        Seconds that the VM may stand still.

    Examples
    --------
    >>> told = pre_copy(8e9, 0.0, 1e9)
    >>> told.seconds, told.downtime, told.rounds, told.converges
    (8.0, 0.0, 1, True)
    >>> told = pre_copy(8e9, 0.5e9, 1e9)
    >>> told.rounds, told.downtime, round(told.seconds, 3)
    (5, 0.25, 15.75)
    >>> pre_copy(8e9, 2e9, 1e9).converges
    False
    """
    ratio = dirty_rate / bandwidth
    left, sent, rounds = size, 0.0, 0
    while True:
        sent += left
        rounds += 1
        # What is written while a round goes over; never more than all of the memory.
        left = min(left * ratio, size)
        if left <= downtime * bandwidth or rounds >= most_rounds or ratio >= 1:
            break
    seconds = (sent + left) / bandwidth
    return PreCopy(seconds, left / bandwidth, rounds, sent + left, ratio, left <= downtime * bandwidth)


def tcp_bandwidth(latency: float, loss: float, segment: float = 1460.0) -> float:
    """Return the bytes a second that one TCP connection gets where packets are lost.

    Parameters
    ----------
    latency : float
        Round trip in seconds, above 0.
    loss : float
        The share of packets that is lost, above 0.
    segment : float
        Bytes of a segment; of Ethernet.

    References
    ----------
    Mathis, Semke, Mahdavi & Ott (1997), The macroscopic behavior of the TCP congestion avoidance algorithm,
    Computer Communication Review 27(3), 67-82: MSS / RTT * sqrt(3/2) / sqrt(p).

    Examples
    --------
    >>> round(tcp_bandwidth(0.01, 0.0001))
    17881275
    """
    return segment / latency * math.sqrt(1.5 / loss)
