"""Operations that wait for the catalogue: one small synced file each, in order."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from ai_engine.artifacts.files import make_directory, storage_errors, sync_directory, write_all
from ai_engine.artifacts.protocol import Waiting


class LocalJournal:
    """See protocol.Journal.

    Parameters
    ----------
    path : str
        The directory, ours alone; made when the first operation has to wait.
    """

    def __init__(self, path: str) -> None:
        self.location = path

    def append(self, operation: Mapping[str, Any]) -> Waiting:
        with storage_errors(self.location):
            make_directory(os.path.dirname(self.location))
            make_directory(self.location, mode=0o700)
            with self.lock():
                waiting = self.waiting()
                number = int(waiting[-1].entry.partition(".")[0]) + 1 if waiting else 1
                entry = f"{number:012d}.json"
                path = f"{self.location}/{entry}"
                aside = f"{path}.new"
                descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
                try:
                    write_all(descriptor, json.dumps(dict(operation)).encode())
                    os.fsync(descriptor)
                    os.rename(aside, path)
                    sync_directory(self.location)
                except BaseException:
                    for left in (aside, path):  # what is refused must not be replayed one day
                        with suppress(FileNotFoundError):
                            os.unlink(left)
                    raise
                finally:
                    os.close(descriptor)
        return Waiting(entry, dict(operation))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Exclude every other writer of the journal."""
        descriptor = os.open(self.location, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def replaying(self) -> Iterator[list[Waiting]]:
        with ExitStack() as held:
            with suppress(FileNotFoundError, NotADirectoryError):
                held.enter_context(self.lock())
            yield self.waiting()

    def waiting(self) -> list[Waiting]:
        try:
            names = sorted(name for name in os.listdir(self.location) if name.endswith(".json"))
        except (FileNotFoundError, NotADirectoryError):  # of the latter `append` complains
            return []
        found = []
        for name in names:
            with suppress(FileNotFoundError), open(f"{self.location}/{name}", encoding="utf-8") as file:
                text = file.read()
                try:
                    operation = json.loads(text)
                except ValueError:
                    operation = None
                found.append(Waiting(name, operation if isinstance(operation, dict) else {}))
        return found

    def remove(self, entry: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(f"{self.location}/{entry}")
        sync_directory(self.location)

    def reject(self, entry: str) -> str:
        aside = f"{self.location}/{entry}.rejected"
        os.rename(f"{self.location}/{entry}", aside)
        sync_directory(self.location)
        return aside

    def rejected(self) -> list[str]:
        with suppress(FileNotFoundError, NotADirectoryError):
            names = sorted(os.listdir(self.location))
            return [f"{self.location}/{name}" for name in names if name.endswith(".rejected")]
        return []

    def stamp(self) -> int:
        try:
            return os.stat(self.location).st_mtime_ns
        except FileNotFoundError:
            return 0
