"""Rows in a file, in the form in which somebody sent them: read once, where they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

FORMATS: Final = ("csv", "json", "jsonl", "parquet")
# Several files of any of these formats, one behind the other: what a schedule makes of a source of many.
ARCHIVE: Final = "tar"
GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class RowsFile:
    """Where rows are, and how they are written.

    Attributes
    ----------
    path : str
        A file.
    format : str or None
        One of FORMATS, compressed with gzip or not, or ARCHIVE; None: as its name or its first bytes say.
        JSON is a list of objects, or the body of ``POST /train`` with them.
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


def ending_of(path: str) -> str:
    """Return the format that the name of a file tells, if it is one; else an empty text.

    >>> ending_of("/data/cpu.CSV.gz"), ending_of("/data/cpu.ndjson"), ending_of("/data/cpu.txt")
    ('csv', 'jsonl', '')
    """
    ending = path.lower().removesuffix(".gz").rpartition(".")[2]
    return "jsonl" if ending == "ndjson" else ending if ending in FORMATS else ""


def format_of(ending: str, start: bytes) -> str:
    """Return the format of rows from the ending of a name, or from the first bytes where that tells none.

    >>> format_of("", b' [{"cpu": 1}]'), format_of("jsonl", b"cpu"), format_of("parquet", b"")
    ('json', 'jsonl', 'parquet')
    """
    if ending == "parquet" or start[:4] == b"PAR1":
        return "parquet"
    if ending in FORMATS:
        return ending
    first = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return {b"[": "json", b"{": "jsonl"}.get(first, "csv")
