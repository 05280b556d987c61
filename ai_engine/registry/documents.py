"""A version as a JSON document: what the outage journal and the records beside the artifacts hold.

Documents come from disks, and are as old or as broken as those. Whatever cannot be read raises ValueError
with what is wrong with it, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, NoReturn

from ai_engine.domain import clock
from ai_engine.domain.entities import Artifact, Digest, ModelId, NewVersion, Place, Run
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.json_values import plain
from ai_engine.domain.performance import NUMBERS, ModelPerformance, checked, counted, measured

Document = dict[str, Any]  # JSON values by key

_LARGEST = 2**63 - 1  # what a column of the database holds


def decode(data: bytes) -> Document:
    """Return the JSON object that some bytes are. Raises ValueError where they are none.

    >>> decode(b'{"kind": "save", "kind": "run"}')
    Traceback (most recent call last):
    ...
    ValueError: it has the key 'kind' twice
    """
    try:
        document = json.loads(data.decode(), object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    return document


def _object(pairs: list[tuple[str, Any]]) -> Document:
    found: Document = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"it has the key {key[:80]!r} twice")
        found[key] = value
    return found


def encode(document: Mapping[str, Any]) -> bytes:
    """Return a document as bytes; numbers that are not finite stay what they are."""
    return json.dumps(document).encode()


# -- versions ------------------------------------------------------------------------------------------------


def version_to_dict(new: NewVersion, version: str | None) -> Document:
    """Return everything of a version but its bytes."""
    return {
        "model_id": new.model_id,
        "name": new.name,
        "version": version,
        "model_type": new.model_type,
        "algorithms": list(new.algorithms),
        "metadata": new.metadata,
        "activate": new.activate,
        "created_at": clock.to_text(new.created_at),
        "artifact": _artifact_to_dict(new.artifact),
        "performance": performance_to_dict(new.performance) if new.performance else None,
        "run": run_to_dict(new.run) if new.run else None,
    }


def _artifact_to_dict(artifact: Artifact) -> Document:
    return {
        "place": artifact.place.value,
        "digest": artifact.digest,
        "format": artifact.format,
        "size": artifact.size,
        "python": artifact.python,
        "packages": dict(artifact.packages),
        "store": artifact.store,
        "signature": artifact.signature,
    }


def version_from_dict(document: Document) -> NewVersion:
    """Return the version of a document, with its number."""
    performance, run = document.get("performance"), document.get("run")
    return NewVersion(
        model_id=ModelId(text(document, "model_id")),
        name=text(document, "name"),
        version=text(document, "version"),
        model_type=_text_or_none(document, "model_type"),
        algorithms=tuple(_plain(document, "algorithms", list)),
        metadata=_plain(document, "metadata", dict),
        activate=_flag(document, "activate"),
        artifact=_artifact_from_dict(mapping(document, "artifact")),
        created_at=_moment(document, "created_at"),
        performance=None if performance is None else performance_from_dict(performance),
        run=None if run is None else run_from_dict(run),
    )


def _artifact_from_dict(document: Document) -> Artifact:
    digest = _text_or_none(document, "digest")
    packages = mapping(document, "packages")
    return Artifact(
        place=Place(text(document, "place")),
        digest=None if digest is None else Digest(digest),
        format=text(document, "format"),
        size=_size(document),
        python=_text_or_none(document, "python"),
        packages={package: text(packages, package) for package in packages},
        store=_text_or_none(document, "store"),
        signature=_text_or_none(document, "signature"),
    )


# -- measurements and runs -----------------------------------------------------------------------------------


def performance_to_dict(performance: ModelPerformance) -> Document:
    """Return a measurement as JSON values, made now where it does not say when.

    Raises
    ------
    InvalidInputError
        If it cannot be stored.
    """
    at = performance.last_updated
    if at is not None and not isinstance(at, datetime):
        raise InvalidInputError("last_updated", f"{at!r} is no datetime; give one, or None for now")
    return asdict(checked(performance)) | {"last_updated": clock.to_text(at or clock.now())}


def performance_from_dict(document: object) -> ModelPerformance:
    """Return the measurement of a document."""
    known = (
        document if not isinstance(document, dict) or "metrics" in document else document | {"metrics": {}}
    )
    values = _known(known, "performance", {*NUMBERS, "last_updated", "metrics"})
    numbers = {number: _number(values, number) for number in NUMBERS}
    at = _text_or_none(values, "last_updated")
    named = mapping(values, "metrics")
    metrics = {name: _number(named, name) for name in named}
    return checked(ModelPerformance(**numbers, last_updated=clock.from_text(at), metrics=metrics))


def run_to_dict(run: Run) -> Document:
    """Return a training record as JSON values. Raises InvalidInputError where it cannot be stored."""
    report = {} if run.report is None else {"report": plain("report", run.report)}
    return {
        "started": clock.to_text(run.started) if run.started else None,
        "completed": clock.to_text(run.completed) if run.completed else None,
        "dataset_size": counted("dataset_size", run.dataset_size),
        "hyperparameters": plain("hyperparameters", run.hyperparameters),
        "validation_score": measured("validation_score", run.validation_score),
        **report,
    }


def run_from_dict(document: object) -> Run:
    """Return the training record of a document."""
    keys = {"started", "completed", "dataset_size", "hyperparameters", "validation_score"}
    told = {"report"} if isinstance(document, dict) and "report" in document else set()
    values = _known(document, "run", keys | told)
    return Run(
        started=clock.from_text(_text_or_none(values, "started")),
        completed=clock.from_text(_text_or_none(values, "completed")),
        dataset_size=counted("dataset_size", _number(values, "dataset_size")),
        hyperparameters=plain("hyperparameters", values["hyperparameters"]),
        validation_score=measured("validation_score", _number(values, "validation_score")),
        report=_plain(values, "report", dict) if told else None,
    )


def complete(new: NewVersion) -> NewVersion:
    """Return a version as a document of it will be read: what cannot be stored is refused now."""
    performance = new.performance and performance_from_dict(performance_to_dict(new.performance))
    run = new.run and run_from_dict(run_to_dict(new.run))
    return replace(new, performance=performance, run=run)


# -- values --------------------------------------------------------------------------------------------------


def text(document: Document, key: str) -> str:
    """Return a text of a document."""
    value = document.get(key)
    if not isinstance(value, str):
        _refuse(key, value, "a text")
    plain(key, value)  # half of a surrogate pair is none
    return value


def mapping(document: Document, key: str) -> Document:
    """Return an object of a document."""
    value = document.get(key)
    if not isinstance(value, dict):
        _refuse(key, value, "an object")
    return value


def _text_or_none(document: Document, key: str) -> str | None:
    return None if document.get(key) is None else text(document, key)


def _plain(document: Document, key: str, kind: type[list[Any]] | type[Document]) -> Any:
    value = document.get(key)
    if not isinstance(value, kind):
        _refuse(key, value, "a list" if kind is list else "an object")
    return plain(key, value)


def _known(document: object, what: str, keys: set[str]) -> Document:
    """Return a document that has these keys and no others: to leave one out would be to lose it."""
    if not isinstance(document, dict):
        _refuse(what, document, "an object")
    if document.keys() != keys:
        odd = min(document.keys() ^ keys)
        raise ValueError(f"{what} {'lacks' if odd in keys else 'has the unknown key'} {odd[:80]!r}")
    return document


def _flag(document: Document, key: str) -> bool:
    value = document.get(key)
    if not isinstance(value, bool):
        _refuse(key, value, "true or false")
    return value


def _number(document: Document, key: str) -> Any:
    value = document.get(key)
    if value is not None and type(value) not in (int, float):
        _refuse(key, value, "a number")
    return value


def _size(document: Document) -> int | None:
    value = document.get("size")
    if value is not None and (type(value) is not int or not 0 <= value <= _LARGEST):
        _refuse("size", value, "a number of bytes")
    return value


def _moment(document: Document, key: str) -> datetime:
    value = document.get(key)
    moment = clock.from_text(value) if isinstance(value, str) else None
    if moment is None:
        _refuse(key, value, "a moment")
    return moment


def _refuse(key: str, value: object, wanted: str) -> NoReturn:
    found = type(value).__name__ if isinstance(value, (dict, list)) else repr(value)[:80]
    raise ValueError(f"{key} is {found}, not {wanted}")
