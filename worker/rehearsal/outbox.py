"""Every event that a session sends goes through here: numbered, validated, made wrong, sent, recorded."""

from __future__ import annotations

import copy
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.rehearsal.conversation import Ids
from worker.rehearsal.faults import (
    After,
    Delay,
    Faults,
    HoldUntil,
    Instead,
    Omit,
    Patch,
    Received,
    Rule,
    Sent,
    SentOf,
    Where,
)
from worker.rehearsal.loop import Loop
from worker.rehearsal.schema import validate_server_event

Event = dict[str, Any]
BEFORE_CREATED = -1


@dataclass(frozen=True, slots=True)
class Entry:
    """One event and when it passed, in ms of the loop's clock. `place`: (response, index) of a response's."""

    at_ms: float
    event: Mapping[str, Any] = field(repr=False)
    place: tuple[int, int] | None = None

    @property
    def type(self) -> str:
        return str(self.event.get("type"))


@dataclass(slots=True)
class _Held:
    until: Where
    event: Event
    place: tuple[int, int] | None
    passed: Sequence[Where]


class Outbox:
    """Sends events, and applies the rules of `faults` to them.

    `perform` is given each action that is due, never while an event is being made: `settle` is called where the
    session's state is consistent.
    """

    def __init__(
        self,
        loop: Loop,
        ids: Ids,
        faults: Faults,
        send: Callable[[Mapping[str, Any]], None],
        perform: Callable[[After], None],
    ) -> None:
        self.sent: list[Entry] = []
        self.received: list[Entry] = []
        self.recording = True
        self.closed = False
        self._loop = loop
        self._ids = ids
        self._rules = faults.rules
        self._send = send
        self._perform = perform
        self._counts: Counter[str] = Counter()
        self._received_counts: Counter[str] = Counter()
        self._held: list[_Held] = []
        self._due: deque[After] = deque()
        self._settling = False

    def emit(self, kind: str, fields: Mapping[str, Any], place: tuple[int, int] | None = None) -> None:
        """Send one event (a deep copy: what is sent does not change afterwards)."""
        if self.closed:
            return
        event = {"type": kind, "event_id": self._ids.new("event"), **copy.deepcopy(dict(fields))}
        validate_server_event(event)
        self._counts[kind] += 1
        passed: list[Where] = [Sent(kind, None), Sent(kind, self._counts[kind])]
        if place is not None:
            passed.append(SentOf(*place))
        for rule in self._matching(passed):
            if isinstance(rule.do, Instead) and not self._instead(rule.do, event, place, passed):
                return
        self._pass_on(event, place, passed)

    def emit_raw(self, event: Mapping[str, Any]) -> None:
        """Send an event as it stands, unvalidated."""
        if not self.closed:
            self._record_and_send({"event_id": self._ids.new("event"), **event}, None)

    def accepted(self, response: int) -> None:
        """A create was accepted: the place before the response's first event."""
        self._after([SentOf(response, BEFORE_CREATED)])

    def handled(self, event: Mapping[str, Any], *, record: bool = True) -> None:
        """A client event was handled."""
        kind = str(event.get("type"))
        self._received_counts[kind] += 1
        if record and self.recording:
            self.received.append(Entry(self._loop.now_ms(), event))
        self._after([Received(kind, None), Received(kind, self._received_counts[kind])])

    def settle(self) -> None:
        """Perform what is due now."""
        if self._settling:
            return
        self._settling = True
        try:
            while self._due and not self.closed:
                self._perform(self._due.popleft())
        finally:
            self._settling = False

    def _matching(self, passed: Sequence[Where]) -> list[Rule]:
        return [rule for rule in self._rules if rule.place in passed]

    def _instead(
        self, action: Instead, event: Event, place: tuple[int, int] | None, passed: Sequence[Where]
    ) -> bool:
        """Apply it. False: the event is not sent now."""
        if isinstance(action, Patch):
            _merge(event, action.fields)
            return True
        if isinstance(action, Delay):
            self._loop.call_later(action.ms, lambda: self._late(event, place, passed))
        elif isinstance(action, HoldUntil):
            self._held.append(_Held(action.place, event, place, passed))
        else:
            assert isinstance(action, Omit)  # noqa: S101 - the type checker's exhaustiveness
        return False

    def _late(self, event: Event, place: tuple[int, int] | None, passed: Sequence[Where]) -> None:
        if not self.closed:
            self._pass_on(event, place, passed)
            self.settle()

    def _pass_on(self, event: Event, place: tuple[int, int] | None, passed: Sequence[Where]) -> None:
        self._record_and_send(event, place)
        self._after(passed)
        for held in [held for held in self._held if held.until in passed]:
            self._held.remove(held)
            self._pass_on(held.event, held.place, held.passed)

    def _record_and_send(self, event: Event, place: tuple[int, int] | None) -> None:
        if self.recording:
            self.sent.append(Entry(self._loop.now_ms(), event, place))
        self._send(event)

    def _after(self, passed: Sequence[Where]) -> None:
        for rule in self._matching(passed):
            if not isinstance(rule.do, Instead):
                self._schedule(rule.do, rule.after_ms)

    def _schedule(self, action: After, after_ms: float) -> None:
        if after_ms <= 0:
            self._due.append(action)
            return

        def perform() -> None:
            self._due.append(action)
            self.settle()

        self._loop.call_later(after_ms, perform)


def _merge(target: Event, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, Mapping) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        else:
            target[name] = value
