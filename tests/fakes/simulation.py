"""A call in virtual time: the machine between a model of the Realtime API and a model of the phone.

The API model refuses what the real one refuses (docs/protocols.md) and remembers every refusal. Everything happens
in a queue of (time, action): no clock, no sleep, thousands of calls a second.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from worker.call import commands as cmd
from worker.call import events as ev
from worker.call.context import CallConfig
from worker.call.machine import CallMachine

Action = Callable[[], None]


class Cancelling(Enum):
    """How the API answers a cancel of an active response."""

    DONE = "done"
    NEVER = "never"
    COMPLETED_THEN_REFUSED = "completed, then not_active with our event_id"
    COMPLETED_THEN_REFUSED_NULL = "completed, then not_active with event_id null"
    REFUSED_THEN_COMPLETED = "not_active first, then completed"


@dataclass
class Item:
    item_id: str
    generated_ms: float = 0.0
    kind: str = "message"
    truncated_to: int | None = None
    deleted: bool = False


@dataclass
class FakeResponse:
    response_id: str
    create_id: str
    created_at: float
    items: list[Item] = field(default_factory=list)
    done: bool = False
    status: str = ""
    cancelled: bool = False


@dataclass
class Script:
    """What one response says: pieces of audio, each with its text; tool calls after them; how it ends."""

    pieces_ms: tuple[float, ...] = (400.0, 400.0, 400.0)
    calls: tuple[str, ...] = ()
    status: str = "completed"
    created_after: float = 90.0
    piece_after: float = 20.0


class FakeApi:
    """One Realtime session: at most one active response, items with as much audio as was generated."""

    def __init__(self, world: World, generation: int) -> None:
        self.world = world
        self.generation = generation
        self.active: FakeResponse | None = None
        self.responses: list[FakeResponse] = []
        self.items: dict[str, Item] = {}
        self.events = 0

    def emit(self, event: ev.Event) -> None:
        self.events += 1
        self.world.server_event(event)

    def error(self, code: str, event_id: str | None, *, refusal: bool) -> None:
        if refusal:
            self.world.refusals.append(code)
        self.emit(ev.ApiError(self.world.now, self.generation, code, event_id))

    def create(self, command: cmd.CreateResponse) -> None:
        if self.active is not None:
            self.error("conversation_already_has_active_response", command.event_id, refusal=True)
            return
        world = self.world
        number = world.next_id()
        response = FakeResponse(f"resp_{number}", command.create_id, world.now)
        script = world.scripts.pop(0) if world.scripts else Script()
        self.active = response
        self.responses.append(response)
        world.responses.append(response)
        steps: list[tuple[float, Action]] = []
        at = script.created_after
        created = ev.ResponseCreated
        steps.append(
            (at, lambda: self.emit(created(world.now, self.generation, response.response_id, response.create_id)))
        )
        item = Item(f"item_{number}")
        if script.pieces_ms:
            steps.append((at, lambda: self.add(response, item)))
        for piece in script.pieces_ms:
            at += script.piece_after
            steps.append((at, lambda piece=piece: self.speak(response, item, piece)))  # type: ignore[misc]
        calls = tuple(
            ev.FunctionCall(f"call_item_{number}_{n}", f"call_{number}_{n}", name, "{}")
            for n, name in enumerate(script.calls)
        )
        for call in calls:
            steps.append((at, lambda call=call: self.add(response, Item(call.item_id, kind="function_call"))))  # type: ignore[misc]
        steps.append((at, lambda: self.finish(response, script.status, calls)))
        for delay, step in steps:
            world.later(delay, lambda step=step: self.unless_over(response, step))  # type: ignore[misc]

    def unless_over(self, response: FakeResponse, step: Action) -> None:
        if not response.done and self.world.api is self and not response.cancelled:
            step()

    def add(self, response: FakeResponse, item: Item) -> None:
        self.items[item.item_id] = item
        response.items.append(item)
        self.emit(ev.ItemAdded(self.world.now, self.generation, response.response_id, item.item_id, item.kind))

    def speak(self, response: FakeResponse, item: Item, ms: float) -> None:
        now, rid = self.world.now, response.response_id
        self.emit(ev.TranscriptDelta(now, self.generation, rid, item.item_id, "words and words "))
        item.generated_ms += ms
        self.emit(ev.AudioDelta(now, self.generation, rid, item.item_id, 0, str(ms), ms))

    def finish(
        self, response: FakeResponse, status: str, calls: tuple[ev.FunctionCall, ...] = (), why: str | None = None
    ) -> None:
        response.done, response.status = True, status
        if self.active is response:
            self.active = None
        ids = tuple(item.item_id for item in response.items)
        state = ev.ResponseStatus(status)
        self.emit(ev.ResponseDone(self.world.now, self.generation, response.response_id, state, ids, calls, why))

    def cancel(self, command: cmd.CancelResponse) -> None:
        world, active, mode = self.world, self.active, self.world.cancelling
        asked = active is not None and command.response_id in (None, active.response_id)
        if active is None or not asked or active.cancelled:
            if mode is not Cancelling.NEVER:
                world.later(
                    world.cancel_ms,
                    lambda: self.error("response_cancel_not_active", command.event_id, refusal=False),
                )
            return
        active.cancelled = True
        world.later(world.cancel_ms, lambda: self.answer_cancel(active, command.event_id, mode))

    def answer_cancel(self, response: FakeResponse, event_id: str, mode: Cancelling) -> None:
        if self.world.api is not self or mode is Cancelling.NEVER:
            return
        if mode is Cancelling.DONE:
            self.finish(response, "cancelled", why="client_cancelled")
            return
        told = None if mode is Cancelling.COMPLETED_THEN_REFUSED_NULL else event_id
        if mode is Cancelling.REFUSED_THEN_COMPLETED:
            self.active = None
            self.error("response_cancel_not_active", told, refusal=False)
            self.finish(response, "completed")
        else:
            self.finish(response, "completed")
            self.error("response_cancel_not_active", told, refusal=False)

    def truncate(self, command: cmd.TruncateItem) -> None:
        item = self.items.get(command.item_id)
        if item is None or item.deleted or not 0 <= command.audio_end_ms <= item.generated_ms:
            self.error("invalid_value", command.event_id, refusal=True)
            return
        item.truncated_to = command.audio_end_ms

    def delete(self, command: cmd.DeleteItem) -> None:
        item = self.items.get(command.item_id)
        if item is None or item.deleted:
            self.error("item_not_found", command.event_id, refusal=True)
            return
        item.deleted = True


class FakePhone:
    """The carrier's buffer: plays in real time, echoes marks, and echoes all of them at once on `clear`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ends_at = 0.0
        self.queue: list[tuple[float, float]] = []  # (begins, ends)
        self.heard_ms = 0.0
        self.clears = 0
        self._pending: dict[int, str] = {}
        self._serial = itertools.count()

    def play(self, ms: float) -> None:
        begins = max(self.world.now, self.ends_at)
        self.ends_at = begins + ms
        self.queue.append((begins, self.ends_at))

    def mark(self, name: str) -> None:
        serial = next(self._serial)
        self._pending[serial] = name
        self.world.later(max(0.0, self.ends_at - self.world.now), lambda: self._echo(serial))

    def _echo(self, serial: int) -> None:
        name = self._pending.pop(serial, None)
        if name is not None:
            self.world.receive(ev.MarkReturned(self.world.now, name))

    def clear(self) -> None:
        now = self.world.now
        self.clears += 1
        self.queue = [(begins, min(ends, now)) for begins, ends in self.queue if begins < now]
        self.ends_at = now
        for serial in list(self._pending):
            self.world.later(0.0, lambda serial=serial: self._echo(serial))  # type: ignore[misc]

    def heard_between(self, start: float, end: float) -> float:
        return sum(max(0.0, min(ends, end) - max(begins, start)) for begins, ends in self.queue)


