"""What users save is what they load, whatever its type and whatever its bytes come to.

Sizes are drawn around the thresholds: from which on a buffer stands beside the pickle, and up to which an
artifact rides in the commit of its version. Every example goes through `ModelManager`, as a user's would.
"""

from __future__ import annotations

import pickle
import warnings
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from ai_engine.formats.serializer import SMALL
from ai_engine.models import ModelManager
from tests.formats.objects import Counting, Frozen, Node, Picky, Slotted, Text

BUFFER = 64 * 1024
# Each threshold from both sides, with room for what a pickle adds; and between.
SIZES = sorted(
    {
        *(0, 1, 8, 1000, 100_000, 200_000, 700_000),
        *(BUFFER + d for d in (-1000, -256, -128, -16, -8, -1, 0, 1, 8, 16, 128, 256)),
        *(SMALL + d for d in (-1000, -512, -256, -200, -150, -128, -64, -16, -8, -1, 0, 1, 8, 16, 128)),
    }
)
DTYPES = ("u1", "i2", "<f4", ">f4", "f8", "c16", "?", "M8[ns]", "m8[s]", "S7", "U3", "f2")
PROPERTY = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelManager]:
    with ModelManager(tmp_path_factory.mktemp("round-trips")) as manager:
        yield manager


def round_trip(manager: ModelManager, model: object) -> Any:
    """Save a model and return what is loaded; the file of a small one has to be a plain pickle."""
    model_id = manager.save_model("model", model)
    (entry,) = manager.get_model_info("model", limit=1)["models"]
    assert entry["model_id"] == model_id
    if (entry["size"] or 0) <= SMALL:
        with open(str(entry["model_path"]), "rb") as file:
            pickle.load(file)
    return manager.get_model("model")


def same(left: object, right: object) -> bool:
    """Tell whether two arrays have the same bytes, type and shape, and may be written or not alike."""
    assert isinstance(left, np.ndarray)
    assert isinstance(right, np.ndarray)
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and left.flags.writeable == right.flags.writeable
        and left.tobytes() == right.tobytes()
    )


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Arrays of about so many bytes, in every order."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    count = draw(st.sampled_from(SIZES)) // dtype.itemsize
    raw = np.arange(count * dtype.itemsize, dtype="u1") % 2
    flat = raw.view(dtype) if count else np.empty(0, dtype)
    order = draw(st.sampled_from(("flat", "C", "F", "strided", "backwards", "broadcast", "view", "readonly")))
    if order in ("C", "F") and count:
        rows = draw(st.sampled_from([n for n in (1, 2, 3, 5, 7, 64) if count % n == 0]))
        table = flat.reshape(rows, -1)
        return table.copy("F") if order == "F" else table.copy("C")
    if order == "strided":
        return flat[::2]
    if order == "backwards":
        return flat[::-1]
    if order == "broadcast" and count:
        return np.broadcast_to(flat[:1], (count,))
    if order == "view":
        return flat[1:]
    if order == "readonly":
        flat = flat.copy()
        flat.flags.writeable = False
    return flat


@PROPERTY
@given(array=arrays())
@example(array=np.zeros(8192))  # of 64 KiB, which could not be saved
@example(array=np.zeros((181, 181)).T)
def test_an_array(manager: ModelManager, array: np.ndarray[Any, Any]) -> None:
    # Plain pickling makes an array that cannot be written of a broadcast one or not, and so do we.
    expected = pickle.loads(pickle.dumps(array, protocol=5))
    assert same(round_trip(manager, array), expected)


