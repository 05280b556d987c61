"""Rows in a file, in the form in which somebody sent them: read once, where they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

FORMATS: Final = ("csv", "json", "jsonl", "parquet")


@dataclass(frozen=True, slots=True)
class RowsFile:
    """Where rows are, and how they are written.

    Attributes
    ----------
    path : str
        A file.
    format : str or None
        One of FORMATS, compressed with gzip or not; None: as its name or its first bytes say. JSON is a list
        of objects, or the body of ``POST /train`` with them.
    label : str or None
        What errors call it; None: its path.
    """

    path: str
    format: str | None = None
    label: str | None = None

    @property
    def called(self) -> str:
        """What errors call the file."""
        return self.label or self.path

    def to_mapping(self) -> dict[str, str | None]:
        """Return it as JSON values."""
        return {"path": self.path, "format": self.format, "label": self.label}

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> RowsFile:
        """Return what `to_mapping` wrote (JSON values). Raises KeyError for anything else."""
        return cls(given["path"], given["format"], given["label"])
