"""The mappings of a manager are mappings: what is not there is a KeyError, and nothing is loaded to look."""

from __future__ import annotations

import html
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from ai_engine.models import ModelManager, ModelPerformance

MEASURED = ModelPerformance(0.5, None, None, None, None, None, None, None)


@pytest.fixture
def filled(manager: ModelManager) -> ModelManager:
    manager.save_model("cpu", 1)
    manager.save_model("cpu", 2, activate=False)
    manager.save_model("idle", 3, activate=False)
    manager.update_performance("cpu", "1.0.1", MEASURED)
    return manager


def told(mapping: Mapping[str, Any]) -> list[str]:
    assert len(mapping) == len(list(mapping))
    assert all(key in mapping for key in mapping)
    for absent in ("nobody", "9.9.9", ""):
        assert absent not in mapping
        assert mapping.get(absent) is None
        with pytest.raises(KeyError):
            mapping[absent]
    return list(mapping)


def test_what_there_is_and_what_not(filled: ModelManager) -> None:
    assert told(filled.models) == ["cpu", "idle"]
    assert told(filled.models["cpu"]) == ["1.0.0", "1.0.1"]
    assert dict(filled.models["cpu"]) == {"1.0.0": 1, "1.0.1": 2}
    assert told(filled.model_versions) == ["cpu", "idle"]
    assert filled.model_versions["idle"] == ["1.0.0"]
    assert told(filled.active_models) == ["cpu"]
    assert dict(filled.active_models) == {"cpu": "1.0.0"}
    assert "idle" not in filled.active_models
    assert told(filled.performance_history["cpu"]) == ["1.0.1"]
    assert filled.performance_history["cpu"]["1.0.1"].mae == 0.5
    with pytest.raises(KeyError):
        filled.performance_history["cpu"]["1.0.0"]


def test_they_show_what_is_there_now(filled: ModelManager) -> None:
    models, actives = filled.models, filled.active_models
    versions = models["idle"]
    filled.delete_version("idle", "1.0.0")
    filled.save_model("new", 4)
    assert told(models) == ["cpu", "new"]
    assert list(versions) == []
    assert actives["new"] == "1.0.0"


def test_what_a_save_answers_is_the_id_and_more(manager: ModelManager) -> None:
    saved = manager.save_model("cpu", 1, activate=False)
    assert (saved.name, saved.version, saved.active) == ("cpu", "1.0.0", False)
    assert str(saved) == saved.model_id == manager.get_model_info("cpu")["models"][0]["model_id"]
    assert type(saved.model_id) is str
    again = pickle.loads(pickle.dumps(saved))
    assert (again, again.name, again.version, again.active) == (saved, "cpu", "1.0.0", False)


def offered(mapping: Any) -> object:
    """Return what IPython offers after a bracket."""
    return mapping._ipython_key_completions_()


def test_a_line_tells_what_is_in_them(filled: ModelManager) -> None:
    assert repr(filled.models) == "<2: 'cpu', 'idle'>"
    assert repr(filled.models["cpu"]) == "<2: '1.0.0', '1.0.1'>"
    assert repr(filled.active_models) == "<1: 'cpu'>"
    assert repr(filled.performance_history["idle"]) == "<empty>"
    where = repr(filled.model_dir)
    assert repr(filled) == f"<ModelManager {where}: 2 models, 3 versions; active: 'cpu' 1.0.0>"
    assert offered(filled.models) == ["cpu", "idle"]
    assert offered(filled.models["cpu"]) == ["1.0.0", "1.0.1"]


def test_the_line_is_bounded(manager: ModelManager) -> None:
    for number in range(40):
        manager.save_model(f"{number:02}-{'n' * 190}", number)
    for one in (manager, manager.models, manager.active_models):
        told = repr(one)
        assert len(told) < 1200
        assert "\n" not in told
    assert repr(manager.models).endswith(", … 30 more>")
    assert repr(manager).endswith(", …>")
    assert "40 models, 40 versions" in repr(manager)


def test_a_notebook_shows_them_as_text(manager: ModelManager) -> None:
    assert manager._repr_html_() == f"<code>{html.escape(repr(manager))}</code>"
    models: Any = manager.models
    assert models._repr_html_() == "<code>&lt;empty&gt;</code>"


def test_one_that_is_closed_can_still_be_printed(filled: ModelManager) -> None:
    models = filled.models
    filled.close()
    assert repr(filled) == f"<ModelManager {filled.model_dir!r}: not open (ClosedError)>"
    assert repr(models).startswith("<cannot be read: ")
    assert offered(models) == []
    assert repr(ModelManager.__new__(ModelManager)) == "<ModelManager '': not open (AttributeError)>"
