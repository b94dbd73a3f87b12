"""One writer a socket: a bounded queue and the greenlet that empties it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gevent.event import Event


class OutboxFullError(Exception):
    """The peer has stopped reading."""


@dataclass(frozen=True, slots=True)
class _Message:
    data: str | bytes
    droppable: bool
    sent: Callable[[], None] | None


class Outbox:
    """`put` never blocks; `run` is the writer and returns after `close` when all is sent."""

    def __init__(self, send: Callable[[str | bytes], None], most: int) -> None:
        """`most`: messages that may wait. `send` may block and may raise: then `run` raises."""
        self._send = send
        self._most = most
        self._waiting: deque[_Message] = deque()
        self._ready = Event()
        self._closed = False

    def put(self, data: str | bytes, *, droppable: bool = False) -> None:
        """Queue a message. `droppable`: `overtake` throws it away. Raises `OutboxFullError`."""
        if len(self._waiting) >= self._most:
            raise OutboxFullError
        self._waiting.append(_Message(data, droppable, None))
        self._ready.set()

    def overtake(self, data: str | bytes, sent: Callable[[], None]) -> None:
        """Drop what is droppable and send this before all else; `sent` is called when the socket has it."""
        kept = [message for message in self._waiting if not message.droppable]
        self._waiting = deque([_Message(data, droppable=False, sent=sent), *kept])
        self._ready.set()

    def close(self) -> None:
        """What waits is still sent; then `run` returns."""
        self._closed = True
        self._ready.set()

    def run(self) -> None:
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                self._send(message.data)
                if message.sent is not None:
                    message.sent()
            if self._closed:
                return
            self._ready.clear()
            self._ready.wait()
