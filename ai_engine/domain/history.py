"""What became of every attempt to train a model, those that made no version included."""

from __future__ import annotations

from dataclasses import dataclass

from ai_engine.domain.entities import Run
from ai_engine.domain.jobs import Attempt


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A training of a model.

    Attributes
    ----------
    version : str or None
        What it made; None where it made nothing.
    job_id : str or None
        The job that it was an attempt of; it can be looked up for a week.
    attempt : Attempt or None
        Where and how it ran; None where nobody recorded that.
    """

    name: str
    version: str | None
    run: Run
    job_id: str | None = None
    attempt: Attempt | None = None
