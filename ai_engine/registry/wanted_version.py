"""What a caller says of a version, checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from secrets import token_hex
from typing import Any

from ai_engine.domain import clock
from ai_engine.domain.entities import Artifact, ModelId, NewVersion, Place, Run
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.json_values import plain
from ai_engine.domain.names import check_name, check_save_id, check_version
from ai_engine.domain.performance import ModelPerformance


def new_version(
    name: str,
    version: str | None,
    model_type: str | None,
    algorithms: Iterable[str] | None,
    metadata: Mapping[str, Any] | None,
    activate: bool,
    performance: ModelPerformance | None,
    run: Run | None,
    save_id: str | None = None,
) -> NewVersion:
    """Check all that a caller said of a version before anything is written."""
    check_name(name)
    if version is not None:
        check_version(version)
    if save_id is not None:
        check_save_id(save_id)
    if isinstance(algorithms, str) or not (algorithms is None or isinstance(algorithms, Iterable)):
        raise InvalidInputError("algorithms", f"{algorithms!r} is no list; give a list of names")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidInputError("metadata", f"is a {type(metadata).__name__}; give a dict")
    if model_type is not None and not isinstance(model_type, str):
        raise InvalidInputError("model_type", f"{model_type!r} is no text")
    if not isinstance(activate, int) and type(activate).__name__ not in ("bool", "bool_"):  # numpy's
        raise InvalidInputError("activate", f"{activate!r} is neither True nor False")
    return NewVersion(
        model_id=ModelId(f"{name}#{save_id or token_hex(8)}"),
        name=name,
        version=version,
        model_type=model_type and plain("model_type", model_type),
        algorithms=() if algorithms is None else tuple(plain("algorithms", list(algorithms))),
        metadata=plain("metadata", metadata) if metadata else {},
        activate=bool(activate),
        artifact=Artifact(Place.ROW, None, "", None),
        created_at=clock.now(),
        performance=performance,
        run=run,
    )