@PROPERTY
@given(
    parts=st.lists(st.sampled_from(SIZES), max_size=6),
    kind=st.sampled_from(("array", "bytes", "bytearray", "str")),
)
def test_many_parts(manager: ModelManager, parts: list[int], kind: str) -> None:
    make: Callable[[int], Any] = {
        "array": lambda n: np.full(n, 7, "u1"),
        "bytes": lambda n: b"\x07" * n,
        "bytearray": lambda n: bytearray(b"\x07") * n,
        "str": lambda n: "é" * (n // 2),
    }[kind]
    model = {index: make(size) for index, size in enumerate(parts)}
    loaded = round_trip(manager, model)
    assert list(loaded) == list(model)
    for index, part in model.items():
        assert type(loaded[index]) is type(part)
        assert (same(loaded[index], part)) if kind == "array" else loaded[index] == part


@PROPERTY
@given(size=st.sampled_from(SIZES), writable=st.booleans())
def test_a_buffer_of_ones_own(manager: ModelManager, size: int, writable: bool) -> None:
    """A class that hands out a PickleBuffer gets it back as bytes, or as a bytearray."""
    raw = bytearray(b"x") * size if writable else b"x" * size
    loaded = round_trip(manager, pickle.PickleBuffer(raw))
    assert bytes(loaded) == raw


@PROPERTY
@given(
    rows=st.sampled_from([0, 1, 10, 2_000, 4_095, 4_096, 4_097, 8_192, 10_922, 16_383, 16_384, 30_000]),
    kind=st.sampled_from(("frame", "series", "category", "index", "text", "nullable", "moments", "multi")),
)
def test_a_frame(manager: ModelManager, rows: int, kind: str) -> None:
    numbers = np.arange(rows, dtype="f8")
    made: Any = {
        "frame": lambda: pd.DataFrame({"a": numbers, "b": numbers.astype("i4"), "c": numbers > 3}),
        "series": lambda: pd.Series(numbers, name="cpu"),
        "category": lambda: pd.Series(np.where(numbers % 2 == 0, "even", "odd"), dtype="category"),
        "index": lambda: pd.DataFrame({"a": numbers}, index=pd.date_range("2026", periods=rows, freq="min")),
        "text": lambda: pd.DataFrame({"a": [f"vm-{n}" for n in range(rows)]}),
        "nullable": lambda: pd.DataFrame({"a": pd.array([None, *range(1, rows)][:rows], dtype="Int64")}),
        "moments": lambda: pd.Series(pd.date_range("2026", periods=rows, freq="s", tz="UTC")),
        "multi": lambda: pd.DataFrame(
            {"a": numbers}, index=pd.MultiIndex.from_arrays([numbers // 10, numbers % 10])
        ),
    }[kind]()
    loaded = round_trip(manager, made)
    compare = (
        pd.testing.assert_frame_equal if isinstance(made, pd.DataFrame) else pd.testing.assert_series_equal
    )
    compare(loaded, made)


@PROPERTY
@given(
    count=st.sampled_from([0, 1, 100, 5_461, 8_191, 8_192, 10_922, 21_845, 40_000]),
    form=st.sampled_from("csr csc coo lil dok bsr dia".split()),
)
def test_a_sparse_matrix(manager: ModelManager, count: int, form: str) -> None:
    if form in ("lil", "dok", "dia"):  # slow to make, and for few
        count = min(count, 50 if form == "dia" else 2_000)
    dense = sp.coo_array((np.ones(count), (np.arange(count), np.arange(count) % 7)), shape=(count + 1, 7))
    made: Any = getattr(dense, f"to{form}")()
    loaded = round_trip(manager, made)
    assert loaded.format == form
    assert (loaded.tocoo() != made.tocoo()).nnz == 0


ESTIMATORS = sorted(all_estimators(), key=lambda pair: pair[0])
TABLE = np.random.default_rng(0).normal(size=(30, 4))
# For those who want a table of another kind.
TABLES: dict[str, Any] = {
    "positive": np.abs(TABLE) + 0.1,
    "classes": np.arange(30) % 3,
    "two": np.arange(30) % 2,
    "numbers": TABLE @ np.array([1.0, 2.0, 0.5, 0.0]),
    "many": np.column_stack([TABLE[:, 0], TABLE[:, 1]]),
    "labels": np.eye(3, dtype=int)[np.arange(30) % 3],
    "texts": [f"word{n % 5} other{n % 3}" for n in range(30)],
    "column": np.sort(TABLE[:, 0]),
}


def fitted(kind: type[Any]) -> Any | None:
    """Return an estimator fitted on whichever table it takes; None where it takes none of them."""
    made = next((one for one in (_made(kind, *others) for others in OTHERS) if one is not None), None)
    tries = [
        (TABLE, TABLES["classes"]),
        (TABLES["positive"], TABLES["classes"]),
        (TABLE, TABLES["numbers"]),
        (TABLES["positive"], np.abs(TABLES["numbers"]) + 1),
        (TABLE, TABLES["many"]),
        (TABLE, TABLES["labels"]),
        (TABLES["texts"], TABLES["two"]),
        (TABLES["column"], TABLES["numbers"]),
        (TABLE @ TABLE.T, TABLES["classes"]),
        ([{"a": n, "b": 1.0} for n in range(9)], None),
        ([[n % 3, 4] for n in range(9)], None),
        (TABLES["classes"], None),
    ]
    if made is None:
        return None
    for rows, target in tries:
        try:
            return made.fit(rows, target) if target is not None else made.fit(rows)
        except (TypeError, ValueError, AttributeError, IndexError):
            continue
    return None


# What those estimators are made of that are made of others.
OTHERS: list[tuple[object, ...]] = [
    (),
    (LogisticRegression(),),
    ([("one", LogisticRegression()), ("two", DecisionTreeClassifier())],),
    ([("one", StandardScaler()), ("two", LogisticRegression())],),
    ([("one", StandardScaler(), [0, 1])],),
    (Ridge(), {"alpha": [0.1, 1.0]}),
]


def _made(kind: type[Any], *others: object) -> Any | None:
    try:
        made = kind(*others)
        if kind is TSNE:
            made.set_params(perplexity=5, init="random")
        if others or not {"estimator", "base_estimator"} & set(made.get_params(deep=False)):
            return made
    except TypeError:
        pass
    return None


@pytest.mark.parametrize("kind", [kind for _, kind in ESTIMATORS], ids=[name for name, _ in ESTIMATORS])
def test_an_estimator(manager: ModelManager, kind: type[Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = fitted(kind)
        if model is None:
            NOT_FITTED.add(kind.__name__)
            return
        loaded = round_trip(manager, model)
        # What plain pickling makes of it is the measure: not every estimator compares.
        expected = pickle.loads(pickle.dumps(model, protocol=5))
        assert pickle.dumps(loaded, protocol=5) == pickle.dumps(expected, protocol=5)


NOT_FITTED: set[str] = set()


def test_only_few_estimators_fit_none_of_the_tables() -> None:
    """Runs behind those above in one process, or sees only some of them: never more than these few."""
    assert len(NOT_FITTED) <= 20, NOT_FITTED


class Colour(Enum):
    RED = "red"


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sampled_from(
        (
            Colour.RED,
            Decimal("1.5"),
            Fraction(1, 3),
            UUID(int=7),
            date(2026, 1, 1),
            datetime(2026, 1, 1, tzinfo=UTC),
            timedelta(seconds=1),
            PurePosixPath("/a"),
            range(3),
            slice(1, 2),
            complex(1, 2),
            Ellipsis,
            NotImplemented,
            int,
            len,
            np.float64(1.5),
            np.dtype("f4"),
        )
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.builds(Slotted, inner, inner)
        | st.builds(Frozen, inner)
        | st.lists(inner, max_size=4).map(deque)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3).map(OrderedDict)
    ),
    max_leaves=12,
)


@PROPERTY
@given(model=PLAIN, padding=st.sampled_from((0, BUFFER, SMALL, SMALL + 1)))
def test_nested_objects(manager: ModelManager, model: object, padding: int) -> None:
    if model is None and not padding:
        return  # get_model answers None where there is nothing
    assert round_trip(manager, [model, bytes(padding)]) == [model, bytes(padding)]


@pytest.mark.parametrize("padding", [0, 70_000, 300_000])
def test_objects_that_refer_to_themselves_and_to_each_other(manager: ModelManager, padding: int) -> None:
    node = Node("a")
    node.others.append(node)
    shared = np.zeros(padding // 8)
    loops: list[Any] = [shared, shared, node]
    loops.append(loops)
    loaded = round_trip(manager, loops)
    assert loaded[3] is loaded
    assert loaded[2].others == [loaded[2]] or loaded[2].others[0] is loaded[2]
    assert loaded[0] is loaded[1]


@pytest.mark.parametrize("size", [0, 10, 70_000, 300_000])
def test_classes_that_say_how_they_are_pickled(manager: ModelManager, size: int) -> None:
    text = Text("cpu")
    text.note = bytes(size)
    picky = Picky(size)
    picky.state = bytearray(size)
    counts = defaultdict(list, {"a": [size]})
    loaded = round_trip(manager, [text, picky, counts, Counter("aab")])
    assert loaded == [text, picky, counts, Counter("aab")]
    assert loaded[0].note == bytes(size)
    assert loaded[2].default_factory is list


@pytest.mark.parametrize("size", SIZES)
def test_an_object_is_asked_once_for_its_state(manager: ModelManager, size: int) -> None:
    Counting.asked = 0
    loaded = round_trip(manager, Counting(np.zeros(size, "u1")))
    assert Counting.asked == 1
    assert loaded.payload.nbytes == size


@pytest.mark.parametrize("size", SIZES)
def test_registering_again_finds_equal_bytes(manager: ModelManager, size: int) -> None:
    model = {"weights": np.full(size, 3, "u1")}
    manager.register_model(f"registered-{size}", model)
    manager.register_model(f"registered-{size}", model)
    assert manager.model_versions[f"registered-{size}"] == ["1.0.0"]
    assert manager.registry.health().in_memory_only == 0
