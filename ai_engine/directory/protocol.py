"""What the files of a model directory do besides holding bytes: versions for people, and what waits."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ai_engine.domain.entities import ModelId


class StagedFile(Protocol):
    """A file that is written and has no name yet."""

    def publish(
        self, path: str, source: str | None, record: bytes, content: memoryview | None = None
    ) -> None:
        """Put the file in its place, and the record of its version beside it.

        Parameters
        ----------
        path : str
            The version's file.
        source : str or None
            A file that may hold the same bytes already; it then gets one more name.
        record : bytes
            What a lost catalogue is rebuilt from.
        content : memoryview or None
            What is in the file, where neither `source` nor the staged data are.
        """

    def leave(self) -> None:
        """Let what is staged be found as a leftover of this version, to be published at the next opening."""


class VersionFiles(Protocol):
    """The files under which people find versions; each is a copy of the truth, or another name for it."""

    def path(self, name: str, version: str, is_ours: Callable[[str], bool]) -> str:
        """Return where the file of a new version will be; what stands there and is not ours is avoided."""

    def record_path(self, path: str) -> str:
        """Return where the record of the version at `path` is."""

    def stage(self, model_id: ModelId, data: bytes | None) -> AbstractContextManager[StagedFile]:
        """Write a version's file aside, before anybody knows what it will be called.

        Parameters
        ----------
        model_id : ModelId
            Of the version.
        data : bytes or None
            What is in it; None where it will be another name for a file that there is.
        """

    def leftovers(self) -> Iterator[AbstractContextManager[ModelId]]:
        """Yield what killed writers staged, perhaps for versions that they committed.

        Entering one yields the id of the version; leaving it without an error removes the leftover.
        """

    def begun(self) -> list[ModelId]:
        """Return the versions for which killed writers left something."""

    def records(self) -> Iterator[tuple[str, bytes]]:
        """Yield every record, behind the path of the version's file."""

    def newest_records(self) -> list[tuple[str, bytes]]:
        """Return the records that were written last, newest first, as far as a quick look finds them."""

    def recorded(self) -> Container[str]:
        """Return what tells whether there is a record at a path, now; for one thread."""

    def tidy(self) -> None:
        """Give the disk back what records that are gone still take."""

    def stamp(self) -> int:
        """Return a number that differs once a record or a pointer has come or gone."""

    def write_record(self, path: str, record: bytes) -> None:
        """Write the record of a version."""

    def point(self, name: str, pointer: bytes) -> None:
        """Write down which version of a model became active."""

    def pointers(self) -> Iterator[bytes]:
        """Yield what was last written down for each model."""

    def keep_reserve(self) -> None:
        """Take up a little of the disk for the day on which it is full."""

    def spend_reserve(self) -> None:
        """Give it back, so that there is room to forget versions in."""

    def read(self, path: str) -> bytes | None:
        """Return what is in a small file; None where there is none, or something that is no file."""

    def read_elsewhere(self, path: str) -> bytes | None:
        """Return what is in a file of the original software, wherever a link leads; None where there is none.

        Raises
        ------
        OSError, ValueError
            If it cannot be read, or the path can be none.
        """

    def exists(self, path: str) -> bool:
        """Tell whether a version has its file."""

    def mend(self, path: str, data: bytes | memoryview | None, source: str | None = None) -> None:
        """Write the file of a version again: its data, or another name for `source`."""

    def sync(self) -> None:
        """Make what was removed stay removed after a power cut."""

    def footprint(self, paths: Iterable[str]) -> int:
        """Return the bytes that the disk would get back if these files were removed together."""

    def remove(self, path: str) -> int:
        """Remove a file of ours; return the bytes that the disk got back, 0 where there was none."""


class JournalEntry(NamedTuple):
    """A file of the journal.

    Attributes
    ----------
    data : bytes or None
        What is in it; None where it cannot be read, or must not be.
    problem : str or None
        Why not.
    lasting : bool
        Whether that stays so: the entry can then be set aside.
    """

    name: str
    data: bytes | None
    problem: str | None
    lasting: bool


class OutageJournal(Protocol):
    """Operations that the catalogue could not take, in the order in which they were given.

    Whoever wants the journal and the catalogue locked locks the catalogue first.
    """

    @property
    def location(self) -> str:
        """Where it is, for messages."""

    @property
    def owner(self) -> str:
        """Whose operations these are, among the registries that keep theirs in the same place."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Exclude everybody else who holds the journal, in whichever way. Raises StorageError."""

    def shared(self) -> AbstractContextManager[None]:
        """Exclude those who hold it exclusively: nothing is appended. Raises StorageError."""

    def append(self, document: bytes) -> str:
        """Make an operation durable behind all others, held exclusively; return the name of its entry.

        A name is never given twice, so what an entry says never changes. Raises StorageError.
        """

    def names(self) -> list[str]:
        """Return the names of all entries, oldest first, those of other registries included."""

    def read(self, name: str) -> JournalEntry | None:
        """Return an entry; None where there is none any more."""

    def has(self, name: str) -> bool:
        """Tell whether there is an entry of that name."""

    def remove(self, name: str) -> None:
        """Forget an operation that the catalogue has taken."""

    def reject(self, name: str) -> str | None:
        """Set an entry aside that cannot be used; return where it is kept, None where another did so."""

    def rejected(self) -> list[str]:
        """Return where the entries are kept that were set aside."""

    def stamp(self) -> int | None:
        """Return a number that differs once the journal has changed; 0 where there is none.

        None means that it changed so recently that another change would not show.
        """
