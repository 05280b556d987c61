"""How the nodes of a cluster were used, as rows tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ai_engine.control_plane.derivations.balance import spread_of
from ai_engine.control_plane.derivations.capacity import full_use
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.moments import moment
from ai_engine.control_plane.tracks import resource_of

RESOURCES: Final = ("cpu", "memory", "storage", "disk", "network", "io", "gpu")


_NODES: Final = ("node_id", "node", "host", "vm_id", "id", "name", "resource_id")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is known of a cluster: by resource the use of nodes, as shares, and what was not read."""

    samples: Mapping[str, list[dict[str, float]]]
    notes: list[str]
    clusters: Mapping[str, str]

    def nodes(self) -> dict[str, dict[str, float]]:
        """Return the mean use of each node by resource."""
        found: dict[str, dict[str, float]] = {}
        for resource, samples in self.samples.items():
            for node, use in spread_of(resource, samples).nodes.items():
                found.setdefault(node, {})[resource] = use
        return found


def cluster_of(rows: list[Any], data: Given) -> Cluster:
    """Return what rows of nodes say: one row a node and moment, with the use of resources."""
    by_moment: dict[tuple[float, str], dict[str, dict[str, float]]] = {}
    highest: dict[str, float] = {}
    clusters: dict[str, str] = {}
    unread: dict[str, None] = {}
    turns: dict[str, int] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            continue
        node = next((str(row[key]) for key in _NODES if row.get(key) not in (None, "")), f"node {number + 1}")
        at = moment(row.get("timestamp"))
        turns[node] = turns.get(node, 0) + 1
        # Rows without a time: the n-th row of each node is of one moment.
        place = (at if at is not None else 0.0, "" if at is not None else str(turns[node]))
        if row.get("cluster_id") not in (None, ""):
            clusters[node] = str(row["cluster_id"])
        for name, value in row.items():
            resource = resource_of(str(name))
            use = number_of(value)
            if name in _NODES or name in ("timestamp", "cluster_id"):
                continue
            if use is None or use < 0 or (resource == name and name not in RESOURCES):
                unread[str(name)] = None
                continue
            highest[resource] = max(highest.get(resource, 0.0), use)
            by_moment.setdefault(place, {}).setdefault(resource, {})[node] = use
    notes = []
    if unread:
        notes.append(f"not understood as the use of a resource, and not used: {', '.join(unread)[:200]}")
    extra = [name for name in data.fields if name != "nodes"]
    if extra:
        notes.append(f"of cluster_data only nodes are used, not {', '.join(map(str, extra))[:200]}")
    samples: dict[str, list[dict[str, float]]] = {}
    for place in sorted(by_moment):
        for resource, uses in by_moment[place].items():
            try:
                full = full_use(highest[resource])
            except ValueError as error:
                notes = [*notes, f"{resource}: {error}"] if f"{resource}: {error}" not in notes else notes
                continue
            samples.setdefault(resource, []).append({node: use / full for node, use in uses.items()})
    return Cluster(samples, notes, clusters)
