"""What a service does while nobody asks: it finds rot, and cleans up on a schedule."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ai_engine.domain.retention import Policy
from ai_engine.models import ModelManager
from ai_engine.registry.upkeep import Upkeep
from tests.models.estimators import large


def rot(directory: Path) -> None:
    (artifact,) = (directory / ".engine" / "artifacts").iterdir()
    artifact.chmod(0o644)
    data = bytearray(artifact.read_bytes())
    data[1000] ^= 1
    artifact.write_bytes(data)


def test_rot_is_found_before_somebody_needs_the_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ModelManager(tmp_path) as manager:
        manager.save_model("small", 1)
        manager.save_model("big", large(1))
        assert manager.get_model("big") == large(1)
        rot(tmp_path)
        seen: list[int] = []
        damaged = manager.registry.verify(lambda size: not seen.append(size))  # type: ignore[func-returns-value]
        assert list(damaged) == ["big@1.0.0"]
        assert manager.registry.health().damaged == ("big@1.0.0",)
        assert "do not match their digest" in caplog.text
        assert len(seen) == 2


def test_the_thread_verifies_and_cleans_up_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelManager(tmp_path) as manager:
        for number in range(5):
            manager.save_model("cpu", [number, large(number)])
        verified = threading.Event()
        verify = manager.registry.verify

        def telling(pause: object) -> dict[str, str]:
            found = verify(pause)  # type: ignore[arg-type]  # handed on as it came
            verified.set()
            return found

        monkeypatch.setattr(manager.registry, "verify", telling)
        with Upkeep(manager.registry, 1e12, Policy(keep_versions=2), 3600.0, settle=0.0):
            assert verified.wait(20)
        assert manager.model_versions["cpu"] == ["1.0.3", "1.0.4"]
        assert manager.registry.health().damaged == ()
