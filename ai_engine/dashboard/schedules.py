"""Schedules, as the dashboard shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ai_engine.domain.clock import from_text
from ai_engine.domain.rights import Rights

_TOLD: Final = {
    "queued": "training",
    "completed": "trained",
    "failed": "failed",
    "cancelled": "cancelled",
    "unchanged": "nothing new",
    "skipped": "skipped",
    "unreadable": "no source",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """A model that is trained again by itself.

    Attributes
    ----------
    following : str
        When it is trained next.
    last, at : str or None
        What came of the last time, and when that was.
    version : str or None
        What was made.
    active : bool
        Whether it became active.
    because : str or None
        Why, or why nothing was made.
    bad : bool
        Whether somebody should do something about it.
    """

    name: str
    following: str
    last: str | None
    at: str | None
    version: str | None
    active: bool
    because: str | None
    bad: bool


def planned(health: Mapping[str, Any], rights: Rights) -> list[Planned]:
    """Return the schedules that the health of a registry (JSON values) tells somebody of."""
    return [_planned(one) for one in health.get("schedules") or () if rights.cover(one["model_name"])]


def _planned(one: Mapping[str, Any]) -> Planned:
    last = one["last"] or {}
    following = _moment(one["next_at"]) or "once enough rows have come"
    return Planned(
        name=one["model_name"],
        following="once it can be read" if last.get("outcome") == "unreadable" else following,
        last=_TOLD.get(last.get("outcome", "")),
        at=_moment(last.get("at")),
        version=last.get("version"),
        active=last.get("active") is True,
        because=last.get("reason") or one["warning"],
        bad=one["warning"] is not None,
    )


def _moment(text: str | None) -> str | None:
    moment = from_text(text)
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else None
