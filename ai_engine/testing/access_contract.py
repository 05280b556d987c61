"""What every catalogue promises of keys, and of the log of who changed what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ai_engine.catalogue.protocol import Catalogue
from ai_engine.domain.audit import BEGINNING, AuditEvent, AuditHead, AuditSeal, broken_at
from ai_engine.domain.keys import ApiKey, digest_of, new_key
from ai_engine.domain.rights import Rights, Scope

AT = datetime(2026, 5, 4, 3, 2, 1, 5, tzinfo=UTC)


def a_key(name: str = "ops", **more: object) -> ApiKey:
    """Return a key that allows reading and training the models of one team."""
    key_id, text = new_key()
    rights = Rights(frozenset({Scope.READ, Scope.TRAIN}), ("team-a-*", "shared"))
    return ApiKey(key_id, name, digest_of(text), rights, AT, "root@host", **more)  # type: ignore[arg-type]  # any field


class AccessContract:
    """Derive from it, and give `open_catalogue`, which opens the same catalogue each time it is called."""

    def test_a_key_comes_back_as_it_was(self, open_catalogue: Callable[[], Catalogue]) -> None:
        """Every field of a key is stored."""
        keys = [
            a_key(),
            a_key("ü € 模", expires_at=AT + timedelta(days=1)),
            a_key("gone", revoked_at=AT, last_used_at=AT - timedelta(hours=1)),
        ]
        catalogue = open_catalogue()
        with catalogue.read() as snapshot:
            assert not snapshot.keys.exist()
            assert snapshot.keys.all() == []
        with catalogue.write() as work:
            for key in keys:
                work.keys.add(key)
        with open_catalogue().read() as snapshot:
            assert snapshot.keys.exist()
            assert {key.key_id: key for key in snapshot.keys.all()} == {key.key_id: key for key in keys}
            assert [snapshot.keys.get(key.key_id) for key in keys] == keys
            assert snapshot.keys.get("aaaaaaaaaa") is None

    def test_a_key_ends_once(self, open_catalogue: Callable[[], Catalogue]) -> None:
        """The first end of a key counts, at its moment."""
        catalogue, key = open_catalogue(), a_key()
        with catalogue.write() as work:
            work.keys.add(key)
            work.keys.revoke(key.key_id, AT + timedelta(hours=1))
            work.keys.revoke(key.key_id, AT + timedelta(hours=2))
        with catalogue.read() as snapshot:
            found = snapshot.keys.get(key.key_id)
        assert found is not None
        assert found.revoked_at == AT + timedelta(hours=1)
        assert found.ended(AT + timedelta(minutes=59)) is None
        assert found.ended(AT + timedelta(hours=1)) == "revoked"

    def test_the_last_use_goes_forward_only(self, open_catalogue: Callable[[], Catalogue]) -> None:
        """Of two uses the later one is kept, whichever is written last."""
        catalogue, key = open_catalogue(), a_key()
        with catalogue.write() as work:
            work.keys.add(key)
            work.keys.note_use(key.key_id, AT + timedelta(hours=2))
            work.keys.note_use(key.key_id, AT + timedelta(hours=1))
        with catalogue.read() as snapshot:
            found = snapshot.keys.get(key.key_id)
        assert found is not None
        assert found.last_used_at == AT + timedelta(hours=2)

    def test_entries_are_chained_and_come_back(self, open_catalogue: Callable[[], Catalogue]) -> None:
        """Entries are numbered from 1 and follow from one another."""
        catalogue = open_catalogue()
        with catalogue.read() as snapshot:
            assert snapshot.audit.head() == BEGINNING
        events = [
            AuditEvent("activate", "cpu", "1.0.0"),
            AuditEvent("delete", "ü €", "1", "version-active", {"a": [1, None], "ü": "x"}),
            AuditEvent("create-key"),
        ]
        for number, event in enumerate(events, 1):
            with catalogue.write(f"somebody {number}") as work:
                assert work.audit.append(event).seq == number
        with open_catalogue().read() as snapshot:
            entries = snapshot.audit.following(0, 10)
            head = snapshot.audit.head()
            assert snapshot.audit.page() == entries[::-1]
            assert snapshot.audit.following(1, 1) == entries[1:2]
        assert [entry.event for entry in entries] == events
        assert [entry.actor for entry in entries] == ["somebody 1", "somebody 2", "somebody 3"]
        assert broken_at(BEGINNING, entries) == (head, None)

    def test_an_entry_goes_with_its_transaction(self, open_catalogue: Callable[[], Catalogue]) -> None:
        """What is rolled back leaves no entry."""
        catalogue = open_catalogue()
        with pytest.raises(RuntimeError), catalogue.write() as work:
            work.audit.append(AuditEvent("delete", "cpu"))
            raise RuntimeError
        with catalogue.read() as snapshot:
            assert snapshot.audit.head() == BEGINNING

    def test_entries_are_found_by_what_they_tell(self, open_catalogue: Callable[[], Catalogue]) -> None:
        """Pages go backwards, of one model or one action too."""
        catalogue = open_catalogue()
        with catalogue.write() as work:
            for number in range(6):
                action = "activate" if number % 2 else "delete"
                work.audit.append(AuditEvent(action, f"m{number % 3}"))

        def found(*given: object, **named: object) -> list[int]:
            with catalogue.read() as snapshot:
                return [entry.seq for entry in snapshot.audit.page(*given, **named)]  # type: ignore[arg-type]  # as given

        assert found(model="m1") == [5, 2]
        assert found(action="delete") == [5, 3, 1]
        assert found(model="m1", action="delete") == [5]
        assert found(2) == [6, 5]
        assert found(2, 5) == [4, 3]
        assert found(model="none") == []

    def test_a_seal_comes_back_as_it_was(self, open_catalogue: Callable[[], Catalogue]) -> None:
        """Every field of a signed head is stored."""
        catalogue = open_catalogue()
        with catalogue.read() as snapshot:
            assert snapshot.audit.newest_seal() is None
        seals = [
            AuditSeal(AuditHead(number, "ab" * 32), AT + timedelta(hours=number), b"\x00" * 32, b"\xff" * 64)
            for number in (1, 2)
        ]
        for seal in seals:
            with catalogue.write() as work:
                work.audit.add_seal(seal)
        with open_catalogue().read() as snapshot:
            assert snapshot.audit.seals() == seals
            assert snapshot.audit.newest_seal() == seals[-1]
