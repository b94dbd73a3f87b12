"""A call's timeline on its way to the database: gathered in memory, written about once a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import gevent
import structlog

from app.domain.calls import TimelineEntry
from app.errors import CalendarUnavailable

log = structlog.get_logger(__name__)

FLUSH_EVERY_S = 1.0
LAST_TRIES = 3


class TimelineStore(Protocol):
    """The calls service, as the timeline uses it."""

    def append_timeline(self, business_id: int, call_id: int, entries: Sequence[TimelineEntry]) -> None: ...


class Timeline:
    """Entries that can't be written stay until they can; what is lost at the very end is logged by number."""

    def __init__(self, store: TimelineStore, business_id: int, call_id: int) -> None:
        self._store = store
        self._business_id = business_id
        self._call_id = call_id
        self._entries: list[TimelineEntry] = []

    def add(self, entry: TimelineEntry) -> None:
        self._entries.append(entry)

    def run(self) -> None:
        """Write about once a second, until killed."""
        while True:
            gevent.sleep(FLUSH_EVERY_S)
            self._flush()

    def finish(self) -> None:
        """The call is over: write the rest."""
        for _ in range(LAST_TRIES):
            if self._flush():
                return
            gevent.sleep(FLUSH_EVERY_S)
        log.error("timeline entries lost", call_id=self._call_id, entries=len(self._entries))

    def _flush(self) -> bool:
        batch = self._entries[:]
        if not batch:
            return True
        try:
            self._store.append_timeline(self._business_id, self._call_id, batch)
        except CalendarUnavailable:
            return False
        del self._entries[: len(batch)]
        return True
