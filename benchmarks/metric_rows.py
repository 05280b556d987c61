"""What does one durable metric cost, and how many a second are written in one call?

The raw limit is one INSERT, committed to a SQLite log with synchronous=FULL: one sync. For a thousand in one
call it is a thousand INSERTs in one commit.
"""

from __future__ import annotations

from ai_engine.models import ModelManager
from benchmarks.filled import measurement, small_model
from benchmarks.limits import RawStore
from benchmarks.measure import Answer, Options, alternating, medians

BATCH = 1000


def ask(answer: Answer, options: Options) -> None:
    with options.scratch() as scratch, ModelManager(scratch / "ours") as manager:
        manager.save_model("model", small_model(0))
        raw = RawStore(scratch / "raw")
        one = measurement()
        mine, limit = alternating(
            lambda: manager.update_performance("model", "1.0.0", one), raw.record, options.times(15), 40
        )
        answer.add("one", "one row, durable", "s", medians(mine), medians(limit))

        batch = [one] * BATCH

        def together() -> None:
            raw.database.execute("BEGIN IMMEDIATE")
            for _ in range(BATCH):
                raw.record()
            raw.database.execute("COMMIT")

        mine, limit = alternating(
            lambda: manager.registry.record("model", "1.0.0", *batch), together, options.times(15), 4
        )
        answer.add(
            "batch",
            f"{BATCH:,} rows in one call",
            "rows/s",
            [BATCH / seconds for seconds in medians(mine)],
            [BATCH / seconds for seconds in medians(limit)],
        )
        raw.close()
