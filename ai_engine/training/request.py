"""What to train, checked when made, JSON in and out; the rows go beside it. Imports no numeric library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.names import check_name
from ai_engine.telemetry.presets import PRESETS
from ai_engine.training.hyperparameters import complete
from ai_engine.training.kinds import Kind, find_kind, known

_ACTIVATE: Final = ("if_better", "always")
# The field of the rows in the body of a training, which is beside the request everywhere else.
ROWS: Final = "training_data"
FIELDS: Final = (
    *("model_type", "name", "target_columns", "time_column", "group_column", "validation_split"),
    *("hyperparameters", "activate", "rename", "preset"),
)
_ATTRIBUTES: Final = {"model_type": "kind"}


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What to train of which columns, and what to do with the result.

    Attributes
    ----------
    kind : str
        The model type, the name of a `Kind`.
    name : str
        The model to save a version of; None is replaced by the kind's default.
    target_columns : tuple of str or None
        What to predict; None is replaced by the kind's default, where it has one. None: for forecasts every
        numeric column that varies, for anomalies no labels.
    time_column, group_column : str or None
        The columns that say when and of which machine a row is; None: ``timestamp`` and ``vm_id``, else those
        that show themselves as such.
    validation_split : float
        The share of the rows that is held out to measure on, above 0 and below 1.
    hyperparameters : dict
        Complete after construction: the given ones, and the kind's defaults (any JSON value).
    rename : mapping of str to str
        Columns as the rows call them, and as they are called from then on: in every other field, in the
        answer, and in the model.
    preset : str or None
        An exporter whose names are known, see `ai_engine.telemetry.presets`.
    activate : bool, "if_better" or "always"
        Whether the new version becomes the active one. With True one that is worse than its baseline does not
        take the place of one that is better than that.

    Raises
    ------
    InvalidInputError
        Naming the field and what would be right.
    TrainingFailedError
        If another package is to bring the kind, and cannot.
    """

    kind: str
    name: str | None = None
    target_columns: tuple[str, ...] | None = None
    time_column: str | None = None
    group_column: str | None = None
    validation_split: float = 0.2
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    activate: bool | str = True
    rename: Mapping[str, str] = field(default_factory=dict)
    preset: str | None = None

    def __post_init__(self) -> None:
        kind = find_kind(self.kind)
        checked = {
            "name": _checked_name(kind, self.name),
            "target_columns": _checked_targets(kind, self.target_columns),
            "validation_split": _checked_split(self.validation_split),
            "hyperparameters": complete(kind.name, kind.settings, self.hyperparameters),
            "rename": _checked_names(self.rename),
        }
        for attribute, value in checked.items():
            object.__setattr__(self, attribute, value)
        if not isinstance(self.activate, bool) and self.activate not in _ACTIVATE:
            raise InvalidInputError(
                "activate", f'give true, false, "if_better" or "always", not {self.activate!r}'
            )
        if self.preset is not None and self.preset not in PRESETS:
            raise InvalidInputError("preset", f"give one of {', '.join(PRESETS)}, not {self.preset!r:.80}")
        for what in ("time_column", "group_column"):
            column = getattr(self, what)
            if column is not None and not isinstance(column, str):
                raise InvalidInputError(what, f"give the name of a column, not {column!r:.80}")

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> TrainingRequest:
        """Return the request that the body of ``POST /train`` describes beside its rows.

        Parameters
        ----------
        given : mapping
            ``model_type``, and any of the other FIELDS (any JSON values).

        Raises
        ------
        InvalidInputError
            Naming the field that is missing, unknown or out of bounds.
        """
        for key in given:
            if key not in FIELDS:
                raise InvalidInputError(str(key), f"there is no such field; there are {', '.join(FIELDS)}")
        if "model_type" not in given:
            raise InvalidInputError("model_type", f"is missing; choose one of {', '.join(known())}")
        return cls(**{_ATTRIBUTES.get(key, key): value for key, value in given.items()})

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> tuple[TrainingRequest, list[Any]]:
        """Return the request and the rows, ``training_data``, that the body of ``POST /train`` holds.

        A row may be anything until the table reader has seen it.

        Raises
        ------
        InvalidInputError
            Naming the field that is missing, unknown or out of bounds.
        """
        request = cls.from_mapping({key: value for key, value in body.items() if key != ROWS})
        if ROWS not in body:
            raise InvalidInputError(ROWS, "is missing; give a list of rows, each an object")
        rows = body[ROWS]
        if not isinstance(rows, list) or not rows:
            raise InvalidInputError(
                ROWS, 'give a list of rows, each an object such as {"timestamp": …, "cpu": 12.5}'
            )
        return request, rows

    def to_mapping(self) -> dict[str, Any]:
        """Return the request as JSON values, in the shape of ``POST /train``'s body."""
        return {
            "model_type": self.kind,
            "name": self.name,
            "target_columns": None if self.target_columns is None else list(self.target_columns),
            "time_column": self.time_column,
            "group_column": self.group_column,
            "validation_split": self.validation_split,
            "hyperparameters": dict(self.hyperparameters),
            "activate": self.activate,
            "rename": dict(self.rename),
            "preset": self.preset,
        }

    @property
    def model_name(self) -> str:
        """Return the name, which every checked request has."""
        assert self.name is not None
        return self.name


def _checked_name(kind: Kind, name: object) -> str:
    chosen = kind.default_name if name is None else name
    if chosen is None:
        raise InvalidInputError("name", f"is missing; {kind.name} has no default name, so give the model one")
    return check_name(chosen)


def _checked_targets(kind: Kind, targets: object) -> tuple[str, ...] | None:
    if targets is None:
        targets = kind.default_targets
    if targets is None:
        if kind.needs_target:
            raise InvalidInputError("target_columns", f'is missing; {kind.name} needs one, such as ["price"]')
        return None
    if not isinstance(targets, (list, tuple)) or not targets:
        raise InvalidInputError(
            "target_columns", f'give a list of column names such as ["cpu"], not {targets!r}'
        )
    for position, target in enumerate(targets):
        if not isinstance(target, str):
            raise InvalidInputError(f"target_columns[{position}]", f"{target!r} is not a column name")
        if target in ("timestamp", "vm_id"):
            raise InvalidInputError(
                f"target_columns[{position}]", f"{target} says when or where; it is no target"
            )
    if len(set(targets)) < len(targets):
        raise InvalidInputError("target_columns", "names a column twice; name each once")
    if kind.most_targets is not None and len(targets) > kind.most_targets:
        most = "one target" if kind.most_targets == 1 else f"at most {kind.most_targets} targets"
        raise InvalidInputError(
            "target_columns", f"{kind.name} has {most}, not {len(targets)}; train one model each"
        )
    return tuple(targets)


def _checked_names(rename: object) -> dict[str, str]:
    if rename is None:
        return {}
    if not isinstance(rename, Mapping) or not all(
        isinstance(name, str) and isinstance(new, str) and new for name, new in rename.items()
    ):
        raise InvalidInputError("rename", 'give an object of names such as {"cpu_usage_pct": "cpu"}')
    return dict(rename)


def _checked_split(split: object) -> float:
    if isinstance(split, bool) or not isinstance(split, (int, float)) or not 0 < split < 1:
        raise InvalidInputError(
            "validation_split",
            f"give the share of rows to hold out, above 0 and below 1 (0.2), not {split!r}",
        )
    return float(split)
