"""A small generator of load: one request over and over on a few connections that stay open.

It costs a tenth of what the servers do, so that these are the bottleneck.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def request(method: str, path: str, port: int, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


@dataclass(frozen=True)
class Served:
    """What came of a second of load: answers a second, and the seconds that each took."""

    rate: float
    seconds: list[float]


def load(port: int, message: bytes, connections: int, duration: float) -> Served:
    return asyncio.run(_load(port, message, connections, duration))


async def _load(port: int, message: bytes, connections: int, duration: float) -> Served:
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + duration
    clients = [_Client(message, until, loop.create_future()) for _ in range(connections)]
    started = time.perf_counter()
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]  # bound now
    await asyncio.gather(*(client.done for client in clients))
    seconds = [one for client in clients for one in client.seconds]
    return Served(len(seconds) / (time.perf_counter() - started), seconds)


class _Client(asyncio.Protocol):
    """One connection: sends the next request when the answer to the last is whole."""

    def __init__(self, message: bytes, until: float, done: asyncio.Future[None]) -> None:
        self._message, self._until, self.done = message, until, done
        self.seconds: list[float] = []
        self._sent = 0.0
        self._answer = b""
        self._expected = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._answer, self._expected = b"", -1
        self._sent = time.perf_counter()
        self._transport.write(self._message)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._expected < 0:
            end = self._answer.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(self._answer, 0, end)
            if not self._answer.startswith(b"HTTP/1.1 200") or length is None:
                self.done.set_exception(AssertionError(self._answer.decode()))
                self._transport.close()
                return
            self._expected = end + 4 + int(length[1])
        if len(self._answer) >= self._expected:
            now = time.perf_counter()
            self.seconds.append(now - self._sent)
            if now < self._until:
                self._send()
            else:
                self._transport.close()
                self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server hung up"))
