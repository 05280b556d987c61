"""A file that says, beside the catalogue, that keys were made: who loses the catalogue must open no door."""

from __future__ import annotations

import os

from ai_engine.directory.ownership import ModelDirectory
from ai_engine.files.durable_io import storage_errors, sync_directory, write_all


class KeyMarker:
    """The marker of a model directory.

    Parameters
    ----------
    directory : ModelDirectory
        In whose part of ours it is.
    """

    def __init__(self, directory: ModelDirectory) -> None:
        self._directory = directory
        self.path = f"{directory.engine}/keys"

    def is_set(self) -> bool:
        """Tell whether keys were ever made."""
        return os.path.lexists(self.path)

    def set(self) -> None:
        """Remember that keys were made, durably. Raises StorageError."""
        if self.is_set():
            return
        with storage_errors(self.path), self._directory.sandbox.entry() as entry:
            write_all(entry.descriptor, b"Requests need a key: see `ai-engine keys list`.\n")
            os.fsync(entry.descriptor)
            entry.move(self.path)
            sync_directory(self._directory.engine)
