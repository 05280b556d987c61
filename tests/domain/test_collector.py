"""The collector is as it was before, however its being held back ends."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest

from ai_engine.domain.collector import Uncollected


@pytest.fixture(autouse=True)
def on() -> Iterator[None]:
    assert gc.isenabled()
    yield
    gc.enable()


def test_it_is_off_and_then_as_it_was() -> None:
    for before in (gc.enable, gc.disable):
        before()
        was = gc.isenabled()
        uncollected = Uncollected()
        assert not gc.isenabled()
        uncollected.release()
        uncollected.release()
        assert gc.isenabled() is was


def test_what_is_forgotten_releases_it() -> None:
    def build() -> None:
        Uncollected()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build()
    assert gc.isenabled()


@pytest.mark.parametrize("first", [0, 1])
def test_whoever_of_two_ends_first_it_is_on_in_the_end(first: int) -> None:
    both = [Uncollected(), Uncollected()]
    both.pop(-first).release()
    both.pop().release()
    assert gc.isenabled()


def test_a_child_has_it_on_though_another_thread_was_building() -> None:
    holds, done = threading.Event(), threading.Event()

    def build() -> None:
        uncollected = Uncollected()
        holds.set()
        done.wait()
        uncollected.release()

    thread = threading.Thread(target=build)
    thread.start()
    holds.wait()
    assert not gc.isenabled()
    child = os.fork()
    if child == 0:
        os._exit(0 if gc.isenabled() else 1)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert gc.isenabled()
