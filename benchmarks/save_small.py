"""What does it cost to save a small model, and does it stay the same with more versions?

A fitted LinearRegression, each save with bytes of its own, over ten names. The raw limit is the durable save
of limits.py, three syncs; ours keeps small bytes in the row and needs one.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

from ai_engine.models import ModelManager
from benchmarks.filled import NAMES, fill, small_model
from benchmarks.limits import RawStore
from benchmarks.measure import Answer, Options, alternating, medians, percentile


def ask(answer: Answer, options: Options) -> None:
    for count in options.sizes((0, 1000), (0, 1000, 10_000, 100_000)):
        with options.scratch() as scratch:
            _beside(answer, options, count, scratch)


def _beside(answer: Answer, options: Options, count: int, scratch: Path) -> None:
    if count:
        fill(scratch / "ours", count, files=True)
    raw = RawStore(scratch / "raw", count)
    calls, rounds = 100, options.times(10)
    models = [small_model(1000 + n) for n in range(calls * rounds + 20)]
    ours, theirs = iter(models), iter(models)
    ours_names, theirs_names = cycle(NAMES), cycle(NAMES)
    with ModelManager(scratch / "ours") as manager:

        def save() -> None:
            manager.save_model(next(ours_names), next(ours))

        def limit() -> None:
            raw.save(next(theirs_names), next(theirs))

        alternating(save, limit, 1, 20)  # each of the names has its first version, and the files are open
        mine, bare = alternating(save, limit, rounds, calls)
    raw.close()
    answer.add(f"p50_{count}", f"median, beside {count:,} versions", "s", medians(mine), medians(bare), count)
    answer.add(
        f"p99_{count}",
        f"99th percentile, beside {count:,} versions",
        "s",
        [percentile(one, 0.99) for one in mine],
        [percentile(one, 0.99) for one in bare],
        count,
    )
