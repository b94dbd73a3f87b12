"""A gate with a number of places, which are given in the order in which they were asked for.

SQLAlchemy's pool wakes a waiter and lets whoever comes by take the connection first; the waiter goes to the end of
the line. With hundreds of requests at once some never get one. Behind this gate nobody has to wait at the pool.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class GateTimeout(Exception):
    """No place became free in time."""


class FairGate:
    """For threads, and for greenlets where `threading` is patched."""

    def __init__(self, places: int, patience_s: float) -> None:
        self._free = places
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._line: deque[threading.Event] = deque()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place, and have it for the block. Raises GateTimeout."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Event()
            self._line.append(turn)
        try:
            if not turn.wait(self._patience_s):
                raise GateTimeout
        except BaseException:  # also a deadline of the caller's, or its greenlet was killed
            self._give_up(turn)
            raise

    def _give_up(self, turn: threading.Event) -> None:
        with self._lock:
            waiting = turn in self._line
            if waiting:
                self._line.remove(turn)
        if not waiting:
            self._leave()  # it was given in the meantime

    def _leave(self) -> None:
        """The place goes to the first in the line, without having been free: nobody can come in between."""
        with self._lock:
            if self._line:
                self._line.popleft().set()
            else:
                self._free += 1
