"""A database that cannot be written for a while, as another program does it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ai_engine.directory.protocol import JournalEntry
from ai_engine.registry.doctor import Doctor, Finding
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call a database locked at once."""
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "0.02")


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep the database of a directory from being written."""
    other = sqlite3.connect(directory / "model_registry.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def journal_of(directory: Path) -> Path:
    return directory / ".engine" / "outage"


def entries_of(directory: Path) -> list[Path]:
    return sorted(journal_of(directory).glob("*.json"))


def examine(directory: Path, repair: bool = False, **settings: Any) -> list[Finding]:
    stores = build_stores(Settings(model_dir=str(directory), **settings))
    try:
        return Doctor(stores).examine(repair=repair)
    finally:
        stores.catalogue.close()


def entry(data: bytes) -> JournalEntry:
    return JournalEntry("0000000000000001.json", data, None, False)
