"""The path of a network whose narrowest link is widest."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

from ai_engine.control_plane.given import number_of

Links = Mapping[str, Mapping[str, float]]


def links_of(topology: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the links of a topology (JSON values): by node, its neighbours with the bandwidth to them.

    Understood are a list of ``links`` (or ``edges``, ``connections``) of ``{source, destination,
    bandwidth}``, which lead both ways unless ``directed`` is true, and an object by node of neighbours with
    bandwidths, which lead as they are told. Links without a bandwidth are left out: nothing is known of them.

    Examples
    --------
    >>> links_of({"links": [{"source": "a", "destination": "b", "bandwidth": 10}]})
    {'a': {'b': 10.0}, 'b': {'a': 10.0}}
    >>> links_of({"a": {"b": 10, "c": {"bandwidth": 5}}})
    {'a': {'b': 10.0, 'c': 5.0}}
    """
    found: dict[str, dict[str, float]] = {}

    def add(source: Any, target: Any, width: float | None) -> None:
        if isinstance(source, str) and isinstance(target, str) and width is not None and width > 0:
            own = found.setdefault(source, {})
            own[target] = max(own.get(target, 0.0), width)

    listed = next(
        (topology[key] for key in ("links", "edges", "connections") if isinstance(topology.get(key), list)),
        None,
    )
    if listed is not None:
        both = topology.get("directed") is not True
        for link in listed:
            if isinstance(link, Mapping):
                source = next((link[key] for key in ("source", "from", "src") if key in link), None)
                target = next(
                    (link[key] for key in ("destination", "target", "to", "dst", "dest") if key in link), None
                )
                width = _width(link)
                add(source, target, width)
                if both:
                    add(target, source, width)
        return found
    for node, neighbours in topology.items():
        if isinstance(neighbours, Mapping):
            inner = neighbours.get("neighbors", neighbours.get("links", neighbours))
            for other, link in inner.items() if isinstance(inner, Mapping) else ():
                add(node, other, _width(link) if isinstance(link, Mapping) else number_of(link))
    return found


def _width(link: Mapping[str, Any]) -> float | None:
    names = ("available_bandwidth", "bandwidth", "bandwidth_mbps", "capacity", "weight")
    return next((width for name in names if (width := number_of(link.get(name))) is not None), None)


def widest_path(links: Links, source: str, target: str) -> tuple[list[str], float] | None:
    """Return the path whose narrowest link is widest, of those the shortest, and the width of that link.

    References
    ----------
    Pollack (1960), The maximum capacity through a network, Operations Research 8(5), 733-736; by Dijkstra's
    method with the minimum in the place of the sum.

    Examples
    --------
    >>> widest_path({"a": {"b": 5.0, "c": 10.0}, "c": {"b": 8.0}}, "a", "b")
    (['a', 'c', 'b'], 8.0)
    >>> widest_path({"a": {"b": 5.0}}, "b", "a") is None
    True
    """
    if source == target:
        return [source], float("inf")
    # By width, then hops, then in the order in which they were found.
    heap: list[tuple[float, int, int, str, str]] = [(-float("inf"), 0, 0, source, "")]
    before: dict[str, str] = {}
    found = 0
    while heap:
        width, hops, _, node, came_from = heapq.heappop(heap)
        if node in before:
            continue
        before[node] = came_from
        if node == target:
            path = [node]
            while path[-1] != source:
                path.append(before[path[-1]])
            return path[::-1], -width
        for other, one in links.get(node, {}).items():
            if other not in before:
                found += 1
                heapq.heappush(heap, (max(width, -one), hops + 1, found, other, node))
    return None
