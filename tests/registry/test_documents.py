"""A document of a version is read as it was written, or told what is wrong with it, key by key."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ai_engine.domain.digests import digest_of
from ai_engine.domain.entities import Artifact, ModelId, NewVersion, Place, Run
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.performance import NUMBERS, REALS, ModelPerformance
from ai_engine.registry import documents

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
ARTIFACT = Artifact(Place.STORE, digest_of(b"x"), "mapped", 2**63 - 1, "3.11", {"numpy": "2"})
MEASURED = ModelPerformance(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, MOMENT, 7, 8)
RUN = Run(MOMENT, MOMENT, 9, {"k": [1]}, 0.5, {"worst": [1]})
WHOLE = NewVersion(
    ModelId("cpu#1"), "cpu", "1.0.0", "kind", ("a",), {"k": None}, True, ARTIFACT, MOMENT, MEASURED, RUN
)

Test = Callable[[Any], bool]


def text(value: Any) -> bool:
    return isinstance(value, str)


def text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def number(value: Any) -> bool:
    return value is None or type(value) in (int, float)


def count(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and value == int(value) and abs(value) < 2**63)


TAKEN: dict[str, Test] = {
    **dict.fromkeys(("model_id", "name", "version", "artifact.format", "artifact.packages.numpy"), text),
    **dict.fromkeys(("model_type", "artifact.digest", "artifact.python"), text_or_none),
    "algorithms": lambda value: isinstance(value, list),
    "metadata": lambda value: isinstance(value, dict),
    "activate": lambda value: isinstance(value, bool),
    "created_at": lambda value: value == "2026-01-02",
    "artifact": lambda value: False,
    "artifact.place": lambda value: value == "row",
    "artifact.size": lambda value: value is None or (type(value) is int and 0 <= value < 2**63),
    "artifact.packages": lambda value: value in ({}, {"k": "v"}),
    **{f"performance.{name}": number if name in REALS else count for name in NUMBERS},
    "performance.last_updated": text_or_none,
    "performance": lambda value: value is None,
    "run": lambda value: value is None,
    "run.started": text_or_none,
    "run.completed": text_or_none,
    "run.dataset_size": count,
    "run.hyperparameters": lambda value: True,
    "run.validation_score": number,
    "run.report": lambda value: isinstance(value, dict),
}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**63, 0.5, 3.0, "", "row", "2026-01-02"),
    *([], [1], {}, {"k": "v"}, {"k": 1}),
)


@pytest.mark.parametrize("path", TAKEN)
def test_each_key_takes_what_it_can_hold(path: str) -> None:
    for value in VALUES:
        document: Any = copy.deepcopy(documents.version_to_dict(WHOLE, "1.0.0"))
        *above, key = path.split(".")
        inner = document
        for part in above:
            inner = inner[part]
        inner[key] = value
        if TAKEN[path](value):
            documents.version_from_dict(documents.decode(documents.encode(document)))
        else:
            with pytest.raises(ValueError, match=r"."):
                documents.version_from_dict(document)
    inner.pop(key)
    if key in ("numpy", "report"):
        return  # that of a package need not be there, and not every training has a report
    if not TAKEN[path](None) or path.startswith(("performance.", "run.")):
        with pytest.raises(ValueError, match=key):
            documents.version_from_dict(document)


@pytest.mark.parametrize(
    "version",
    [
        WHOLE,
        replace(WHOLE, performance=None, run=None, model_type=None, activate=False),
        replace(WHOLE, artifact=Artifact(Place.PATH, None, "pickle", None)),
        replace(WHOLE, run=Run(None, None, None)),
        replace(WHOLE, performance=replace(MEASURED, mae=math.inf, r2=None)),
    ],
)
def test_a_version_is_read_as_it_was_written(version: NewVersion) -> None:
    document = documents.decode(documents.encode(documents.version_to_dict(version, version.version)))
    assert documents.version_from_dict(document) == documents.complete(version) == version


def test_a_key_that_nobody_knows_is_not_left_out() -> None:
    for part in ("performance", "run"):
        document: Any = documents.version_to_dict(WHOLE, "1.0.0")
        document[part]["later"] = 1
        with pytest.raises(ValueError, match="unknown key 'later'"):
            documents.version_from_dict(document)


def test_a_measurement_without_a_moment_is_of_now() -> None:
    document = documents.performance_to_dict(replace(MEASURED, last_updated=None))
    at = documents.performance_from_dict(document).last_updated
    assert at is not None
    assert abs((at - datetime.now(UTC)).total_seconds()) < 600
    with pytest.raises(InvalidInputError, match="last_updated"):
        documents.performance_to_dict(replace(MEASURED, last_updated="now"))  # type: ignore[arg-type]  # as callers do


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"{", "not JSON"),
        (b"\xff", "UTF-8"),
        (b"[1]", "not a JSON object"),
        (b"[" * 100_000, "nested"),
        (b'{"a": {"b": 1, "b": 2}}', "'b' twice"),
    ],
)
def test_bytes_that_are_no_document_are_told_of(data: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        documents.decode(data)
    assert documents.decode(b'{"a": {"b": 1}}') == {"a": {"b": 1}}
