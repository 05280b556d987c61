"""How evenly a cluster is used, which nodes stand out, and how few nodes would do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ai_engine.control_plane.derivations.capacity import TARGET_USE
from ai_engine.control_plane.derivations.series import succession


@dataclass(frozen=True, slots=True)
class Spread:
    """How evenly one resource is used over nodes.

    Attributes
    ----------
    resource : str
    nodes : mapping of str to float
        The mean use of each node as a share of its capacity.
    mean, highest, lowest : float
    variation : float
        The standard deviation over the mean; 0 where nothing is used.
    held : float
        In which share of the samples the node that is used most on average was used above the mean of all, by
        the rule of succession.
    samples : int
        Moments at which at least two nodes were seen.
    """

    resource: str
    nodes: Mapping[str, float]
    mean: float
    highest: float
    lowest: float
    variation: float
    held: float
    samples: int

    @property
    def busiest(self) -> str:
        """Return the node that is used most."""
        return max(self.nodes, key=lambda node: self.nodes[node])

    @property
    def idlest(self) -> str:
        """Return the node that is used least."""
        return min(self.nodes, key=lambda node: self.nodes[node])


def spread_of(resource: str, samples: Sequence[Mapping[str, float]]) -> Spread:
    """Return how evenly a resource is used.

    Parameters
    ----------
    samples : sequence of mapping of str to float
        At each moment, the use of nodes as shares of their capacity; at least one node somewhere.

    Examples
    --------
    >>> found = spread_of("cpu", [{"a": 0.9, "b": 0.1}, {"a": 0.7, "b": 0.3}])
    >>> found.busiest, round(found.mean, 3), found.samples, found.held
    ('a', 0.5, 2, 0.75)
    """
    seen: dict[str, list[float]] = {}
    for sample in samples:
        for node, use in sample.items():
            seen.setdefault(node, []).append(use)
    nodes = {node: math.fsum(uses) / len(uses) for node, uses in seen.items()}
    mean = math.fsum(nodes.values()) / len(nodes)
    deviation = math.sqrt(math.fsum((use - mean) ** 2 for use in nodes.values()) / len(nodes))
    busiest = max(nodes, key=lambda node: nodes[node])
    shared = [sample for sample in samples if busiest in sample and len(sample) > 1]
    held = sum(sample[busiest] > math.fsum(sample.values()) / len(sample) for sample in shared)
    return Spread(
        resource,
        nodes,
        mean,
        max(nodes.values()),
        min(nodes.values()),
        deviation / mean if mean > 0 else 0.0,
        succession(held, len(shared)),
        len(shared),
    )


def fewest_nodes(uses: Sequence[Mapping[str, float]], target: float = TARGET_USE) -> int:
    """Return with how few nodes of the same size the demand would stay at the target use.

    A lower bound, of every resource by itself: how VMs can be cut is not known.

    Parameters
    ----------
    uses : sequence of mapping of str to float
        Of each node, its use by resource, as shares of its capacity.

    Examples
    --------
    >>> fewest_nodes([{"cpu": 0.2, "memory": 0.6}, {"cpu": 0.2, "memory": 0.1}])
    1
    """
    totals: dict[str, float] = {}
    for use in uses:
        for resource, share in use.items():
            totals[resource] = totals.get(resource, 0.0) + share
    return max((math.ceil(total / target - 1e-9) for total in totals.values()), default=1) or 1
