"""The audit log in answers, as the OpenAPI document tells it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ai_engine.api.schemas import Reply


class AuditEntryReply(Reply):
    """Somebody changed something, or tried to."""

    seq: int = Field(description="Its number; none is left out.")
    at: str
    actor: str = Field(description="Who, and from where.")
    action: str
    model: str | None
    version: str | None
    outcome: str = Field(description="`done`, or the code of the error that it ended with.")
    detail: dict[str, Any] = Field(description="What else is known of it.")
    digest: str = Field(description="SHA-256 of the entry and of its predecessor's digest.")


class AuditHeadReply(Reply):
    """The newest entry of the log."""

    seq: int
    digest: str


class AuditReply(Reply):
    """Who changed what, the newest first."""

    entries: list[AuditEntryReply]
    head: AuditHeadReply
    next_page_token: str | None
