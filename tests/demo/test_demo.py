"""The demo, as a stranger runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


def test_it_tells_its_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.process_iter()}
    directory = tmp_path / "demo"
    ran = subprocess.run(
        [sys.executable, str(DEMO), "--directory", str(directory), "--seconds", "20"],
        capture_output=True,
        text=True,
        timeout=170,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for told in ("Sampling this machine", "SIGKILL", "after the restart", "happened", "that of “no change”"):
        assert told in ran.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"demo"}
    ours = [
        process.info
        for process in psutil.process_iter(["pid", "cmdline"])
        if process.info["pid"] not in before and str(directory) in " ".join(process.info["cmdline"] or [])
    ]
    assert ours == []
