"""What every format must do; see formats.protocol for the prose."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from ai_engine.formats.protocol import Format

Artifact = Callable[[Any], bytes]


class FormatContract:
    """Give it the fixtures `tested` and `artifact`: the format, and what turns an object into its bytes.

    What is turned into bytes are lists of bytes objects, numbers and texts.
    """

    OBJECTS: ClassVar[tuple[list[object], ...]] = (
        [],
        [1, "two", b"three"],
        [bytes([n % 256]) * 100_000 for n in range(4)],
    )

    @pytest.mark.parametrize("model", OBJECTS, ids=["empty", "small", "large"])
    def test_an_object_comes_back(self, tested: Format, artifact: Artifact, model: list[object]) -> None:
        """Each time another one, equal to the one that was saved."""
        view = memoryview(artifact(model))
        code = tested.code(view)
        first, second = tested.load(code, view), tested.load(code, view)
        assert first == second == model
        assert first is not second

    @pytest.mark.parametrize("model", OBJECTS, ids=["empty", "small", "large"])
    def test_a_plain_pickle_needs_nothing_of_ours(
        self, tested: Format, artifact: Artifact, model: list[object]
    ) -> None:
        """`pickle.loads` alone reads it."""
        view = memoryview(artifact(model))
        assert pickle.loads(tested.plain(tested.code(view), view)) == model

    def test_what_is_executed_is_a_copy(self, tested: Format, artifact: Artifact) -> None:
        """Whatever is written into the bytes later, in front or at the end."""
        data = bytearray(artifact([1, "two"]))
        code = tested.code(memoryview(data))
        assert bytes(data).startswith(code.head)
        assert bytes(data).endswith(code.tail)
        before = code
        for place in (0, len(data) - 1):
            data[place] ^= 0xFF
        assert code == before

    def test_bytes_of_another_format_are_all_code(self, tested: Format) -> None:
        """So that all of them are hashed, and the digest tells."""
        for data in (b"", b"x", b"no artifact" * 100):
            code = tested.code(memoryview(data))
            assert code.head + code.tail == data

    def test_it_has_a_name(self, tested: Format) -> None:
        """By which the catalogue calls it."""
        assert tested.name.isidentifier()
