"""What a process keeps of the models that it loaded: one object for all, within so many bytes."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import pytest

from ai_engine.registry.model_cache import ModelCache


class Model:
    """One that can be watched, as most objects of classes can."""


def never() -> object:
    raise AssertionError("it is here already")


def test_the_bytes_are_those_of_what_is_kept() -> None:
    loaded = ModelCache(100)
    for key in range(5):
        loaded.get(key, 40, Model)
        assert loaded.instruments.bytes == min(80, 40 * (key + 1))
    loaded.get(3, 40, never)
    loaded.forget(3)
    assert loaded.instruments.bytes == 40
    loaded.forget(3)
    assert loaded.instruments.bytes == 40
    assert (loaded.instruments.hits, loaded.instruments.misses) == (1, 5)


@pytest.mark.parametrize(("size", "first_stays"), [(50, True), (51, False)])
def test_exactly_so_many_bytes_are_kept(size: int, first_stays: bool) -> None:
    loaded = ModelCache(100)
    first = loaded.get("a", 50, lambda: ["a"])
    loaded.get("b", size, lambda: ["b"])
    assert (loaded.get("a", 50, lambda: ["again"]) is first) == first_stays


def test_the_least_recently_used_goes_first() -> None:
    loaded = ModelCache(2)
    lists = {key: loaded.get(key, 1, lambda: [0]) for key in "ab"}
    loaded.get("a", 1, never)
    loaded.get("c", 1, lambda: [0])
    assert loaded.get("a", 1, never) is lists["a"]
    assert loaded.get("b", 1, lambda: [0]) is not lists["b"]


def test_one_that_is_too_large_is_kept_until_the_next() -> None:
    loaded = ModelCache(1)
    large = loaded.get("large", 10, lambda: [0])
    assert loaded.get("large", 10, never) is large
    loaded.get("next", 10, lambda: [1])
    assert loaded.instruments.bytes == 10


def test_one_that_somebody_has_is_the_same_object_again() -> None:
    loaded = ModelCache(1)
    mine = loaded.get("mine", 1, Model)
    loaded.get("other", 1, Model)
    assert loaded.get("mine", 1, never) is mine
    number = id(mine)
    del mine
    gc.collect()
    assert id(loaded.get("mine", 1, never)) == number  # it is kept as one that was used
    loaded.get("other", 1, Model)
    gc.collect()
    assert isinstance(loaded.get("mine", 1, Model), Model)


def test_a_loading_that_fails_is_tried_again() -> None:
    loaded = ModelCache(10)
    with pytest.raises(ZeroDivisionError):
        loaded.get("a", 1, lambda: 1 // 0)
    assert loaded.instruments.bytes == 0
    assert loaded.get("a", 1, lambda: 5) == 5


def test_threads_that_ask_at_once_load_once() -> None:
    loaded = ModelCache(10)
    begun, go_on = threading.Event(), threading.Event()
    made: list[Model] = []

    def load() -> Model:
        begun.set()
        assert go_on.wait(30)
        made.append(Model())
        return made[-1]

    found: list[object] = []
    asked = threading.Semaphore(0)

    def ask(load: Callable[[], Model]) -> None:
        asked.release()
        found.append(loaded.get("a", 1, load))

    threads = [threading.Thread(target=ask, args=(load,)) for _ in range(4)]
    threads[0].start()
    assert begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    for _ in threads:
        asked.acquire()
    other = loaded.get("b", 1, Model)  # who asks for another one waits for nobody
    go_on.set()
    for thread in threads:
        thread.join()
    assert found == made * 4
    assert other is not made[0]
    assert loaded.instruments.bytes == 2
