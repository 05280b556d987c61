"""Trained models of migrations whose columns are told, and the rows that they are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ai_engine.control_plane.engine import Question
from ai_engine.control_plane.sizes import memory_of
from ai_engine.control_plane.trained import Version, active_versions
from ai_engine.training.ranking import DESTINATIONS, Ranked, rank

SOURCES: Final = ("source", "source_host", "source_node", "src", "src_host", "from_host")


@dataclass(frozen=True, slots=True)
class MigrationModel:
    """A trained model of migrations.

    Attributes
    ----------
    by : Version
    confidence : float
        And `confidence_is`, what it measures.
    """

    by: Version
    confidence: float
    confidence_is: str

    def ask(self, question: Question, row: Mapping[str, Any], hosts: Sequence[Mapping[str, Any]]) -> Ranked:
        """Return the hosts that a migration may go to, best first; see `ai_engine.training.ranking`."""
        from ai_engine.training.calls import reading_of  # a second, for scikit-learn

        reading = partial(reading_of, question.registry, self.by.name, self.by.version)
        return rank(self.by.model, [dict(row)], [host_told(host) for host in hosts], None, reading)


def covering(question: Question, base: Mapping[str, Any], host: Mapping[str, Any]) -> MigrationModel | None:
    """Return the first trained model of migrations whose columns are all told."""
    for version in active_versions(question.registry, ("migration_prediction",)):
        from ai_engine.training.estimators.migration import MigrationV1

        model = version.model
        told = version.confidence
        if not isinstance(model, MigrationV1) or told is None:
            continue
        row = completed(base, model)
        known = {*row, *host_told(host)} | ({*DESTINATIONS} if host.get("host") else set())
        if all(column in known for column in model.encoding.columns):
            return MigrationModel(version, told[0], told[1])
    return None


def completed(base: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Return a row with what it tells in other units, as a `MigrationV1` calls its columns."""
    row = {name: value for name, value in base.items() if value not in (None, "")}
    size = memory_of(base)
    if size is not None:
        sized = {
            "ram_gb": size / 2**30,
            "memory_gb": size / 2**30,
            "memory_mb": size / 2**20,
            "vm_size": size,
        }
        row = {name: value for name, value in sized.items() if name in model.encoding.columns} | row
    return row


def downtime_of(
    question: Question, found: MigrationModel, base: Mapping[str, Any], host: Mapping[str, Any]
) -> float | None:
    """Return the downtime that a trained model foretells; None where its training knew of none."""
    row = {**completed(base, found.by.model), **{k: v for k, v in host.items() if k != "host"}}
    row |= {name: host.get("host", "") for name in DESTINATIONS if name in found.by.model.encoding.columns}
    told = found.ask(question, row, [{"host": host.get("host")}]).predictions[0]
    downtime = told.get("downtime_s")
    return None if downtime is None else float(downtime)


def host_told(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return a host as the ranking reads it: without what is not known of it, and with a name."""
    return {
        **{key: value for key, value in host.items() if value is not None},
        "host": str(host.get("host") or "host"),
    }
