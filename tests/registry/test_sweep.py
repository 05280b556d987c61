"""What a clean-up that was killed has left is removed at the next opening, and nothing else is."""

from __future__ import annotations

from pathlib import Path

from tests.faults.driver import diagnose
from tests.managers import another_process
from tests.models.estimators import large


def test_bytes_that_were_saved_again_stay(tmp_path: Path) -> None:
    with another_process(tmp_path) as (manager, stores):
        manager.save_model("again", large(1))
        manager.save_model("gone", large(2))
        with stores.catalogue.write() as work:  # and no sweep
            for version in work.everything():
                work.drop(version, [version.model_path, stores.version_files.record_path(version.model_path)])
        manager.save_model("again", large(1))
        assert len(list(stores.artifacts.list())) == 2
    with another_process(tmp_path) as (manager, stores):
        (digest,) = stores.artifacts.list()
        with stores.catalogue.read() as snapshot:
            assert snapshot.debris(-1) == []
            assert [version.name for version in snapshot.uses(digest)] == ["again"]
        assert manager.get_model("again") == large(1)
    assert diagnose(tmp_path) == []
    assert sorted(path.name for path in tmp_path.glob("*.pkl")) == ["again@1.0.1.pkl"]
