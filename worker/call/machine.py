"""The call: events in, commands out. No I/O, no clock, no threads.

`CallMachine.receive(event)` returns the commands to run, in order; `wake_at_ms` says when it wants a `Tick`.
Its axes and every transition stand in `tables.py`; this module holds what ties the axes together: the rule by
which a reply may be created, what a barge-in means, and what outlives a lost connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from worker.call import commands as cmd
from worker.call import events as ev
from worker.call import replies
from worker.call.connection import ConnectionAxis
from worker.call.context import CallConfig, Context
from worker.call.deadlines import Deadline
from worker.call.history import Done, History, Said, call_item, message_item, output_item
from worker.call.playback import Ledger, Segment
from worker.call.replies import Reason, Reply
from worker.call.response import ResponseAxis
from worker.call.tables import TOOLS, Axis, Connection, Response, Tools, Trigger
from worker.call.turns import Turn, Turns

RETRY_AFTER_MS = 250.0
CLOSING_LIMIT_MS = 10_000.0
APOLOGY = "trouble"


class CallMachine:
    """One phone call, from the first frame to the last."""

    def __init__(self, config: CallConfig, history: Iterable[Said | Done] = ()) -> None:
        """`history`: what was said on an earlier stream of the same call; then it is resumed, not greeted."""
        self._context = Context(config)
        self._history = History(history)
        self._connection = ConnectionAxis(self._context, self)
        self._response = ResponseAxis(self._context, self)
        self._playback = Ledger(self._context, self._segment_settled)
        self._turns = Turns(self._context, self)
        self._tools = Axis(TOOLS, Tools.IDLE)
        self._outstanding: dict[str, int] = {}  # tool call id: the socket that asked
        self._wanted: Reply | None = None
        self._retrying = False
        # Where the business wants it, the greeting is protected from barge-in until it was heard.
        self._greeting_unheard = config.barge_in_after_greeting
        self._greeting_said = False
        self._closing: cmd.CloseStream | None = None
        self._closing_mark = ""
        self._ended = False
        self._wanted_at_ms = 0.0

    @property
    def wake_at_ms(self) -> float | None:
        """When a `Tick` is due; None: nothing is waited for."""
        return None if self._ended else self._context.deadlines.next_ms

    @property
    def states(self) -> dict[str, str]:
        """Where each axis stands, for the log and for tests."""
        axes = {
            "connection": self._connection,
            "response": self._response,
            "playback": self._playback,
            "caller": self._turns,
            "tools": self._tools,
        }
        return {name: str(axis.state) for name, axis in axes.items()}

    def receive(self, event: ev.Event) -> list[cmd.Command]:
        """Take one event; returns the commands it leads to."""
        if self._ended:
            return []
        self._context.now_ms = max(self._context.now_ms, event.at_ms)
        if isinstance(event, ev.RealtimeEvent) and not self._connection.speaks(event.generation):
            return []
        handler = _HANDLERS.get(type(event))
        if handler is None:
            raise TypeError(f"no handler for {type(event).__name__}")
        handler(self, event)
        if self._greeting_said and not self._playback.playing:
            self._greeting_unheard = False
        self._create_if_allowed()
        return self._context.take_commands()

    # The rule of creation

    def _want(self, reply: Reply) -> None:
        if self._wanted is None:
            self._wanted_at_ms = self._context.now_ms
        self._wanted = reply.merge(self._wanted)

    def _create_if_allowed(self) -> None:
        if self._wanted is None or self._ended or self._closing is not None or self._retrying:
            return
        if (
            self._connection.state == Connection.READY
            and self._response.state == Response.NONE
            and self._turns.quiet
            and self._tools.state == Tools.IDLE
            and not (self._protected and self._playback.playing)
        ):
            reply, self._wanted = self._wanted, None
            self._playback.correct()
            self._turns.take_up()
            self._response.create(reply)

    @property
    def _protected(self) -> bool:
        closing = self._closing is not None
        return closing or self._greeting_unheard or not self._context.config.barge_in_enabled

    # The carrier

    def _on_stream_started(self, _: ev.StreamStarted) -> None:
        if self._history.entries:
            self._greeting_unheard = False
            self._want(replies.resumption(""))
        else:
            self._want(replies.greeting(self._context.config.greeting))
        self._connection.connect()

    def _on_stream_ended(self, event: ev.StreamEnded) -> None:
        self._end(cmd.CloseStream(event.state, event.reason))

    def _on_mark(self, event: ev.MarkReturned) -> None:
        if self._closing is not None and event.name == self._closing_mark:
            self._end(self._closing)
            return
        self._playback.mark_returned(event.name)

    # The caller's turns

    def _on_speech_started(self, event: ev.SpeechStarted) -> None:
        self._turns.started(event)

    def _on_speech_stopped(self, event: ev.SpeechStopped) -> None:
        self._turns.stopped(event)

    def _on_committed(self, event: ev.TurnCommitted) -> None:
        self._turns.committed(event)

    def _on_transcribed(self, event: ev.TurnTranscribed) -> None:
        self._turns.transcribed(event)
        if event.text:
            self._history.turn_text(event.item_id, event.text)

    def speech_started(self, turn: Turn) -> None:
        """Barge-in: whatever is active or still playing ends now, and only what was heard was said."""
        if self._protected or not (self._response.active or self._playback.playing):
            return
        was_playing, response_id = self._playback.playing, self._response.response_id
        cut_reply = self._response.owed if self._response.active else None
        self._playback.interrupt()
        turn.cut_off = self._playback.heard_text()
        if not turn.cut_off:
            turn.cut_reply = cut_reply
        self._response.interrupt()
        self._context.log("[BARGE-IN]", response_id=response_id, playing=was_playing)
        self._context.record("barge_in", heard=turn.cut_off, playing=was_playing, response_id=response_id)
        if self._response.state == Response.NONE:
            self._playback.correct()

    def turn_wants_reply(self, turn: Turn) -> None:
        self._history.turn(turn.start_ms, turn.item_id)
        if turn.text:
            self._history.turn_text(turn.item_id, turn.text)
        self._want(Reply(Reason.TURN))

    def turn_was_noise(self, turn: Turn) -> None:
        """A cough: its item goes, and what it cut off is taken up again, so that it never leaves dead air."""
        self._context.emit(cmd.DeleteItem(self._context.new_id("delete"), turn.item_id))
        if turn.cut_reply is not None:
            self._want(turn.cut_reply)
        elif turn.cut_off is not None:
            self._want(replies.resumption(turn.cut_off))

    # The response

    def _on_created(self, event: ev.ResponseCreated) -> None:
        self._response.created(event)

    def _on_item_added(self, event: ev.ItemAdded) -> None:
        if event.kind == "message":
            self._playback.enter(event.response_id, event.item_id)

    def _on_audio(self, event: ev.AudioDelta) -> None:
        if not self._response.delivers(event.response_id) or self._closing is not None:
            self._playback.drop(event)
            return
        if not self._playback.forwarded(event.response_id):
            waited = self._context.now_ms - self._wanted_at_ms
            self._context.record("latency", response_id=event.response_id, wanted_to_audio_ms=round(waited))
        self._playback.send(event)

    def _on_audio_done(self, _: ev.AudioDone) -> None:
        self._playback.mark()

    def _on_transcript(self, event: ev.TranscriptDelta) -> None:
        self._playback.add_text(event.item_id, event.text)

    def _on_done(self, event: ev.ResponseDone) -> None:
        self._response.done(event)

    def _on_error(self, event: ev.ApiError) -> None:
        if not self._response.error(event):
            self._context.log("realtime error", code=event.code, answers=event.event_id)

    def response_finished(self, done: ev.ResponseDone, reply: Reply | None, *, interrupted: bool) -> None:
        spoke = self._playback.forwarded(done.response_id)
        calls = {call.item_id for call in done.calls}
        if interrupted:
            self._playback.cut(done.response_id, [item for item in done.item_ids if item not in calls])
        self._playback.complete(done.response_id)
        self._playback.correct()
        completed = done.status is ev.ResponseStatus.COMPLETED
        if completed and reply is not None:
            self._connection.proven()
            self._run_tools(done.calls)
        else:
            for item_id in calls:
                self._context.emit(cmd.DeleteItem(self._context.new_id("delete"), item_id))
        if reply is None:
            return
        said_something = spoke if done.status is ev.ResponseStatus.INCOMPLETE else completed and (spoke or calls)
        if interrupted or said_something:
            self._turns.answer()
            self._greeting_said = self._greeting_said or reply.reason is Reason.GREETING
        else:
            self._context.log("response failed", status=str(done.status), why=done.why)
            self._try_again(reply, done.why or str(done.status))

    def response_never_was(self, reply: Reply | None, *, refused: bool, interrupted: bool) -> None:
        self._playback.correct()
        if reply is not None and not interrupted:
            self._try_again(reply, "create_refused" if refused else "create_unanswered")

    def _try_again(self, reply: Reply, why: str) -> None:
        """One retry, after a moment; then a person's voice, because the caller has waited long enough."""
        if reply.retries:
            self._apologise(f"response_failed: {why}")
            return
        self._want(replace(reply, retries=reply.retries + 1))
        self._retrying = True
        self._context.deadlines.set(Deadline.RETRY, self._context.now_ms + RETRY_AFTER_MS)

    # Tools

    def _run_tools(self, calls: Iterable[ev.FunctionCall]) -> None:
        for call in calls:
            self._history.call(self._context.now_ms, call.call_id, call.name, call.arguments)
            self._outstanding[call.call_id] = self._connection.generation
            self._tools.fire(Trigger.CALL)
            self._context.emit(cmd.RunTool(call.call_id, call.name, call.arguments))

    def _on_tool_finished(self, event: ev.ToolFinished) -> None:
        """The answer goes back even after a barge-in: what was booked is booked."""
        generation = self._outstanding.pop(event.tool_call_id)
        call = self._history.answer(event.tool_call_id, event.output)
        self._context.record(
            "tool_call",
            call.at_ms,
            tool_call_id=call.call_id,
            name=call.name,
            arguments=call.arguments,
            output=event.output,
            took_ms=round(self._context.now_ms - call.at_ms),
        )
        if self._connection.state == Connection.READY:
            if generation != self._connection.generation:
                self._add_item(call_item(call))
            self._add_item(output_item(call.call_id, event.output))
        if not self._outstanding:
            self._tools.fire(Trigger.ALL_ANSWERED)
            self._want(Reply(Reason.TOOL_RESULT))

    def _add_item(self, item: Mapping[str, Any]) -> None:
        self._context.emit(cmd.AddItem(self._context.new_id("item"), item))

    # The connection

    def _on_ready(self, _: ev.ConnectionReady) -> None:
        self._connection.fire(Trigger.CONFIGURED)

    def _on_lost(self, event: ev.ConnectionLost) -> None:
        self._connection.lost(event.reason)

    def socket_is_lost(self, reason: str) -> None:
        self._connection.lost(reason)

    def connection_ready(self) -> None:
        """History first, then the caller's audio since the last answer, so that nothing must be said twice."""
        from_ms = self._turns.unanswered_from()
        again = self._turns.connected(from_ms)
        self._history.drop_turns(turn.item_id for turn in again)
        if again and self._wanted is not None and self._wanted.reason is Reason.TURN:
            self._wanted = None  # hearing the turn again will want it again
        for item in self._history.items():
            self._add_item(item)
        self._context.emit(cmd.OpenUplink(from_ms))

    def connection_lost(self, reason: str) -> None:
        """What the bot owed it still owes; audio at the phone plays on."""
        owed, response_id = self._response.owed, self._response.response_id
        if owed is not None:
            begun = response_id is not None and self._playback.forwarded(response_id)
            self._want(replies.resumption(self._playback.text_of(response_id)) if begun else owed)
        self._playback.socket_lost()
        self._response.fire(Trigger.LOST)
        self._turns.fire(Trigger.LOST)

    def connection_given_up(self, reason: str) -> None:
        self._apologise(f"realtime_unreachable: {reason}")

    # The end

    def _apologise(self, reason: str) -> None:
        """No model to speak: a recorded sentence, and then the end; the row says why."""
        if self._closing is not None:
            return
        self._closing = cmd.CloseStream("failed", reason)
        self._closing_mark = self._context.new_id("recorded")
        self._context.log("call failed", reason=reason)
        self._context.record("recorded_sentence", name=APOLOGY, reason=reason)
        self._context.emit(cmd.PlayRecorded(APOLOGY, self._closing_mark))
        self._context.deadlines.set(Deadline.CLOSING, self._context.now_ms + CLOSING_LIMIT_MS)

    def _end(self, close: cmd.CloseStream) -> None:
        self._playback.close()
        self._turns.record_rest()
        self._context.emit(cmd.Disconnect(self._connection.generation))
        self._context.emit(close)
        self._ended = True

    # Time

    def _on_tick(self, event: ev.Tick) -> None:
        while not self._ended and (due := self._context.deadlines.pop_due(event.at_ms)) is not None:
            self._expired(due)

    def _expired(self, due: Deadline) -> None:
        if due in _TIMEOUTS:
            axis, trigger = _TIMEOUTS[due]
            getattr(self, axis).fire(trigger)
        elif due is Deadline.CONNECT:
            self._connection.lost("not_configured_in_time")
        elif due is Deadline.RECONNECT:
            self._connection.connect()
        elif due is Deadline.RETRY:
            self._retrying = False
        elif due is Deadline.VERDICT:
            self._turns.verdict_overdue()
        elif due is Deadline.CLOSING and self._closing is not None:
            self._end(self._closing)

    def _segment_settled(self, segment: Segment) -> None:
        """It is known now what the caller heard of it: that, and only that, was said."""
        if not segment.text and not segment.forwarded_ms:
            return
        heard = segment.heard_text
        self._history.heard(segment.begun_at_ms, heard)
        if heard and segment.orphaned and self._connection.state == Connection.READY:
            self._add_item(message_item("assistant", heard))  # it played on while the new socket was made
        self._context.record(
            "bot_turn",
            segment.begun_at_ms,
            text=segment.text,
            heard=heard,
            heard_ms=round(segment.heard_ms),
            sent_ms=round(segment.forwarded_ms),
            response_id=segment.response_id,
        )


