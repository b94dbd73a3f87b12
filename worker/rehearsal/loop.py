"""Time, as the protocol half sees it: timers and jobs. No gevent here; `server` has the real loop."""

from __future__ import annotations

import heapq
import itertools
import traceback
from collections.abc import Callable
from typing import Any, Protocol

Callback = Callable[[], None]


class Timer(Protocol):
    """A pending callback."""

    def cancel(self) -> None:
        """Make sure that it is not called any more. Harmless when it was."""


class Loop(Protocol):
    """What a session needs of the world. Callbacks never run inside the call that asked for them."""

    def now_ms(self) -> float:
        """A monotonic clock."""

    def call_later(self, delay_ms: float, callback: Callback) -> Timer:
        """Call it after the delay."""

    def run(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run a job that may block, then hand its result to `done`: the exception itself, if it raised."""


class _Entry:
    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualLoop:
    """A loop whose time passes only in `advance`: sessions without sockets, greenlets or waiting."""

    def __init__(self) -> None:
        self._now = 0.0
        self._heap: list[tuple[float, int, _Entry]] = []
        self._order = itertools.count()

    def now_ms(self) -> float:
        return self._now

    def call_later(self, delay_ms: float, callback: Callback) -> Timer:
        entry = _Entry(callback)
        heapq.heappush(self._heap, (self._now + max(0.0, delay_ms), next(self._order), entry))
        return entry

    def run(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.call_later(0, lambda: done(outcome(job)))

    def advance(self, ms: float) -> None:
        """Let so much time pass, and everything happen that is due in it, in order."""
        end = self._now + ms
        while self._heap and self._heap[0][0] <= end:
            self._now, _, entry = heapq.heappop(self._heap)
            if entry.callback is not None:
                entry.callback()
        self._now = end


def outcome(job: Callable[[], Any]) -> Any:
    """The job's result, or its exception, returned: for `Loop.run`."""
    try:
        return job()
    except Exception as error:  # noqa: BLE001 - handed to `done`, which answers for it
        return error


def raised_at(error: Exception) -> str:
    """Where it was raised, `file:line`: what a log may say of an exception without its text."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
