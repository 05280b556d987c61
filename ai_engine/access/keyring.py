"""Make keys, let them end, and tell whose a key is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from ai_engine.catalogue.protocol import Catalogue
from ai_engine.domain import clock
from ai_engine.domain.audit import AuditEvent
from ai_engine.domain.errors import (
    CatalogueUnavailableError,
    InvalidInputError,
    KeyExistsError,
    KeyNotFoundError,
    StorageError,
)
from ai_engine.domain.keys import ApiKey, digest_of, id_in, is_key_id, new_key
from ai_engine.domain.rights import Rights

log = logging.getLogger(__name__)

# The last use of a key is written down no more often than this.
_NOTE_EVERY: Final = timedelta(minutes=1)
_LONGEST_NAME: Final = 100
# Keys that are remembered; each that is asked for was given out.
_MOST_KNOWN: Final = 10_000


class Marker(Protocol):
    """Remembers, beside the catalogue, that there are keys: a catalogue that is lost must open no door."""

    def is_set(self) -> bool:
        """Tell whether there were ever keys."""

    def set(self) -> None:
        """Remember it, durably. Raises StorageError."""


class WrongKeyError(Exception):
    """A key that opens nothing; the text says why."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, and its text, which nobody can be told a second time."""

    key: ApiKey
    text: str


