"""Networks for migrations: what they leave of a link, their widest paths, and how they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ai_engine.control_plane.answers import BandwidthForecast, NetworkConditions, OptimalPath
from ai_engine.control_plane.derivations.paths import links_of, widest_path
from ai_engine.control_plane.derivations.precopy import tcp_bandwidth
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.sizes import bandwidth_of
from ai_engine.control_plane.tracks import tracks_of
from ai_engine.domain.errors import InvalidInputError, NotAnswerableError
from ai_engine.training.arrays import FloatArray

METHOD, METHOD_VERSION = "network-model", "1"


def predict_bandwidth(question: Question) -> Outcome:
    """Return what a migration gets of a network, in bytes a second.

    Raises
    ------
    NotAnswerableError
        If the conditions tell neither a bandwidth, nor latency and loss.
    """
    given = Given(question.fields)
    fields = given.inner("network_conditions").fields
    told = []
    bounds = []
    width = bandwidth_of(fields)
    if width is not None:
        used = _share(fields, "utilization", "congestion_level", "usage", "network_usage")
        bounds.append(width * (1 - (used or 0.0)))
        told.append(f"{width:.4g} bytes/s" + ("" if used is None else f", of which {used:.0%} is in use"))
    latency, loss = _seconds(fields), _share(fields, "packet_loss", "loss_rate", "loss")
    if latency is not None and latency > 0 and loss is not None and loss > 0:
        bounds.append(tcp_bandwidth(latency, loss))
        told.append(
            f"one TCP connection at {latency:.4g} s and {loss:.3g} loss gets {bounds[-1]:.4g} (Mathis et al. "
            "1997)"
        )
    if not bounds:
        raise NotAnswerableError(
            "the bandwidth of the migration",
            "network_conditions has neither a bandwidth (bytes a second, or bandwidth_mbps), nor "
            "latency_ms and packet_loss",
        )
    answer = BandwidthForecast(max(min(bounds), 0.0), "the least of: " + "; ".join(told))
    return Outcome(answer, 0.0, METHOD, METHOD_VERSION, numbers=1)


def optimal_path(question: Question) -> Outcome:
    """Return the path between two nodes whose narrowest link is widest.

    Raises
    ------
    NotAnswerableError
        If the topology tells of no path with bandwidths.
    InvalidInputError
        If a node is not named.
    """
    given = Given(question.fields)
    source, target = given.text("source_node"), given.text("dest_node")
    for name, value in (("source_node", source), ("dest_node", target)):
        if not value:
            raise InvalidInputError(name, "is missing; name the node")
    links = links_of(given.inner("network_topology").fields)
    found = widest_path(links, source, target) if source != target else None
    if found is None:
        raise NotAnswerableError(
            f"the path from {source} to {target}",
            f"network_topology has {sum(map(len, links.values()))} links with a bandwidth, and none leads "
            "there"
            if source != target
            else "both are one node",
        )
    path, width = found
    answer = OptimalPath(
        path,
        width,
        f"its narrowest link has {width:g}, in the unit of the topology; no other path has more (Pollack "
        "1960)",
    )
    return Outcome(answer, 0.0, METHOD, METHOD_VERSION, numbers=1, optimizations=1)


def network_conditions(question: Question) -> Outcome:
    """Return how the network of a node is, from measurements in the request.

    Raises
    ------
    NotAnswerableError
        If the request carries none of bandwidth, latency and packet loss: nobody else measured them here.
    """
    given = Given(question.fields)
    rows: list[Any] = []
    for name in ("measurements", "samples", "history", "historical_data"):
        rows = rows or given.items(name)
    tracks = tracks_of(rows, machine=given.text("node_id"))
    columns = {
        name: next((tracks.by_name[key].values for key in keys if key in tracks.by_name), None)
        for name, keys in (
            ("bandwidth", ("bandwidth", "bandwidth_mbps", "throughput")),
            ("latency", ("latency", "latency_ms", "rtt", "rtt_ms")),
            ("packet_loss", ("packet_loss", "loss")),
        )
    }
    lacking = [name for name, column in columns.items() if column is None or len(column) < 2]
    bandwidth, latency, loss = columns["bandwidth"], columns["latency"], columns["packet_loss"]
    if bandwidth is None or latency is None or loss is None or lacking:
        raise NotAnswerableError(
            f"how the network of {given.text('node_id') or 'a node'} is",
            "the engine does not measure it, and the request has less than two measurements of "
            f"{', '.join(lacking)}. "
            'Send measurements such as [{"timestamp": …, "bandwidth": 1e9, "latency": 0.4, "packet_loss": '
            "0.001}]",
        )
    highest = float(bandwidth.max())
    answer = NetworkConditions(
        bandwidth=float(np.median(bandwidth)),
        latency=float(np.median(latency)),
        packet_loss=float(loss.mean()),
        jitter=float(np.abs(np.diff(latency)).mean()),
        congestion_level=1 - float(np.median(bandwidth)) / highest if highest > 0 else 0.0,
        predicted_stability=_stability(bandwidth, latency),
        reasoning=(
            f"of {len(bandwidth)} measurements, in their units: medians of bandwidth and latency, mean loss, "
            "jitter as the mean difference of successive latencies (RFC 3550, section 6.4.1, without its "
            "smoothing); congestion is what the median bandwidth lacks to the highest; stability is the "
            "share of measurements within a fifth of the medians"
        ),
    )
    return Outcome(answer, answer.predicted_stability, METHOD, METHOD_VERSION, numbers=6)


def _stability(*columns: FloatArray) -> float:
    n = min(map(len, columns))
    near = [
        np.abs(column[-n:] - np.median(column)) <= 0.2 * abs(float(np.median(column))) + 1e-12
        for column in columns
    ]
    return float(np.all(near, axis=0).mean())


def _share(fields: Mapping[str, Any], *names: str) -> float | None:
    """Return a share, 0 to 1; numbers above 1 are percents."""
    for name in names:
        number = number_of(fields.get(name))
        if number is not None and 0 <= number <= 100:
            return number / 100 if number > 1 else number
    return None


def _seconds(fields: Mapping[str, Any]) -> float | None:
    """Return a latency in seconds; without a unit it is in milliseconds, as networks tell it."""
    seconds = number_of(fields.get("latency_seconds"))
    if seconds is not None:
        return seconds
    milliseconds = next(
        (
            n
            for key in ("latency_ms", "rtt_ms", "latency", "rtt")
            if (n := number_of(fields.get(key))) is not None
        ),
        None,
    )
    return None if milliseconds is None else milliseconds / 1000
