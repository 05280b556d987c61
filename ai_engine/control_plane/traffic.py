"""Bandwidth for the nodes of a network, from the traffic that was measured between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.answers import BandwidthChange, BandwidthOptimization
from ai_engine.control_plane.derivations.series import succession
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.moments import moment
from ai_engine.domain.errors import NotAnswerableError

METHOD: Final = "quantiles-of-traffic"
METHOD_VERSION: Final = "1"
# Of what was measured, so much stays below what is allocated, beside the headroom.
QUANTILE: Final = 0.95
HEADROOM: Final = 1.2


def optimize_bandwidth(question: Question) -> Outcome:
    """Return bandwidth for each node: the 95 % quantile of its traffic and a fifth more.

    ``estimated_savings`` is what this is less than the sum of the highest traffic of each pair, in the unit
    of the traffic; below 0, what it asks for more.

    Raises
    ------
    NotAnswerableError
        If no traffic was understood.
    """
    given = Given(question.fields)
    network = given.text("network_id")
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    left = 0
    for number, row in enumerate(given.items("traffic_data")):
        use = number_of(row.get("bandwidth_usage")) if isinstance(row, Mapping) else None
        if use is None or use < 0:
            left += 1
            continue
        at = moment(row.get("timestamp"))
        pair = (_node(row, "source"), _node(row, "destination"))
        pairs.setdefault(pair, []).append((float(number) if at is None else at, use))
    if not pairs:
        raise NotAnswerableError(
            f"the bandwidth of {network or 'a network'}",
            'no traffic was understood. Send traffic_data such as [{"source": "a", "destination": "b", '
            '"bandwidth_usage": 120}]',
        )
    notes = [f"{left} rows have no bandwidth_usage: left out"] if left else []
    wanted = {
        name: bound
        for name, value in given.inner("qos_requirements").fields.items()
        if (bound := number_of(value)) is not None
    }
    most = wanted.get("max_bandwidth")
    least = wanted.get("min_bandwidth", wanted.get("guaranteed_bandwidth"))
    changes: list[BandwidthChange] = []
    by_node: dict[str, float] = {}
    reserved: dict[tuple[str, str], float] = {}
    held = count = over_before = 0
    for pair, samples in pairs.items():
        uses = np.array([use for _, use in samples])
        usual = float(np.quantile(uses, QUANTILE))
        share = max(HEADROOM * usual, least or 0.0)
        share = min(share, most) if most is not None else share
        reserved[pair] = share
        held += int((uses <= share).sum())
        count += len(uses)
        mean = float(uses.mean())
        over_before += int((uses > mean).sum())
        now = float(uses[-1])
        changes.append(
            BandwidthChange(
                pair[0],
                pair[1],
                "increase" if share > now else "decrease" if share < now else "keep",
                now,
                share,
                f"{QUANTILE:.0%} of {len(uses)} measurements lie at or below {usual:.4g}, the highest is "
                f"{float(uses.max()):.4g}; allocated is a headroom of {HEADROOM:g} times that"
                + (f", at least {least:g}" if least is not None else "")
                + (f", at most {most:g}" if most is not None else ""),
            )
        )
        for node in pair:
            by_node[node] = by_node.get(node, 0.0) + share
    inside = succession(held, count)
    peaks = sum(max(use for _, use in samples) for samples in pairs.values())
    total = sum(reserved.values())
    answer = BandwidthOptimization(
        network_id=network,
        optimizations=sorted(changes, key=lambda one: -one.recommended_bandwidth),
        bandwidth_allocation=by_node,
        qos_improvements={
            "share_of_traffic_within_allocation": held / count,
            "against_allocating_the_mean": held / count - (1 - over_before / count),
        },
        estimated_savings=peaks - total,
        confidence=inside,
        confidence_is=(
            "share of the measurements within what is allocated, by the rule of succession; "
            "estimated_savings is the sum of the highest traffic of each pair less what is allocated, in "
            "the unit of the traffic"
        ),
        notes=notes,
    )
    return Outcome(answer, inside, METHOD, METHOD_VERSION, len(by_node), optimizations=len(changes))


def _node(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return str(value) if value not in (None, "") else f"unnamed {key}"
