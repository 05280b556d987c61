"""What every outage journal must do; see directory.protocol.OutageJournal for the prose."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ai_engine.directory.protocol import OutageJournal
from ai_engine.domain.errors import StorageError

OpenJournal = Callable[[], OutageJournal]


def append(journal: OutageJournal, document: bytes) -> str:
    """Append an operation, held as it has to be."""
    with journal.exclusive():
        return journal.append(document)


class OutageJournalContract:
    """Give it a fixture `open_journal`: a callable that opens the same empty journal, each time anew.

    Those that it opens wait for a lock for half a second at most.
    """

    def test_an_empty_journal_has_nothing(self, open_journal: OpenJournal) -> None:
        """Nor has what is not there."""
        journal = open_journal()
        assert journal.names() == journal.rejected() == []
        assert journal.read("1.json") is None
        assert not journal.has("1.json")
        assert journal.stamp() == 0
        journal_after = append(journal, b"{}")
        journal.remove(journal_after)
        assert journal.names() == []

    def test_operations_are_read_in_the_order_in_which_they_were_given(
        self, open_journal: OpenJournal
    ) -> None:
        """By every opening, byte for byte."""
        documents = [b'{"number": %d}' % number for number in range(20)]
        names = [append(open_journal(), document) for document in documents]
        journal = open_journal()
        assert journal.names() == names
        assert len(set(names)) == 20
        entries = [journal.read(name) for name in names]
        assert [entry.data for entry in entries if entry] == documents
        assert [entry.problem for entry in entries if entry] == [None] * 20
        assert [entry.name for entry in entries if entry] == names
        assert all(journal.has(name) for name in names)

    def test_what_is_removed_is_gone_and_its_name_is_not_given_again(self, open_journal: OpenJournal) -> None:
        """And removing it once more does nothing."""
        journal = open_journal()
        first, second = append(journal, b"1"), append(journal, b"2")
        open_journal().remove(second)
        journal.remove(second)
        assert journal.names() == [first]
        assert journal.read(second) is None
        assert not journal.has(second)
        third = append(journal, b"3")
        assert third not in (first, second)
        assert journal.names() == [first, third]

    def test_what_cannot_be_used_is_kept_aside(self, open_journal: OpenJournal) -> None:
        """In the order of no one; and a second time there is nothing to set aside."""
        journal = open_journal()
        names = [append(journal, b"odd") for _ in range(3)]
        kept = [journal.reject(name) for name in names[:2]]
        assert open_journal().rejected() == sorted(str(place) for place in kept)
        assert journal.names() == names[2:]
        assert journal.reject(names[0]) is None
        assert len(journal.rejected()) == 2

    def test_a_stamp_differs_once_the_journal_has_changed(self, open_journal: OpenJournal) -> None:
        """Or it is None, as long as another change would not show."""
        journal = open_journal()
        name = append(journal, b"1")
        first = open_journal().stamp()
        assert first != 0
        append(open_journal(), b"2")
        second = journal.stamp()
        assert second is None or second != first
        journal.remove(name)
        assert journal.stamp() is None or journal.stamp() != second

    def test_one_holds_it_alone_or_several_share_it(self, open_journal: OpenJournal) -> None:
        """Who waits for too long is told."""
        one, other = open_journal(), open_journal()
        with one.shared(), other.shared():
            pass
        for mine, its in (
            (one.exclusive, other.exclusive),
            (one.exclusive, other.shared),
            (one.shared, other.exclusive),
        ):
            with mine(), pytest.raises(StorageError, match="locked"), its():
                pass
            with its():
                pass

    def test_threads_append_at_once(self, open_journal: OpenJournal) -> None:
        """And every operation has a name of its own."""
        documents = [b"%d" % number for number in range(24)]
        threads = [
            threading.Thread(target=lambda part=part: [append(open_journal(), d) for d in part])
            for part in (documents[::3], documents[1::3], documents[2::3])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        journal = open_journal()
        found = [journal.read(name) for name in journal.names()]
        assert sorted(entry.data or b"" for entry in found if entry) == sorted(documents)
