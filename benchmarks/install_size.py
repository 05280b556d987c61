"""How many packages does an install bring, and how many MiB?

A fresh environment made with uv, the core alone and with the `train` extra; what an empty one has is taken
off. Only asked by name or with --full: it downloads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import MIB, REPOSITORY, Answer, Options


def ask(answer: Answer, options: Options) -> None:
    for key, what, wanted in (("core", "the core", ""), ("train", "the core and `train`", "[train]")):
        with options.scratch() as scratch:
            environment = str(scratch / "environment")
            _uv("venv", "--quiet", environment)
            empty = _size(scratch)
            python = f"{environment}/bin/python"
            _uv("pip", "install", "--quiet", "--python", python, f"{REPOSITORY}{wanted}")
            listed = json.loads(_uv("pip", "list", "--python", python, "--format", "json"))
            answer.add(f"{key}_packages", f"packages, {what}", "packages", [len(listed)])
            answer.add(f"{key}_size", f"size, {what}", "MiB", [(_size(scratch) - empty) / MIB])


def _uv(*arguments: str) -> str:
    uv = str(Path(sys.executable).parent / "uv")
    command = [uv if os.path.exists(uv) else "uv", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _size(directory: Path) -> int:
    taken = {}
    for where, _, files in os.walk(directory):
        for name in files:
            found = os.lstat(os.path.join(where, name))
            taken[found.st_ino] = found.st_blocks * 512
    return sum(taken.values())
