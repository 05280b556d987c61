"""What changes its size between the moment at which its length is written and that at which it is."""

from __future__ import annotations

import pickle
import struct

import pytest

from ai_engine import SerializationError
from ai_engine.formats.serializer import SMALL, dump


class Growing:
    """Where bytes go; once the length of a buffer has come, somebody adds to the buffer."""

    def __init__(self, buffer: bytearray, by: int) -> None:
        self.buffer, self.by = buffer, by
        self.taken = b""

    def write(self, data: bytes | memoryview) -> int:
        self.taken += data
        if self.taken.endswith(struct.pack("<Q", len(self.buffer))):
            self.buffer.extend(bytes(self.by))
        return len(data)


@pytest.mark.parametrize("by", [0, 1])
def test_a_bytearray_that_grows_while_it_is_saved_is_refused(by: int) -> None:
    buffer = bytearray(300_000)
    sink = Growing(buffer, by)
    model = [bytes(SMALL + 1), buffer]
    if by:
        with pytest.raises(SerializationError, match="another size"):
            dump("cpu", model, lambda: sink)
    else:
        assert dump("cpu", model, lambda: sink).data is None
        assert pickle.loads(sink.taken) == model
