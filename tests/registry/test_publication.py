"""The file of a large version is another name for its artifact, also when it had to be written again."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.driver import diagnose
from tests.managers import another_process
from tests.models.estimators import large


def test_a_large_file_that_is_written_again_takes_no_space_of_its_own(tmp_path: Path) -> None:
    with another_process(tmp_path) as (manager, stores):
        manager.save_model("cpu", large(1))
        (digest,) = stores.artifacts.list()
        artifact = stores.artifacts.path(digest)
        assert artifact is not None
        file = tmp_path / "cpu@1.0.0.pkl"
        assert os.path.samefile(file, artifact)
        file.unlink()
        assert [finding.repaired for finding in diagnose(tmp_path, repair=True)] == [True]
        assert os.path.samefile(file, artifact)
        assert diagnose(tmp_path) == []
