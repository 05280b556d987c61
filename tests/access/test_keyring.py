from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.access.keyring import Keyring, WrongKeyError
from ai_engine.catalogue.memory import MemoryCatalogue, MemoryDatabase
from ai_engine.directory.key_marker import KeyMarker
from ai_engine.directory.ownership import ModelDirectory
from ai_engine.domain import clock, keys
from ai_engine.domain.errors import (
    CatalogueUnavailableError,
    InvalidInputError,
    KeyExistsError,
    KeyNotFoundError,
    StorageError,
)
from ai_engine.domain.keys import ApiKey
from ai_engine.domain.rights import Rights, Scope, checked_patterns, checked_scopes

READ = Rights(frozenset({Scope.READ}))


class Clock:
    """The time as the test has it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(clock, "now", moved)
    return moved


@pytest.fixture
def catalogue() -> MemoryCatalogue:
    return MemoryCatalogue(MemoryDatabase("/models"))


@pytest.fixture
def open_keyring(tmp_path: Path, catalogue: MemoryCatalogue) -> Callable[[], Keyring]:
    directory = ModelDirectory(str(tmp_path / "models"))
    directory.make()
    return lambda: Keyring(catalogue, KeyMarker(directory), "root@host")


@pytest.fixture
def keyring(open_keyring: Callable[[], Keyring]) -> Keyring:
    return open_keyring()


def test_a_key_opens_and_is_not_stored(keyring: Keyring) -> None:
    made = keyring.create("ops", READ)
    assert keyring.find(made.text) == made.key
    assert made.text not in repr(keyring.all())
    assert made.text.startswith(f"nae_{made.key.key_id}_")
    assert keyring.known(made.text) == made.key


def test_there_are_no_two_alike(keyring: Keyring) -> None:
    made = [keyring.create(f"n{number}", READ) for number in range(20)]
    assert len({one.text for one in made}) == len({one.key.key_id for one in made}) == 20


@pytest.mark.parametrize("place", [0, 4, 14, 15, 40, 66, 67, -1])
def test_a_key_with_another_letter_opens_nothing(keyring: Keyring, place: int) -> None:
    text = keyring.create("ops", READ).text
    letters = list(text)
    letters[place] = "a" if letters[place] != "a" else "b"
    with pytest.raises(WrongKeyError, match="no whole key"):
        keyring.find("".join(letters))


@given(st.text(max_size=100))
def test_no_text_is_taken_for_a_key(text: str) -> None:
    assert keys.id_in(text) is None


def test_a_key_of_another_registry_opens_nothing(keyring: Keyring) -> None:
    other = Keyring(MemoryCatalogue(MemoryDatabase("/other")), keyring._marker, "root")
    with pytest.raises(WrongKeyError, match="not a key of this registry"):
        keyring.find(other.create("ops", READ).text)


def test_a_forged_secret_under_a_known_id_opens_nothing(keyring: Keyring) -> None:
    made = keyring.create("ops", READ)
    _, forged = keys.new_key()
    secret = forged[15:67]
    text = f"nae_{made.key.key_id}_{secret}{keys._checksum(made.key.key_id, secret)}"
    assert keys.id_in(text) == made.key.key_id
    with pytest.raises(WrongKeyError, match="not a key of this registry"):
        keyring.find(text)
    keyring.find(made.text)
    with pytest.raises(WrongKeyError, match="not a key of this registry"):
        keyring.known(text)  # from memory, too


def test_a_key_expires(keyring: Keyring, time: Clock) -> None:
    made = keyring.create("ops", READ, timedelta(days=30))
    time.now += timedelta(days=30) - timedelta(microseconds=1)
    assert keyring.find(made.text).key_id == made.key.key_id
    time.now += timedelta(microseconds=1)
    for ask in (keyring.find, keyring.known):
        with pytest.raises(WrongKeyError, match="it is expired"):
            ask(made.text)
    keyring.create("ops", READ)  # the name is free again


def test_a_revoked_key_ends_at_once_in_every_process(
    keyring: Keyring, open_keyring: Callable[[], Keyring]
) -> None:
    made, other = keyring.create("ops", READ), open_keyring()
    other.find(made.text)
    assert other.known(made.text) is not None
    assert [key.key_id for key in keyring.revoke("ops")] == [made.key.key_id]
    assert other.known(made.text) is None  # what it remembers is out of date
    with pytest.raises(WrongKeyError, match="it is revoked"):
        other.find(made.text)
    with pytest.raises(KeyNotFoundError, match="keys list"):
        keyring.revoke(made.key.key_id)


def test_a_rotated_key_goes_on_for_its_grace(keyring: Keyring, time: Clock) -> None:
    old = keyring.create("ops", Rights(frozenset({Scope.TRAIN}), ("a-*",)), timedelta(days=10))
    time.now += timedelta(days=9)
    new = keyring.rotate("ops", timedelta(hours=1))
    assert new.key.rights == old.key.rights
    assert new.key.name == "ops"
    assert new.key.expires_at == time.now + timedelta(days=10)
    assert keyring.find(old.text).key_id == old.key.key_id
    time.now += timedelta(hours=1)
    with pytest.raises(WrongKeyError, match="revoked"):
        keyring.find(old.text)
    assert keyring.find(new.text) == new.key
    with pytest.raises(KeyNotFoundError):
        keyring.rotate(old.key.key_id)


def test_a_key_rotated_without_grace_ends_now(keyring: Keyring) -> None:
    old = keyring.create("ops", READ)
    keyring.rotate(old.key.key_id)
    with pytest.raises(WrongKeyError, match="revoked"):
        keyring.find(old.text)


def test_a_name_has_one_valid_key(keyring: Keyring) -> None:
    made = keyring.create("ops", READ)
    with pytest.raises(KeyExistsError, match=f"keys rotate {made.key.key_id}"):
        keyring.create(" ops ", READ)
    keyring.revoke("ops")
    keyring.create("ops", READ)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a" * 101, "\x00"])
def test_a_name_is_printable(keyring: Keyring, name: str) -> None:
    with pytest.raises(InvalidInputError, match="printable"):
        keyring.create(name, READ)
    assert not keyring.required()
    keyring.create("a" * 100, READ)


def test_once_there_is_a_key_one_is_needed_for_ever(
    keyring: Keyring, open_keyring: Callable[[], Keyring]
) -> None:
    assert not keyring.required()
    other = open_keyring()
    keyring.create("ops", READ)
    assert other.required()  # at once, in another process too
    assert keyring.any_valid()
    keyring.revoke("ops")
    assert not keyring.any_valid()
    assert open_keyring().required()


def test_a_restored_catalogue_brings_its_keys(
    tmp_path: Path, catalogue: MemoryCatalogue, keyring: Keyring
) -> None:
    keyring.create("ops", READ)
    elsewhere = ModelDirectory(str(tmp_path / "restored"))
    elsewhere.make()
    restored = Keyring(catalogue, KeyMarker(elsewhere), "root@host")
    assert not restored.required()
    restored.look()
    assert restored.required()
    assert KeyMarker(elsewhere).is_set()


def test_a_restored_catalogue_on_a_disk_that_cannot_be_written_asks_for_keys(
    catalogue: MemoryCatalogue, keyring: Keyring
) -> None:
    class ReadOnly:
        def is_set(self) -> bool:
            return False

        def set(self) -> None:
            raise StorageError("the disk is read-only")

    keyring.create("ops", READ)
    mounted = Keyring(catalogue, ReadOnly(), "root@host")
    mounted.look()
    assert mounted.required()


def test_what_is_known_may_be_replaced_while_it_is_asked_for(keyring: Keyring) -> None:
    made = keyring.create("ops", READ)
    keyring.find(made.text)

    class Replaced(dict[str, ApiKey | None]):
        def __contains__(self, key_id: object) -> bool:
            keyring._fresh = {}  # as another thread does that reads what has just been committed
            return super().__contains__(key_id)

    keyring._fresh = Replaced(keyring._fresh)
    assert keyring.known(made.text) == made.key
    keyring.find(made.text)
    keyring._fresh = Replaced(keyring._fresh)
    assert keyring.get(made.key.key_id) == made.key


def test_a_lost_catalogue_opens_no_door(keyring: Keyring, open_keyring: Callable[[], Keyring]) -> None:
    made = keyring.create("ops", READ)
    lost = Keyring(MemoryCatalogue(MemoryDatabase("/models")), keyring._marker, "root@host")
    lost.look()
    assert lost.required()
    with pytest.raises(WrongKeyError):
        lost.find(made.text)


def test_a_key_that_was_used_opens_during_an_outage(
    keyring: Keyring, catalogue: MemoryCatalogue, monkeypatch: pytest.MonkeyPatch, time: Clock
) -> None:
    made, unused = keyring.create("ops", READ, timedelta(hours=1)), keyring.create("other", READ)
    keyring.find(made.text)

    def down(*_: object) -> None:
        raise CatalogueUnavailableError("the database", "it is gone")

    monkeypatch.setattr(catalogue, "read", down)
    monkeypatch.setattr(catalogue, "stamp", down)
    assert keyring.known(made.text) is None
    assert keyring.find(made.text).key_id == made.key.key_id
    with pytest.raises(CatalogueUnavailableError):
        keyring.find(unused.text)
    time.now += timedelta(hours=1)
    with pytest.raises(WrongKeyError, match="expired"):
        keyring.find(made.text)


def test_the_last_use_is_written_once_a_minute(keyring: Keyring, time: Clock) -> None:
    key = keyring.create("ops", READ).key
    assert keyring.used(key)
    keyring.note_use(key)
    assert keyring.all()[0].last_used_at == time.now
    time.now += timedelta(seconds=59)
    assert not keyring.used(key)
    time.now += timedelta(seconds=1)
    assert keyring.used(key)


def test_scopes_are_read_by_name() -> None:
    assert checked_scopes([" Read", "ADMIN"]) == {Scope.READ, Scope.ADMIN}
    for wrong in (["write"], [], [""]):
        with pytest.raises(InvalidInputError, match="scope"):
            checked_scopes(wrong)


@pytest.mark.parametrize("scope", Scope)
def test_only_admin_includes_others(scope: Scope) -> None:
    for other in Scope:
        assert Rights(frozenset({scope})).allow(other) == (scope in (other, Scope.ADMIN))
    assert not Rights(frozenset()).allow(scope)


@given(st.text(min_size=1, max_size=20), st.text(max_size=5))
def test_a_pattern_without_signs_is_one_name(name: str, more: str) -> None:
    literal = name.replace("*", "+").replace("?", "+")
    rights = Rights(frozenset(), (literal,))
    assert rights.cover(literal)
    assert rights.cover(literal + more) == (not more)
    assert Rights(frozenset(), (f"{literal}*",)).cover(literal + more)
    assert Rights(frozenset(), (f"{literal}?",)).cover(literal + more) == (len(more) == 1)
    assert not Rights(frozenset(), ()).cover(name)


def test_patterns_are_checked() -> None:
    assert checked_patterns([]) == ("*",)
    assert checked_patterns(["a", "b", "a"]) == ("a", "b")
    for wrong in (["a", ""], ["a" * 201], ["a\n"], [f"p{number}" for number in range(101)]):
        with pytest.raises(InvalidInputError, match="models"):
            checked_patterns(wrong)
    assert len(checked_patterns([f"p{number}" for number in range(100)])) == 100
