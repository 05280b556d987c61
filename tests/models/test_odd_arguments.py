"""Every public call with arguments that nobody should give: an error of ours that names them, or an answer.

Never an error of the database's driver, never a damaged registry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ai_engine import AIEngineError, InvalidInputError
from ai_engine.domain.versions import next_patch, parse, sort_key
from ai_engine.models import ModelManager, ModelPerformance
from tests.faults.driver import diagnose

AT = datetime(2026, 1, 1, tzinfo=UTC)
ODD: st.SearchStrategy[Any] = st.sampled_from(
    (
        *(None, 0, -1, 1.5, True, 2**63, 2**200, math.nan, math.inf, -math.inf, 1j, Decimal("NaN"), b"x"),
        *(
            "",
            " ",
            ".",
            "..",
            "/",
            "a/b",
            "\x00",
            "a\x00b",
            "\ud800",
            "é",
            "x" * 300,
            "info",
            "1.0.0",
            "cpu",
            "%",
            "*",
        ),
        *([], {}, (), set(), ["cpu"], {"cpu": 1}, object(), object, len, np.float64("nan"), np.int64(3)),
        *(np.zeros(3), np.array([]), pd.NaT, pd.NA, pd.Timestamp("2026"), pd.Timestamp("2026", tz="UTC")),
        *(
            AT,
            AT.replace(tzinfo=None),
            datetime.min,
            datetime.max,
            AT.astimezone(timezone(timedelta(hours=23))),
        ),
    )
)


def _performance(*given: Any) -> ModelPerformance:
    return ModelPerformance(*given[:10])


CALLS: dict[str, tuple[int, Callable[..., object]]] = {
    "save_model": (6, lambda m, a, b, c, d, e, f: m.save_model(a, [b], c, d, e, f)),
    "save_model activate": (1, lambda m, a: m.save_model("odd", 1, activate=a)),
    "save_model metadata": (2, lambda m, a, b: m.save_model("odd", 1, metadata={"a": a, "b": [b]})),
    "register_model": (2, lambda m, a, b: m.register_model(a, 1, b)),
    "get_model": (2, lambda m, a, b: m.get_model(a, b)),
    "get_model of one": (1, lambda m, a: m.get_model("cpu", a)),
    "update_performance": (3, lambda m, a, b, c: m.update_performance(a, b, c)),
    "a measurement": (10, lambda m, *given: m.update_performance("cpu", "1.0.0", _performance(*given))),
    "record_performances": (1, lambda m, a: m.record_performances("cpu", "1.0.0", [a])),
    "save_training_history": (3, lambda m, a, b, c: m.save_training_history(a, b, c)),
    "a training record": (
        5,
        lambda m, a, b, c, d, e: m.save_training_history(
            "cpu",
            "1.0.0",
            {"started": a, "completed": b, "dataset_size": c, "hyperparameters": d, "validation_score": e},
        ),
    ),
    "get_training_history": (2, lambda m, a, b: m.get_training_history(a, b)),
    "metric_history": (2, lambda m, a, b: m.metric_history(a, b)),
    "get_model_info": (4, lambda m, a, b, c, d: m.get_model_info(a, where=b, sort=c, limit=d)),
    "get_model_info limit": (1, lambda m, a: m.get_model_info(limit=a)),
    "cleanup_old_models": (1, lambda m, a: m.cleanup_old_models(a)),
    "activate": (2, lambda m, a, b: m.activate(a, b)),
    "rollback": (1, lambda m, a: m.rollback(a)),
    "delete_version": (2, lambda m, a, b: m.delete_version(a, b)),
    "active_at": (2, lambda m, a, b: m.active_at(a, b)),
    "models": (1, lambda m, a: m.models.get(a)),
    "model_versions": (1, lambda m, a: m.model_versions.get(a)),
    "performance_history": (1, lambda m, a: m.performance_history["cpu"].get(a)),
    "active_models": (1, lambda m, a: m.active_models.get(a)),
}


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelManager]:
    directory = tmp_path_factory.mktemp("odd")
    with ModelManager(directory) as manager:
        manager.save_model("cpu", "kept", version="1.0.0")
        yield manager
        assert manager.get_model("cpu", "1.0.0") == "kept"
        assert manager.registry.health().status == "healthy"
    assert diagnose(directory) == []


@pytest.mark.parametrize("call", CALLS)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(data=st.data())
def test_odd_arguments_are_answered_or_refused_by_name(
    manager: ModelManager, call: str, data: st.DataObject
) -> None:
    count, make = CALLS[call]
    given = [data.draw(ODD) for _ in range(count)]
    with suppress(AIEngineError), hashed_as_any_key():
        make(manager, *given)


@contextmanager
def hashed_as_any_key() -> Iterator[None]:
    """Let pass what any mapping says of a key that cannot be one."""
    try:
        yield
    except TypeError as error:
        if "unhashable" not in str(error):
            raise


def test_moments_of_pandas_are_taken_and_nat_is_unknown(manager: ModelManager) -> None:
    manager.save_model("moments", 1)
    for moment in (pd.Timestamp("2026-01-01 12:00"), pd.Timestamp("2026-01-01 12:00", tz="UTC"), pd.NaT):
        manager.save_training_history("moments", "1.0.0", {"started": moment})
    unknown, aware, naive = (run["started"] for run in manager.get_training_history("moments"))
    assert unknown is None
    assert aware == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert naive == datetime(2026, 1, 1, 12).astimezone(UTC)
    with pytest.raises(InvalidInputError, match="limit"):
        manager.get_model_info(limit=1.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="algorithms"):
        manager.save_model("moments", 1, algorithms=5)  # type: ignore[arg-type]


def test_infinite_accuracies_are_kept_and_have_no_mean(manager: ModelManager) -> None:
    manager.save_model("infinite", 1)
    for accuracy in (math.inf, -math.inf, 0.5, None):
        measured = ModelPerformance(None, None, None, None, None, accuracy, None, AT)
        manager.update_performance("infinite", "1.0.0", measured)
    assert [p.accuracy_score for p in manager.metric_history("infinite")] == [math.inf, -math.inf, 0.5, None]
    (entry,) = manager.get_model_info("infinite")["models"]
    assert (entry["avg_accuracy"], entry["metric_count"]) == (0.5, 4)


NUMBERS = st.lists(st.integers(0, 10**12) | st.integers(0, 10**60), min_size=1, max_size=3)


@given(versions=st.lists(NUMBERS, min_size=2, max_size=8))
@example(versions=[[999_999_999], [1_000_000_000], [9], [10]])
def test_versions_are_sorted_as_their_numbers(versions: list[list[int]]) -> None:
    texts = [".".join(map(str, numbers))[:64].rstrip(".") for numbers in versions]
    assert sorted(texts, key=lambda text: sort_key(text, 1)) == sorted(
        texts, key=lambda text: parse(text) or ()
    )


@given(numbers=NUMBERS)
def test_the_next_number_is_above(numbers: list[int]) -> None:
    text = ".".join(map(str, numbers))[:64].rstrip(".")
    if len(text) > 58:  # with what is added to one number
        return
    following = next_patch(text)
    assert (parse(following) or ()) > (parse(text) or ())
    assert len(following) <= 64


def test_the_longest_version_can_be_saved_and_not_followed(manager: ModelManager) -> None:
    manager.save_model("long", 1, version="9" * 64)
    with pytest.raises(InvalidInputError, match="64 characters"):
        manager.save_model("long", 2)
    assert manager.model_versions["long"] == ["9" * 64]