@dataclass(frozen=True)
class Span:
    """Something the caller said, on the caller's audio clock."""

    item_id: str
    begin_ms: float
    end_ms: float
    text: str | None


class World:
    """The queue, and the machine between its two peers."""

    def __init__(self, config: CallConfig | None = None, scripts: list[Script] | None = None) -> None:
        self.machine = CallMachine(config or CallConfig(greeting="Hello"))
        self.scripts = scripts or []
        self.cancelling = Cancelling.DONE
        self.cancel_ms = 30.0
        self.now = 0.0
        self.api: FakeApi | None = None
        self.apis: list[FakeApi] = []
        self.phone = FakePhone(self)
        self.refusals: list[str] = []
        self.responses: list[FakeResponse] = []
        self.commands: list[tuple[float, cmd.Command]] = []
        self.connects_fail = 0
        self.tool_ms = 50.0
        self.last_commit_at = -1.0
        self.spans: list[Span] = []
        self.before_event: Callable[[int, ev.Event], None] = lambda number, event: None
        self._ids = itertools.count(1)
        self._queue: list[tuple[float, int, Action]] = []
        self._serial = itertools.count()
        self._events = 0

    def next_id(self) -> int:
        return next(self._ids)

    def later(self, delay_ms: float, action: Action) -> None:
        heapq.heappush(self._queue, (self.now + delay_ms, next(self._serial), action))

    def start(self) -> None:
        self.receive(ev.StreamStarted(self.now))

    def run(self, until_ms: float = 30_000.0) -> None:
        """Until nothing happens any more, or `until_ms` has come."""
        while True:
            wake = self.machine.wake_at_ms
            next_at = self._queue[0][0] if self._queue else None
            if wake is not None and (next_at is None or wake < next_at):
                if wake > until_ms:
                    break
                self.now = max(self.now, wake)
                self.receive(ev.Tick(self.now))
            elif next_at is not None and next_at <= until_ms:
                at, _, action = heapq.heappop(self._queue)
                self.now = max(self.now, at)
                action()
            else:
                break
        self.now = max(self.now, until_ms)

    def server_event(self, event: ev.Event) -> None:
        """Deliver an event of the API; a test may do something just before it."""
        self._events += 1
        self.before_event(self._events, event)
        self.receive(event)

    def receive(self, event: ev.Event) -> None:
        for command in self.machine.receive(event):
            self.commands.append((self.now, command))
            self.carry_out(command)

    def carry_out(self, command: cmd.Command) -> None:
        api = self.api
        match command:
            case cmd.Connect(generation):
                self.later(40.0, lambda: self.connected(generation))
            case cmd.PlayAudio(payload):
                self.phone.play(float(payload))
            case cmd.SendMark(name):
                self.phone.mark(name)
            case cmd.PlayRecorded(_, mark):
                self.phone.play(1500.0)
                self.phone.mark(mark)
            case cmd.ClearAudio():
                self.phone.clear()
            case cmd.OpenUplink(from_ms):
                self.hear_again(from_ms)
            case cmd.CreateResponse() if api:
                self.later(1.0, lambda: api.create(command))
            case cmd.CancelResponse() if api:
                self.later(1.0, lambda: api.cancel(command))
            case cmd.TruncateItem() if api:
                self.later(1.0, lambda: api.truncate(command))
            case cmd.DeleteItem() if api:
                self.later(1.0, lambda: api.delete(command))
            case cmd.RunTool(call_id):
                self.later(
                    self.tool_ms, lambda: self.receive(ev.ToolFinished(self.now, call_id, '{"success":true}'))
                )
            case _:
                pass

    def connected(self, generation: int) -> None:
        if self.connects_fail:
            self.connects_fail -= 1
            self.receive(ev.ConnectionLost(self.now, generation, "refused"))
            return
        self.api = FakeApi(self, generation)
        self.apis.append(self.api)
        self.receive(ev.ConnectionReady(self.now, generation))

    def say(self, item_id: str, lasts_ms: float = 2000.0, text: str | None = "words") -> None:
        """The caller speaks now for `lasts_ms` (padding and closing silence included)."""
        span = Span(item_id, self.now, self.now + lasts_ms, text)
        self.spans.append(span)
        self.hear(span, 0.0)

    def hear(self, span: Span, offset_ms: float) -> None:
        """The present connection's voice detection, whose clock began at `offset_ms` of the caller's audio."""
        api = self.api
        if api is None:
            return
        api.items[span.item_id] = Item(span.item_id)
        g, begin, end = api.generation, round(span.begin_ms - offset_ms), round(span.end_ms - offset_ms)
        self.receive(ev.SpeechStarted(self.now, g, span.item_id, begin))

        def stopped() -> None:
            if self.api is api:
                self.receive(ev.SpeechStopped(self.now, g, span.item_id, end))
                self.last_commit_at = self.now
                self.receive(ev.TurnCommitted(self.now, g, span.item_id))

        def transcribed() -> None:
            self.receive(ev.TurnTranscribed(self.now, g, span.item_id, span.text))

        wait = max(0.0, span.end_ms - self.now)
        self.later(wait, stopped)
        self.later(wait + 200.0, transcribed)

    def hear_again(self, from_ms: float) -> None:
        """A new connection is sent the caller's audio since `from_ms`."""
        for span in self.spans:
            if span.begin_ms >= from_ms > 0:
                again = Span(f"{span.item_id}_again", span.begin_ms, span.end_ms, span.text)
                self.later(1.0, lambda again=again: self.hear(again, from_ms))  # type: ignore[misc]

    def sent(self, kind: type[cmd.Command]) -> list[cmd.Command]:
        return [command for _, command in self.commands if isinstance(command, kind)]

    def records(self, kind: str) -> list[dict[str, object]]:
        return [dict(c.data) for _, c in self.commands if isinstance(c, cmd.Record) and c.kind == kind]
