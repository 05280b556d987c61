"""How the memory of a VM goes over: rounds, compression and bandwidth, by the published pre-copy model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ai_engine.control_plane.answers import (
    Adjustment,
    Adjustments,
    CompressionChoice,
    MemoryIterations,
    MigrationStrategy,
)
from ai_engine.control_plane.derivations.precopy import DOWNTIME_SECONDS, PreCopy, pre_copy
from ai_engine.control_plane.derivations.series import succession
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.given import Given, number_of
from ai_engine.control_plane.sizes import bandwidth_of, dirty_rate_of, memory_of
from ai_engine.domain.errors import NotAnswerableError

PRE_COPY: Final = "pre-copy-model"


PRE_COPY_VERSION: Final = "1"


CLARK: Final = (
    "pre-copy model (Clark et al. 2005, Liu et al. 2011): what is written while a round goes over goes again"
)


CONVERGENCE_IS: Final = (
    "share of the bandwidth that dirty pages leave, 1 - dirty rate / bandwidth; no migration was measured "
    "against it"
)


def migration_strategy(question: Question) -> Outcome:
    """Return how to migrate a VM.

    Raises
    ------
    NotAnswerableError
        If size, dirty rate and bandwidth are not all told.
    """
    given = Given(question.fields)
    vm, network = given.inner("vm_data").fields, given.inner("network_data").fields
    told = pre_copied("how to migrate the VM", {**network, **vm})
    width = bandwidth_of(network, vm) or 0.0
    size = memory_of(vm, network) or 0.0
    whole = size / width
    if told.converges and told.rounds == 1 and whole <= DOWNTIME_SECONDS:
        kind = "stop_and_copy"
    else:
        kind = "pre_copy" if told.converges else "post_copy"
    # Compressed so far that dirty pages take half of the bandwidth; zlib's levels, 1 is the quickest.
    level = int(np.clip(np.ceil(18 * (told.ratio - 0.5)), 0, 9))
    need = min(told.sent / max(told.seconds, 1e-9), width)
    allocated = min(max(need, 2 * told.ratio * width), width)
    confidence = convergence(told.ratio)
    answer = MigrationStrategy(
        kind,
        told.rounds,
        level,
        allocated,
        confidence,
        f"{size:.4g} bytes at {width:.4g} bytes/s take {whole:.3g} s once; dirty pages take {told.ratio:.0%} "
        f"of the bandwidth, so {told.rounds} rounds leave {told.downtime:.3g} s of downtime ({CLARK}). "
        "Compression from level 1 on "
        "is asked for where they take more than half of it. Confidence is the " + CONVERGENCE_IS,
    )
    return Outcome(answer, confidence, PRE_COPY, PRE_COPY_VERSION, numbers=4, optimizations=1)


def compression(question: Question) -> Outcome:
    """Return how to compress what is sent, from what is known of its entropy or of a sample.

    Raises
    ------
    NotAnswerableError
        If neither an entropy, nor a ratio, nor the size of the data is told.
    """
    profile = Given(question.fields).inner("data_profile")
    ratio = profile.first("compression_ratio")
    share = profile.first("compressibility", "zero_page_ratio")
    entropy = profile.first("entropy", "entropy_bits_per_byte")
    if entropy is not None and 0 <= entropy <= 8:
        saved, told = 1 - entropy / 8, f"an entropy of {entropy:g} bits a byte leaves"
    elif share is not None and 0 <= share <= 1:
        saved, told = share, "the compressibility that was told is"
    elif ratio is not None and ratio > 0:
        saved, told = (1 - 1 / ratio if ratio >= 1 else 1 - ratio), f"a compression ratio of {ratio:g} saves"
    else:
        raise NotAnswerableError(
            "how to compress the data",
            "data_profile has neither entropy (bits a byte, 0 to 8), nor compressibility (a share), nor "
            "compression_ratio",
        )
    size = memory_of(profile.fields, {"size": profile.first("data_size", "total_size", "size")})
    if size is None:
        raise NotAnswerableError("how to compress the data", "data_profile has no size (data_size, in bytes)")
    level = int(np.clip(round(9 * saved), 0, 9))
    kind = "none" if saved < 0.1 else "lz4" if saved < 0.5 else "zstd"
    # A thousand chunks show progress and can be sent again one by one; pages are the least.
    chunk = 1 << int(np.clip(np.ceil(np.log2(max(size / 1024, 1.0))), 12, 22))
    answer = CompressionChoice(
        kind,
        0 if kind == "none" else max(level, 1),
        chunk,
        saved,
        f"{told} {saved:.0%} to be saved (Shannon 1948 for the entropy): below 10 % nothing is worth its "
        f"time, from half on the stronger method is. Chunks are a thousandth of {size:.4g} bytes, from 4 "
        "KiB to 4 MiB. Confidence is the share that is saved",
    )
    return Outcome(answer, saved, "entropy", "1", numbers=2, optimizations=1)


def memory_iterations(question: Question) -> Outcome:
    """Return the rounds that pre-copy takes.

    Raises
    ------
    NotAnswerableError
        If size, dirty rate and bandwidth are not all told.
    """
    given = Given(question.fields)
    told = pre_copied(
        "how many rounds the memory takes", {**flat(given), **given.inner("vm_memory_pattern").fields}
    )
    answer = MemoryIterations(
        told.rounds,
        f"after {told.rounds} rounds {told.downtime:.3g} s of downtime are left; dirty pages take "
        f"{told.ratio:.0%} of the "
        f"bandwidth ({CLARK})" + ("" if told.converges else "; more rounds would not make it shorter"),
    )
    return Outcome(answer, convergence(told.ratio), PRE_COPY, PRE_COPY_VERSION, numbers=1, optimizations=1)


def adjustments(question: Question) -> Outcome:
    """Return what to change about a running migration.

    Raises
    ------
    NotAnswerableError
        If dirty rate and bandwidth are not both among the metrics.
    """
    given = Given(question.fields)
    metrics = given.inner("current_metrics").fields
    dirty, width = dirty_rate_of(metrics), bandwidth_of(metrics)
    if dirty is None or width is None:
        raise NotAnswerableError(
            f"what to change about the migration {given.text('migration_id')!r}",
            "current_metrics has not both dirty_rate and bandwidth (bytes a second)",
        )
    found = []
    ratio = dirty / width
    if ratio > 0.5:
        sure = succession(int(ratio >= 1), 1) if ratio >= 1 else ratio
        found.append(
            Adjustment(
                "bandwidth", width, 2 * dirty, f"dirty pages take {ratio:.0%} of the bandwidth; at twice "
                                               "the dirty rate "
                f"each round is half of the one before ({CLARK})", sure, "each round half as long as the "
                                                                         "one before",
            )
        )  # fmt: skip
        found.append(
            Adjustment(
                "dirty_rate", dirty, 0.5 * width, "throttling the VM to half of the bandwidth has the same "
                                                  "effect, where "
                "there is no more bandwidth", sure, "the VM writes more slowly while it migrates",
            )
        )  # fmt: skip
    limit = number_of(metrics.get("max_downtime_seconds", metrics.get("downtime_limit")))
    size = memory_of(metrics)
    if limit is not None and size is not None and ratio < 1:
        told = pre_copy(size, dirty, width, max(limit, 1e-6))
        rounds = number_of(metrics.get("iterations", metrics.get("max_iterations")))
        if rounds is not None and rounds < told.rounds:
            found.append(
                Adjustment(
                    "iterations", rounds, float(told.rounds), f"{told.rounds} rounds bring the downtime to "
                                                              f"{told.downtime:.3g} "
                    f"s, within {limit:g} s", 1 - ratio, f"downtime of {told.downtime:.3g} s",
                )
            )  # fmt: skip
    told_ratio = f"dirty pages take {ratio:.0%} of the bandwidth"
    return Outcome(
        Adjustments(found, told_ratio if found else f"{told_ratio}: nothing has to be changed"),
        1 - min(ratio, 1.0), PRE_COPY, PRE_COPY_VERSION, numbers=len(found), optimizations=len(found),
    )  # fmt: skip


def pre_copied(question: str, fields: Mapping[str, Any]) -> PreCopy:
    """Return what the pre-copy model says; raise NotAnswerableError where it is not told enough."""
    size, dirty, width = memory_of(fields), dirty_rate_of(fields), bandwidth_of(fields)
    lacking = [
        name
        for name, value in (("vm_size", size), ("dirty_rate", dirty), ("bandwidth", width))
        if value is None
    ]
    if size is None or dirty is None or width is None:
        raise NotAnswerableError(
            question,
            f"no trained migration_prediction covers it, and for the pre-copy model {', '.join(lacking)} is "
            "missing (bytes, and bytes a second; or with a unit, such as vm_size_gb, "
            "dirty_rate_mb_per_second, bandwidth_mbps)",
        )
    return pre_copy(size, dirty, width, downtime_limit(Given(fields)))


def downtime_limit(given: Given) -> float:
    """Return how many seconds a VM may stand still."""
    seconds = given.first("max_downtime_seconds", "max_downtime", "downtime_limit")
    return DOWNTIME_SECONDS if seconds is None or seconds <= 0 else seconds


def convergence(ratio: float) -> float:
    """Return the share of the bandwidth that dirty pages leave."""
    return max(0.0, 1 - ratio)


def flat(given: Given) -> dict[str, Any]:
    """Return the fields of a request, and behind them those of the objects in it."""
    inner: dict[str, Any] = {}
    for value in given.fields.values():
        inner |= mapping(value)
    return {**inner, **{key: value for key, value in given.fields.items() if not isinstance(value, Mapping)}}


def mapping(value: Any) -> dict[str, Any]:
    """Return a JSON value as a dict; an empty one of what is no object."""
    return dict(value) if isinstance(value, Mapping) else {}
