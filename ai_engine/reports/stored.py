"""The report of a version that a registry has, and what the version is."""

from __future__ import annotations

from typing import Any

from ai_engine.domain.clock import to_iso
from ai_engine.domain.search import EVERYTHING
from ai_engine.registry.registry import Registry
from ai_engine.reports.page import Subject
from ai_engine.training.report import stored_report


def stored(registry: Registry, name: str, version: str | None) -> tuple[Subject, dict[str, Any]]:
    """Return a version, or the active one, and its report (JSON values).

    A version that no training made has a report, too: what was recorded of it, and nothing else.

    Raises
    ------
    ModelNotFoundError, VersionNotFoundError
        If there is none.
    """
    found = registry.number(name, version)
    report = stored_report(registry, name, found)
    entries, _, _ = registry.describe(name, search=EVERYTHING.of(None, found))
    active = registry.active(name) == found
    if not entries:  # in memory only
        return Subject(name, found, None, (), None, active), report
    entry = entries[0]
    return (
        Subject(
            name=name,
            version=found,
            kind=entry["model_type"],
            algorithms=tuple(map(str, entry["algorithms"])),
            saved=to_iso(entry["created_at"]),
            active=active,
        ),
        report,
    )
