"""Sign the audit log's newest entry, and check that none was altered."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Final

from ai_engine.access.signing import SigningKey, is_signature
from ai_engine.catalogue.protocol import Catalogue
from ai_engine.domain import clock
from ai_engine.domain.audit import BEGINNING, AuditEvent, AuditHead, AuditSeal, broken_at, seal_message
from ai_engine.domain.errors import SigningKeyError, StorageError

log = logging.getLogger(__name__)

# Entries that are read at a time.
_AT_A_TIME: Final = 1000
# What is refused again within so many seconds is not written down again.
_REFUSED_AGAIN: Final = 60.0
_MOST_REFUSED: Final = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the log found.

    Attributes
    ----------
    entries : int
        How many were followed.
    head : AuditHead
        The last entry up to which the chain holds.
    sealed : AuditHead or None
        The newest signed head.
    problems : tuple of str
        What is wrong; none where nothing is.
    """

    entries: int
    head: AuditHead
    sealed: AuditHead | None
    problems: tuple[str, ...]


def seal(catalogue: Catalogue, key: SigningKey) -> AuditSeal | None:
    """Sign the newest entry, keep the signature and log it; None where that entry is signed already.

    Raises
    ------
    StorageError
        If the catalogue does not answer.
    """
    with catalogue.read() as snapshot:
        head, newest = snapshot.audit.head(), snapshot.audit.newest_seal()
    if head == BEGINNING or (newest is not None and newest.head == head):
        return None
    at = clock.now()
    made = AuditSeal(head, at, key.public, key.sign(seal_message(head, at)))
    with catalogue.write() as work:
        work.audit.add_seal(made)
    log.info("the audit log's newest entry is %s; signature %s", head, made.signature.hex())
    return made


class Sealer:
    """Signs the newest entry now and then.

    Parameters
    ----------
    catalogue : Catalogue
        Whose log it is.
    keys : callable
        Returns the keys, and makes one where there is none.
    """

    def __init__(self, catalogue: Catalogue, keys: Callable[[], Sequence[SigningKey]]) -> None:
        self._catalogue, self._keys = catalogue, keys
        self._told = False

    def seal(self) -> None:
        """Sign the newest entry, unless it is signed; what keeps from it is logged once."""
        try:
            seal(self._catalogue, self._keys()[0])
        except (StorageError, SigningKeyError) as error:
            if not self._told:
                log.warning(
                    "the audit log is not signed: %s. AI_ENGINE_SIGNING_KEY names another file", error
                )
            self._told = True


class Refusals:
    """Writes down who tried what they have no right to, each once a minute: nobody fills the disk by it.

    Parameters
    ----------
    catalogue : Catalogue
        Whose log it is.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._noted: OrderedDict[tuple[str, str, str | None], float] = OrderedDict()

    def note(self, actor: str, action: str, model: str | None, code: str, now: float | None = None) -> None:
        """Write down a refusal, as far as that can be done; blocks."""
        moment = time.monotonic() if now is None else now
        which = actor, action, model
        with self._lock:
            last = self._noted.get(which)
            if last is not None and moment - last < _REFUSED_AGAIN:
                return
            self._noted[which] = moment
            self._noted.move_to_end(which)
            if len(self._noted) > _MOST_REFUSED:
                self._noted.popitem(last=False)
        try:
            with self._catalogue.write(actor) as work:
                work.audit.append(AuditEvent(action, model, outcome=code))
        except StorageError as error:
            log.warning("that %s was refused %s cannot be written down: %s", actor, action, error)


def verify(
    catalogue: Catalogue, keys: Container[bytes] | None = None, known: AuditHead | None = None
) -> Verdict:
    """Follow the log from its first entry to its last, and check what was signed of it.

    Parameters
    ----------
    keys : container of bytes or None
        The public keys of which one has to have signed; None: any.
    known : AuditHead or None
        An entry that somebody wrote down elsewhere, as the log of a server has it: by it a log whose end was
        cut off is known.
    """
    problems = []
    with catalogue.read() as snapshot:
        seals = snapshot.audit.seals()
        wanted = {one.head.seq: one.head.digest for one in seals}
        if known is not None:
            wanted[known.seq] = known.digest
        head, entries = BEGINNING, 0
        while batch := snapshot.audit.following(head.seq, _AT_A_TIME):
            before = head
            head, broken = broken_at(head, batch)
            entries += head.seq - before.seq
            for entry in batch:
                expected = wanted.get(entry.seq)
                if entry.seq <= head.seq and expected is not None and expected != entry.digest:
                    problems.append(f"entry {entry.seq} is not the one that was signed or written down")
            if broken is not None:
                problems.append(
                    f"entry {head.seq + 1} was altered or removed, or one was put before it: entry "
                    f"{broken.seq} does not follow the one before"
                )
                break
        else:
            problems += [
                f"entry {seq} was signed or written down and is missing: the end of the log was cut off"
                for seq in sorted(wanted)
                if seq > head.seq
            ]
    for one in seals:
        if not is_signature(one.public_key, one.signature, one.message()):
            problems.append(f"the signature of entry {one.head.seq} is wrong")
        elif keys is not None and one.public_key not in keys:
            problems.append(f"entry {one.head.seq} was signed with another key, {one.public_key.hex()}")
    return Verdict(entries, head, seals[-1].head if seals else None, tuple(problems))
