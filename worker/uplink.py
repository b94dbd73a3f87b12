"""The caller's audio on its way to the model: kept until it is answered, so that a new connection can hear it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

KEEP_MS = 30_000.0


class Uplink:
    """Positions are milliseconds of the caller's audio since the stream began."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, str]] = deque()
        self._position_ms = 0.0
        self._send: Callable[[str], None] | None = None

    def receive(self, payload: str, duration_ms: float) -> None:
        """One frame from the carrier (base64 µ-law)."""
        self._kept.append((self._position_ms, payload))
        self._position_ms += duration_ms
        if self._kept[0][0] < self._position_ms - KEEP_MS:
            self._kept.popleft()
        if self._send is not None:
            self._send(payload)

    def open(self, from_ms: float, send: Callable[[str], None]) -> None:
        """Send what is kept since `from_ms`, then every frame as it comes."""
        for position, payload in self._kept:
            if position >= from_ms:
                send(payload)
        self._send = send

    def close(self) -> None:
        """The connection is gone; frames are only kept."""
        self._send = None

    def forget(self, until_ms: float) -> None:
        """The audio before `until_ms` is answered."""
        while self._kept and self._kept[0][0] < until_ms:
            self._kept.popleft()
