"""Which versions of a model to keep. Pure: records in, versions to drop out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.records import ModelVersion
from ai_engine.domain.versions import sort_key


def beyond_newest(versions: Iterable[ModelVersion], keep: int) -> list[ModelVersion]:
    """Return what to drop to keep, of each model, the `keep` highest versions and the active one.

    Raises
    ------
    InvalidInputError
        If `keep` is not a whole number of at least 1.
    """
    if type(keep) is not int or keep < 1:
        raise InvalidInputError("keep_versions", f"{keep!r} is not a whole number of at least 1")
    by_name: dict[str, list[ModelVersion]] = defaultdict(list)
    for version in versions:
        by_name[version.name].append(version)
    dropped = []
    for of_one in by_name.values():
        highest_first = sorted(of_one, key=lambda v: (sort_key(v.version, v.seq), v.seq), reverse=True)
        dropped += [version for version in highest_first[keep:] if not version.is_active]
    return dropped
