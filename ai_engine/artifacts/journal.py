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
        The directory; made when the first operation has to wait.
    owner : str
        Whose operations these are: another registry may keep its own in the same directory.
    """

    def __init__(self, path: str, owner: str) -> None:
        self.location = path
        self._owner = owner

    def append(self, operation: Mapping[str, Any]) -> Waiting:
        with storage_errors(self.location):
            make_directory(os.path.dirname(self.location))
            make_directory(self.location, mode=0o700)
            with self.lock():
                names = self._names()
                number = int(names[-1].partition(".")[0]) + 1 if names else 1
                entry = f"{number:012d}.json"
                path = f"{self.location}/{entry}"
                aside = f"{path}.new"
                descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
                try:
                    write_all(descriptor, json.dumps({**operation, "owner": self._owner}).encode())
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

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self.location) if name.endswith(".json"))
        except (FileNotFoundError, NotADirectoryError):  # of the latter `append` complains
            return []

    def waiting(self) -> list[Waiting]:
        return [entry for entry in self._all() if entry.operation.get("owner", self._owner) == self._owner]

    def strangers(self) -> list[str]:
        return sorted(
            {str(entry.operation.get("owner", self._owner)) for entry in self._all()} - {self._owner}
        )

    def _all(self) -> list[Waiting]:
        found = []
        for name in self._names():
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
