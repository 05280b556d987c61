"""The directory whose name everybody knows is used only where nobody else can put models into it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ai_engine import UnsafeDirectoryError
from ai_engine.models import ModelManager


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another one that counts as the default: that of the machine is for all who use it."""
    monkeypatch.setattr("ai_engine.wiring.DEFAULT_MODEL_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def test_it_is_made_for_its_owner_alone(default: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ModelManager(default) as manager:
        manager.save_model("cpu", 1)
    assert default.stat().st_mode & 0o777 == 0o700
    assert "may not outlive a reboot" in caplog.text
    with ModelManager(default) as manager:
        assert manager.get_model("cpu") == 1


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_one_that_others_can_write_is_refused(default: Path, mode: int) -> None:
    default.mkdir()
    default.chmod(mode)
    with pytest.raises(UnsafeDirectoryError, match="can be written by other users"):
        ModelManager(default)
    default.chmod(0o755)
    ModelManager(default).close()


def test_one_that_leads_elsewhere_is_refused(default: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    default.symlink_to("elsewhere")
    with pytest.raises(UnsafeDirectoryError, match="is not a directory"):
        ModelManager(default)


def test_one_of_another_user_is_refused(default: Path) -> None:
    default.mkdir(mode=0o700)
    try:
        os.chown(default, 65534, -1)
    except PermissionError:
        pytest.skip("only root can give a directory to another user")
    with pytest.raises(UnsafeDirectoryError, match="belongs to another user"):
        ModelManager(default)
