"""What became of a training that is no job, for the history of its model."""

from __future__ import annotations

import logging
import os
import resource
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from ai_engine.domain.errors import AIEngineError
from ai_engine.domain.jobs import Attempt, Outcome, Usage
from ai_engine.training.request import TrainingRequest
from ai_engine.training.results import TrainingResult

log = logging.getLogger(__name__)


class AttemptHistory(Protocol):
    """Where attempts are kept."""

    def record_attempt(
        self, name: str, attempt: Attempt, hyperparameters: Mapping[str, Any], model_id: str | None = None
    ) -> None:
        """Append one to the history of a model."""
        ...


class Account:
    """The account of a training that begins now.

    Parameters
    ----------
    alone : bool
        Whether this process does nothing else, so that what it takes is what the training takes.
    """

    def __init__(self, registry: AttemptHistory, request: TrainingRequest, alone: bool) -> None:
        self._registry, self._request, self._alone = registry, request, alone
        self._started = datetime.now(UTC)

    def completed(self, result: TrainingResult) -> None:
        """Note the version that it made."""
        self._note(Outcome.COMPLETED, None, result.model_id)

    def failed(self, error: Exception) -> None:
        """Note why it made none."""
        told = str(error) if isinstance(error, AIEngineError) else f"{type(error).__name__}: {error}"
        self._note(Outcome.FAILED, told, None)

    def _note(self, outcome: Outcome, error: str | None, model_id: str | None) -> None:
        attempt = Attempt(
            attempt=1,
            worker=f"process {os.getpid()}",
            host=socket.gethostname(),
            started_at=self._started,
            ended_at=datetime.now(UTC),
            outcome=outcome,
            error=error,
            usage=_usage() if self._alone else Usage(),
        )
        try:
            self._registry.record_attempt(
                self._request.model_name, attempt, self._request.hyperparameters, model_id
            )
        except AIEngineError as trouble:  # the training is what counts
            log.debug("where the training of %s ran is not recorded: %s", self._request.model_name, trouble)


def _usage() -> Usage:
    took = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024
    return Usage(took.ru_utime + took.ru_stime, took.ru_maxrss * unit)
