"""How long does it take to save 200 MB of arrays, and how much memory beside the model?

Random float64, which nothing compresses. The raw limit is the durable save of limits.py, without a digest.
Each save is in a process of its own, in turns; its memory is the growth of the peak while it saves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ai_engine.models import ModelManager
from benchmarks.filled import large_model, small_model
from benchmarks.limits import RawStore
from benchmarks.measure import Answer, Options, child, peak_memory, reset_peak, resident_memory, timed

MEGABYTES = 200


def ask(answer: Answer, options: Options) -> None:
    megabytes = MEGABYTES // 4 if options.quick else MEGABYTES
    ours: list[dict[str, float]] = []
    raw: list[dict[str, float]] = []
    for _ in range(options.times(11)):
        for kind, found in (("raw", raw), ("ours", ours)):
            with options.scratch() as scratch:
                found.append(child("save_large", kind, scratch, megabytes))
    for key, what, unit, column in (
        ("seconds", f"save {megabytes} MB", "s", "seconds"),
        ("seconds_hashed", "the same, the raw limit with a SHA-256 behind it", "s", "hashed"),
    ):
        answer.add(key, what, unit, [one["seconds"] for one in ours], [one[column] for one in raw])
    answer.add("memory", "peak memory beside the model", "MiB", [one["memory"] for one in ours])
    answer.add("memory_raw", "the same of the raw limit", "MiB", [one["memory"] for one in raw])


def _saved(kind: str, directory: Path, megabytes: int) -> dict[str, float]:
    from hashlib import sha256

    model = large_model(megabytes)
    if kind == "raw":
        raw = RawStore(directory)
        raw.save("model", small_model(0))
        before = _settled()
        seconds = timed(lambda: raw.save("model", model))
        memory = peak_memory() - before
        digest = timed(lambda: [sha256(memoryview(array).cast("B")) for array in model.values()])
        return {"seconds": seconds, "memory": memory, "hashed": seconds + digest}
    with ModelManager(directory) as manager:
        manager.save_model("model", small_model(0))
        before = _settled()
        seconds = timed(lambda: manager.save_model("model", model))
        return {"seconds": seconds, "memory": peak_memory() - before}


def _settled() -> float:
    """Let the peak begin at what is resident now, and return that."""
    reset_peak()
    return resident_memory()


if __name__ == "__main__":
    print(json.dumps(_saved(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