class Keyring:
    """The keys of a registry.

    Parameters
    ----------
    catalogue : Catalogue
        Where they are.
    marker : Marker
        What remembers that there are any.
    actor : str
        Who makes keys and ends them.
    """

    def __init__(self, catalogue: Catalogue, marker: Marker, actor: str) -> None:
        self._catalogue, self._marker, self._actor = catalogue, marker, actor
        self._lock = threading.Lock()
        self._required = False
        self._stamp: int | None = None  # of the catalogue, when what is known here was read
        self._fresh: dict[str, ApiKey | None] = {}  # as of the stamp
        self._known: dict[str, ApiKey] = {}  # as they were read last, for when the catalogue is down
        self._noted: dict[str, datetime] = {}

    # -- making and ending -----------------------------------------------------------------------------------

    def create(self, name: str, rights: Rights, lifetime: timedelta | None = None) -> NewKey:
        """Make a key.

        Parameters
        ----------
        name : str
            Whose it is, 1 to 100 printable characters.
        lifetime : timedelta or None
            For how long it is valid; None: until it is revoked.

        Raises
        ------
        InvalidInputError
            If the name is none.
        KeyExistsError
            If a valid key has the name.
        StorageError
            If it cannot be stored.
        """
        wanted = name.strip()
        if not 1 <= len(wanted) <= _LONGEST_NAME or not wanted.isprintable():
            raise InvalidInputError("name", f"{name[:80]!r}: give 1 to {_LONGEST_NAME} printable characters")
        now = clock.now()
        made = self._made(wanted, rights, now, None if lifetime is None else now + lifetime)
        self._marker.set()  # before there is a key: from now on nothing is open by mistake
        with self._catalogue.write(self._actor) as work:
            for known in work.keys.all():
                if known.name == wanted and known.revoked_at is None and known.ended(now) is None:
                    raise KeyExistsError(wanted, known.key_id)
            work.keys.add(made.key)
            work.audit.append(AuditEvent("create-key", detail=_told(made.key)))
        return made

    def rotate(self, key: str, grace: timedelta = timedelta()) -> NewKey:
        """Make a new key in the place of one, which ends at once or after `grace`.

        Parameters
        ----------
        key : str
            The id or the name of a valid key.

        Raises
        ------
        KeyNotFoundError
            If no valid key has that id or name.
        """
        now = clock.now()
        with self._catalogue.write(self._actor) as work:
            (old,) = _valid(work.keys.all(), key, now)
            lifetime = None if old.expires_at is None else old.expires_at - old.created_at
            made = self._made(old.name, old.rights, now, None if lifetime is None else now + lifetime)
            work.keys.revoke(old.key_id, now + grace)
            work.keys.add(made.key)
            work.audit.append(AuditEvent("rotate-key", detail=_told(made.key) | {"in place of": old.key_id}))
        return made

    def revoke(self, key: str) -> list[ApiKey]:
        """Let a key end now, by its id, or every valid key of a name; return them as they are now.

        Raises
        ------
        KeyNotFoundError
            If no valid key has that id or name.
        """
        now = clock.now()
        with self._catalogue.write(self._actor) as work:
            ended = _valid(work.keys.all(), key, now, every=True)
            for one in ended:
                work.keys.revoke(one.key_id, now)
                work.audit.append(AuditEvent("revoke-key", detail=_told(one)))
        return [replace(one, revoked_at=now) for one in ended]

    def all(self) -> list[ApiKey]:
        """Return every key that was ever made, the oldest first."""
        with self._catalogue.read() as snapshot:
            return snapshot.keys.all()

    def _made(self, name: str, rights: Rights, now: datetime, expires_at: datetime | None) -> NewKey:
        key_id, text = new_key()
        key = ApiKey(key_id, name, digest_of(text), rights, now, self._actor, expires_at)
        return NewKey(key, text)

    # -- asking ----------------------------------------------------------------------------------------------

    def required(self) -> bool:
        """Tell whether requests need a key: there is one, or there were some.

        One that ended opens no door again.
        """
        self._required = self._required or self._marker.is_set()
        return self._required

    def look(self) -> None:
        """Ask the catalogue whether there are keys, which a restored one may bring without the marker."""
        with suppress(CatalogueUnavailableError), self._catalogue.read() as snapshot:
            self._required = self._required or snapshot.keys.exist()
        if self._required:
            with suppress(StorageError):  # where nothing can be written, nobody loses the catalogue either
                self._marker.set()

    def any_valid(self) -> bool:
        """Tell whether there is a key by which somebody gets in. Raises StorageError."""
        now = clock.now()
        with self._catalogue.read() as snapshot:
            return any(key.ended(now) is None for key in snapshot.keys.all())

    def known(self, text: str) -> ApiKey | None:
        """Return whose a key is, from memory; None where the catalogue has to be asked.

        Raises
        ------
        WrongKeyError
            If it opens nothing.
        """
        key_id = _id(text)
        fresh = self._as_of_now()
        return _checked(fresh[key_id], text) if key_id in fresh else None

    def find(self, text: str) -> ApiKey:
        """Return whose a key is.

        Raises
        ------
        WrongKeyError
            If it opens nothing.
        CatalogueUnavailableError
            If the catalogue does not answer, and has not been asked for this key before.
        """
        key_id = _id(text)
        return _checked(self._read(key_id), text)

    def get(self, key_id: str) -> ApiKey | None:
        """Return a key by its id; as `find` does it, from memory where the catalogue does not answer."""
        fresh = self._as_of_now()
        return fresh[key_id] if key_id in fresh else self._read(key_id)

    def _read(self, key_id: str) -> ApiKey | None:
        try:
            stamp = self._catalogue.stamp()  # before the question: the answer is as new, or newer
            with self._catalogue.read() as snapshot:
                key = snapshot.keys.get(key_id)
        except CatalogueUnavailableError:
            if key_id not in self._known:
                raise
            return self._known[key_id]
        with self._lock:
            if stamp != self._stamp or len(self._fresh) > _MOST_KNOWN:
                self._stamp, self._fresh = stamp, {}
            self._fresh[key_id] = key
            if key is None:
                self._known.pop(key_id, None)
            elif len(self._known) <= _MOST_KNOWN:
                self._known[key_id] = key
        return key

    def _as_of_now(self) -> Mapping[str, ApiKey | None]:
        """Return what is known and still so; who reads meanwhile puts another mapping in its place."""
        with self._lock:
            stamp, fresh = self._stamp, self._fresh
        try:
            return fresh if stamp is not None and stamp == self._catalogue.stamp() else {}
        except StorageError:
            return {}

    def is_valid(self, key: ApiKey) -> bool:
        """Tell whether a key opens anything now."""
        return key.ended(clock.now()) is None

    # -- using -----------------------------------------------------------------------------------------------

    def used(self, key: ApiKey) -> bool:
        """Note that a key was used; tell whether that is to be written down now."""
        now = clock.now()
        last = self._noted.get(key.key_id) or key.last_used_at
        if last is not None and now - last < _NOTE_EVERY:
            return False
        self._noted[key.key_id] = now
        return True

    def note_use(self, key: ApiKey) -> None:
        """Write down that a key was used; where that fails, the next use will be."""
        try:
            with self._catalogue.write(self._actor) as work:
                work.keys.note_use(key.key_id, self._noted.get(key.key_id) or clock.now())
        except StorageError as error:
            self._noted.pop(key.key_id, None)
            log.warning("that the key %s was used cannot be written down: %s", key.key_id, error)


def _id(text: str) -> str:
    key_id = id_in(text)
    if key_id is None:
        raise WrongKeyError("it is no whole key; copy all of it")
    return key_id


def _checked(key: ApiKey | None, text: str) -> ApiKey:
    if key is None or not key.is_of(text):
        raise WrongKeyError("it is not a key of this registry")
    ended = key.ended(clock.now())
    if ended is not None:
        raise WrongKeyError(f"it is {ended}")
    return key


def _valid(keys: list[ApiKey], wanted: str, now: datetime, every: bool = False) -> list[ApiKey]:
    """Return the valid keys that an id or a name means: the newest one, or every one."""
    found = [key for key in keys if wanted in (key.key_id, key.name) and key.ended(now) is None]
    by_id = [key for key in found if key.key_id == wanted and is_key_id(wanted)]
    if not found:
        raise KeyNotFoundError(wanted)
    return by_id or (found if every else found[-1:])


def _told(key: ApiKey) -> dict[str, object]:
    """Return what the audit log tells of a key (JSON values)."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": sorted(key.rights.scopes),
        "models": list(key.rights.models),
        "expires_at": clock.to_iso(key.expires_at),
    }
