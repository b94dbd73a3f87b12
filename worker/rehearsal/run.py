"""A response while it runs: the brain's acts, in time, until it ends or is cancelled (protocol 1.6 D, E, J)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Protocol

import structlog

from worker.rehearsal.brain import Act, Brain, CallTool, Fail, Incomplete, Pause, ResponseRequest, Speak
from worker.rehearsal.errors import Refused, cancel_not_active
from worker.rehearsal.faults import Answer, ResponseFaults, Start
from worker.rehearsal.loop import Callback, Loop, Timer, raised_at
from worker.rehearsal.responses import Emit, Response, Step, Wait

log = structlog.get_logger(__name__)


class _Ask:
    """The next act, please."""


_ASK = _Ask()
_Script = Generator[Step | _Ask, Act | None, None]


class Host(Protocol):
    """What a running response needs of its session."""

    loop: Loop
    brain: Brain

    def emit(self, kind: str, fields: Mapping[str, Any], place: tuple[int, int] | None = None) -> None: ...

    def settle(self) -> None: ...

    def refuse(self, refused: Refused, event_id: str | None, *, scripted: bool = False) -> None: ...

    def when_heard(self, callback: Callback) -> None: ...

    def released(self, run: Run) -> None: ...

    def ended(self, run: Run) -> None: ...


class Run:
    """Drives one `Response`. It is active from `start` to its `response.done`."""

    def __init__(
        self,
        host: Host,
        response: Response,
        faults: ResponseFaults,
        request: Callable[[], ResponseRequest],
        *,
        out_of_band: bool,
    ) -> None:
        self.response = response
        self.out_of_band = out_of_band
        self.over = False
        self._host = host
        self._faults = faults
        self._request = request
        self._timing = host.brain.timing
        self._script: _Script = self._play()
        self._timer: Timer | None = None
        self._acts: Iterator[Act] | None = None
        self._fetching = False
        self._events = 0
        self._created_at = 0.0
        self._cancelled = False
        self._paused = False
        self._fetched: tuple[Act | None] | None = None
        self._hurry = False
        self._after_done: Callback | None = None

    @property
    def index(self) -> int:
        return self.response.index

    @property
    def id(self) -> str:
        return self.response.id

    def start(self) -> None:
        """Begin: `created` follows after its delay."""
        if self._faults.start is Start.SILENT:
            return
        delay = self._faults.created_ms
        self._after(self._timing.created_ms if delay is None else delay)

    def cancel(self, reason: str, event_id: str | None = None, *, by_client: bool = True) -> None:
        """Answer a cancel as the plan says. `reason`: `client_cancelled` or `turn_detected`."""
        plan = self._faults.cancel
        if plan.answer is Answer.NEVER:
            self._cancelled = True
            self._pause()
        if plan.answer in (Answer.NEVER, Answer.IGNORED):
            return
        if self._cancelled:
            # The first is still unanswered; what the API does with a second is not known: strict.
            self._complain(event_id, by_client=by_client)
            return
        self._cancelled = True
        if not plan.keeps_talking:
            self._pause()
        delay = self._timing.cancelled_ms if plan.after_ms is None else plan.after_ms
        named = event_id if plan.echo_event_id else None

        def complain() -> None:
            self._complain(named, by_client=by_client, scripted=True)

        if plan.answer is Answer.DONE:
            self._later(delay, lambda: self._finish_cancelled(reason, event_id, by_client=by_client))
        elif plan.answer is Answer.DONE_THEN_ERROR:
            self._after_done = lambda: self._later(plan.second_ms, complain)
            self._later(delay, self._finish_by_itself)
        else:
            self._host.released(self)
            self._later(delay, complain)
            self._later(delay + plan.second_ms, self._finish_by_itself)

    def stop(self) -> None:
        """The session has ended: nothing of this is sent any more."""
        self.over = True
        self._pause()
        self._close_acts()

    def _play(self) -> _Script:
        """The whole life of a response that nobody disturbs."""
        yield self.response.created()
        self._created_at = self._host.loop.now_ms()
        act = yield _ASK
        thought_ms = self._host.loop.now_ms() - self._created_at
        yield Wait(max(0.0, self._timing.first_output_ms - thought_ms))
        while act is not None:
            if isinstance(act, Fail | Incomplete):
                yield from self.response.close_item("incomplete")
                yield self._unfinished(act)
                return
            yield from self._act(act)
            act = yield _ASK
        yield Wait(self._timing.done_ms)
        yield from self.response.close_item("completed")
        yield self.response.done("completed")

    def _act(self, act: Act) -> Iterator[Step]:
        if isinstance(act, Speak):
            yield from self.response.speak(act, self._timing)
        elif isinstance(act, CallTool):
            yield from self.response.call(act, self._timing)
        elif isinstance(act, Pause):
            yield Wait(act.ms)

    def _unfinished(self, act: Fail | Incomplete) -> Emit:
        if isinstance(act, Incomplete):
            return self.response.done("incomplete", {"type": "incomplete", "reason": act.reason})
        error = {"type": act.error_type, "code": act.code, "message": act.message}
        return self.response.done("failed", {"type": "failed", "error": error})

    def _advance(self, value: Act | None = None) -> None:
        """Run the script until it waits."""
        self._timer = None
        while not self.over:
            step = self._script.send(value)
            value = None
            if isinstance(step, Emit):
                self._emit(step)
                self._host.settle()
                if self._paused:
                    return
            elif isinstance(step, Wait):
                if not self._hurry or step.ms <= 0:
                    self._after(step.ms)
                    return
            else:
                self._fetch()
                return

    def _emit(self, step: Emit) -> None:
        ends = step.kind == "response.done"
        if ends:
            self.over = True
            self._host.released(self)
        place = (self.index, self._events)
        self._events += 1
        self._host.emit(step.kind, step.fields, place)
        if ends:
            self._end()

    def _end(self) -> None:
        self._close_acts()
        self._host.ended(self)
        if self._after_done is not None:
            self._after_done()

    def _after(self, delay_ms: float) -> None:
        self._timer = self._host.loop.call_later(delay_ms, self._advance)

    def _later(self, delay_ms: float, callback: Callback) -> None:
        def run() -> None:
            callback()
            self._host.settle()

        self._host.loop.call_later(delay_ms, run)

    def _pause(self) -> None:
        self._paused = True
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fetch(self) -> None:
        """Ask the brain for the next act; the first time, when it has heard everything."""
        self._fetching = True
        if self._acts is not None or not self._host.brain.needs_transcripts:
            self._host.loop.run(self._next_act, self._on_act)
        else:
            self._host.when_heard(lambda: self._host.loop.run(self._next_act, self._on_act))

    def _next_act(self) -> Act | None:
        if self._acts is None:
            self._acts = iter(self._host.brain.respond(self._request()))
        return next(self._acts, None)

    def _on_act(self, act: Act | Exception | None) -> None:
        self._fetching = False
        if self.over:
            self._close_acts()
            return
        if isinstance(act, Exception):
            log.error("brain failed to respond", error=type(act).__name__, at=raised_at(act))
            act = Fail()
        if self._paused:
            self._fetched = (act,)
        else:
            self._advance(act)

    def _close_acts(self) -> None:
        close = getattr(self._acts, "close", None)
        if close is not None and not self._fetching:
            close()

    def _finish_cancelled(self, reason: str, event_id: str | None, *, by_client: bool) -> None:
        if self.over:
            self._complain(event_id, by_client=by_client)
            return
        self._pause()
        steps: list[Emit] = []
        if self._events == 0 and self._faults.start is not Start.SILENT:
            steps.append(self.response.created())
        steps.extend(self.response.close_item("incomplete"))
        steps.append(self.response.done("cancelled", {"type": "cancelled", "reason": reason}))
        for step in steps:
            self._emit(step)

    def _finish_by_itself(self) -> None:
        """Send all the rest at once: the response had ended before the cancel came."""
        if self.over:
            return
        self._paused = False
        self._hurry = True
        if self._fetched is not None:
            (act,), self._fetched = self._fetched, None
            self._advance(act)
        elif not self._fetching:
            self._stop_timer()
            self._advance()

    def _complain(self, event_id: str | None, *, by_client: bool, scripted: bool = False) -> None:
        if by_client:
            self._host.refuse(cancel_not_active(), event_id, scripted=scripted)
