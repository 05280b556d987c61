"""Who holds a connection's slot, as each thread is told it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from ai_engine.catalogue.sqlite.connections import Slot


def test_a_slot_tells_only_who_holds_it() -> None:
    slot = Slot()
    assert not slot.is_held_here
    hold = slot.hold()
    with ThreadPoolExecutor(1) as another:
        assert slot.is_held_here
        assert not another.submit(lambda: slot.is_held_here).result()
        hold.release()
        assert not slot.is_held_here
        theirs = another.submit(slot.hold).result()
        assert not slot.is_held_here
        assert another.submit(lambda: slot.is_held_here).result()
        theirs.release()


def test_who_held_it_before_is_not_taken_for_who_has_just_taken_it() -> None:
    """Between the taking and the noting of who took it another thread may ask."""
    slot = Slot()
    slot.hold().release()
    with slot.lock:  # as somebody else has it who has noted nothing yet
        assert not slot.is_held_here


def test_a_slot_is_held_once_by_threads_that_take_turns() -> None:
    slot, wrong = Slot(), []
    begin = threading.Barrier(2)

    def take_turns() -> None:
        begin.wait()
        for _ in range(20_000):
            if slot.is_held_here:
                wrong.append("before")
            hold = slot.hold()
            if not slot.is_held_here:
                wrong.append("while")
            hold.release()

    threads = [threading.Thread(target=take_turns) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
