"""What does it cost to load 200 MB of arrays, once, again, and in many processes?

Open the registry, get the model, read every number of it, in a new process while the file is in the page
cache. The raw limit maps the file and reads it. A model is checked against its digest once a file: a process
before all others has done that here, and its own time is told as the first load ever.
"""

from __future__ import annotations

import json
import mmap
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.models import ModelManager
from benchmarks.filled import large_model
from benchmarks.measure import (
    REPOSITORY,
    Answer,
    Options,
    child,
    child_command,
    proportional_memory,
    timed,
)

MEGABYTES = 200
_PROCESSES = (1, 2, 4, 8)


def ask(answer: Answer, options: Options) -> None:
    megabytes = MEGABYTES // 4 if options.quick else MEGABYTES
    with options.scratch() as scratch:
        with ModelManager(scratch) as manager:
            manager.save_model("model", large_model(megabytes))
        raw_file = str(scratch / "raw.bin")
        Path(raw_file).write_bytes(b"".join(large_model(megabytes).values()))
        time.sleep(2.1)  # until then a file might still change within the granularity of its times
        first = child("load_large", "ours", scratch)
        ours, raw = [], []
        for _ in range(options.times(11)):
            raw.append(child("load_large", "raw", raw_file))
            ours.append(child("load_large", "ours", scratch))
        for key, what in (
            ("open_get_read", f"open, get and read {megabytes} MB, new process, page cache warm"),
            ("open_get", "of that, without the reading"),
            ("again", "get it again in the process, against mapping it again"),
        ):
            answer.add(key, what, "s", [one[key] for one in ours], [one[key] for one in raw])
        answer.add("first", "first load ever: the digest is checked", "s", [first["open_get_read"]])
        for processes in _PROCESSES:
            found = [_copies(scratch, processes, megabytes) for _ in range(options.times(3))]
            what = f"in {processes} process{'es' if processes > 1 else ''} at once, proportional memory"
            answer.add(f"copies_{processes}", what, "copies", found, at=processes)


def _copies(directory: Path, processes: int, megabytes: int) -> float:
    """Return by how many times the model's size the memory of the processes grew by loading it."""
    running = [
        subprocess.Popen(
            child_command("load_large", "hold", directory),
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    before = 0.0
    for process in running:
        assert process.stdout is not None
        before += float(process.stdout.readline())
    for process in running:
        assert process.stdin is not None
        process.stdin.write("load\n")
        process.stdin.flush()
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    after = sum(proportional_memory(process.pid) for process in running)
    for process in running:
        process.communicate()
    return (after - before) * 1024 * 1024 / (megabytes * 1e6)


def _read(model: dict[str, Any]) -> float:
    return float(sum(array.sum() for array in model.values()))


def _views(path: str) -> dict[str, Any]:
    descriptor = os.open(path, os.O_RDONLY)
    view = memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY))
    os.close(descriptor)
    step = len(view) // 8
    return {str(n): np.frombuffer(view[n * step : (n + 1) * step]) for n in range(8)}


def _loaded(kind: str, path: str) -> dict[str, float]:
    np.zeros(1).sum()
    started = time.perf_counter()
    if kind == "raw":
        model = _views(path)
        got = time.perf_counter()
        _read(model)
        read = time.perf_counter()
        again = statistics.median(timed(lambda: _views(path)) for _ in range(21))
    else:
        with ModelManager(path) as manager:
            model = manager.get_model("model")
            got = time.perf_counter()
            _read(model)
            read = time.perf_counter()
            again = statistics.median(timed(lambda: manager.get_model("model")) for _ in range(21))
    return {"open_get": got - started, "open_get_read": read - started, "again": again}


def _hold(directory: str) -> None:
    print(proportional_memory(), flush=True)
    sys.stdin.readline()
    with ModelManager(directory) as manager:
        model = manager.get_model("model")
        _read(model)
        print("loaded", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        _hold(sys.argv[2])
    else:
        print(json.dumps(_loaded(sys.argv[1], sys.argv[2])))