_TIMEOUTS: dict[Deadline, tuple[str, Trigger]] = {
    Deadline.CREATE: ("_response", Trigger.CREATE_TIMEOUT),
    Deadline.CANCEL_OVERDUE: ("_response", Trigger.CANCEL_OVERDUE),
    Deadline.CANCEL: ("_response", Trigger.CANCEL_TIMEOUT),
    Deadline.PROBE: ("_response", Trigger.PROBE_TIMEOUT),
    Deadline.PLAYBACK: ("_playback", Trigger.CLOCK_END),
    Deadline.SPEECH: ("_turns", Trigger.SPEECH_TOO_LONG),
    Deadline.COMMIT: ("_turns", Trigger.COMMIT_OVERDUE),
}

_HANDLERS: dict[type[ev.Event], Callable[[CallMachine, Any], None]] = {
    ev.StreamStarted: CallMachine._on_stream_started,
    ev.StreamEnded: CallMachine._on_stream_ended,
    ev.MarkReturned: CallMachine._on_mark,
    ev.Tick: CallMachine._on_tick,
    ev.ToolFinished: CallMachine._on_tool_finished,
    ev.ConnectionReady: CallMachine._on_ready,
    ev.ConnectionLost: CallMachine._on_lost,
    ev.SpeechStarted: CallMachine._on_speech_started,
    ev.SpeechStopped: CallMachine._on_speech_stopped,
    ev.TurnCommitted: CallMachine._on_committed,
    ev.TurnTranscribed: CallMachine._on_transcribed,
    ev.ResponseCreated: CallMachine._on_created,
    ev.ItemAdded: CallMachine._on_item_added,
    ev.AudioDelta: CallMachine._on_audio,
    ev.AudioDone: CallMachine._on_audio_done,
    ev.TranscriptDelta: CallMachine._on_transcript,
    ev.ResponseDone: CallMachine._on_done,
    ev.ApiError: CallMachine._on_error,
}
