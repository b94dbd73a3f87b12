"""One call's I/O: moves bytes and runs the machine's commands. It decides nothing.

If this file needs an `if` about the conversation, that `if` is a row of `worker/call/tables.py`.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any, ClassVar

import gevent
import structlog
from gevent.event import Event as Signal
from gevent.lock import BoundedSemaphore
from gevent.queue import SimpleQueue

from app.domain.calls import CallClosing, CallState, TimelineEntry
from worker import recordings
from worker.call import commands as cmd
from worker.call import events as ev
from worker.call.machine import CallMachine
from worker.outbox import Outbox, OutboxFullError
from worker.plan import CallPlan
from worker.realtime import wire
from worker.realtime.client import RealtimeClient
from worker.realtime.link import RealtimeLink
from worker.timeline import Timeline
from worker.transports import twilio
from worker.uplink import Uplink
from worker.websocket import WebSocket, WebSocketClosed

log = structlog.get_logger(__name__)

TOOL_DEADLINE_S = 3.0
MOST_WAITING = 5000
FAREWELL_S = 1.0  # for what still waits to be sent when the stream ends


class CallSession:
    """Runs one media stream of a call until it ends. `run` blocks; everything else happens in its greenlets."""

    def __init__(
        self,
        websocket: WebSocket,
        stream_sid: str,
        plan: CallPlan,
        realtime: RealtimeClient,
        timeline: Timeline,
        tool_gate: BoundedSemaphore,
    ) -> None:
        """`tool_gate` is shared by all calls: who waits for a database connection waits there, on no deadline."""
        self._websocket = websocket
        self._stream_sid = stream_sid
        self._plan = plan
        self._realtime = realtime
        self._timeline = timeline
        self._tool_gate = tool_gate
        self._log = log.bind(call_id=plan.call_id, stream=plan.stream_number)
        self._began = time.monotonic()
        self._machine = CallMachine(plan.config, plan.history)
        self._carrier = Outbox(websocket.send, MOST_WAITING)
        self._uplink = Uplink()
        self._link: RealtimeLink | None = None
        self._tool_calls: SimpleQueue[cmd.RunTool] = SimpleQueue()
        self._rearm = Signal()
        self._armed_ms: float | None = None
        self._greenlets: list[gevent.Greenlet[..., Any]] = []
        self._done = Signal()
        self._closing: CallClosing | None = None
        self._barge_ins = 0
        self._foreign_frames = 0

    def run(self) -> CallClosing:
        """Until the stream ends; returns how. The timeline is written, and no greenlet of the call is left."""
        writer = self._spawn(self._carrier.run)
        for task in (self._keep_time, self._run_tools, self._timeline.run, self._read_carrier):
            self._spawn(task)
        try:
            self._receive(ev.StreamStarted(self._clock()))
            self._done.wait()
            writer.join(FAREWELL_S)
        finally:
            gevent.killall(self._greenlets)
            self._timeline.finish()
        return self._closing or self._closed_as(CallState.LOST, "internal_error")

    def hand_back(self, reason: str) -> None:
        """End the stream, not the call: the carrier asks for another worker."""
        self._end("lost", reason)

    # Reading

    def _read_carrier(self) -> None:
        while self._closing is None:
            try:
                message = twilio.parse(self._websocket.receive(), self._stream_sid)
            except WebSocketClosed as closed:
                self._end("lost", f"carrier_closed_{closed.code}")
                return
            except twilio.ProtocolViolationError as violation:
                self._log.warning("carrier broke the protocol", rule=str(violation))
                self._websocket.close(1003, "unsupported message")
                self._end("lost", "carrier_protocol")
                return
            self._take(message)

    def _take(self, message: twilio.Message | None) -> None:
        match message:
            case twilio.Audio(payload, duration_ms):
                self._uplink.receive(payload, duration_ms)
            case twilio.Played(name):
                self._receive(ev.MarkReturned(self._clock(), name))
            case twilio.Stopped():
                self._end("ended", "caller_hung_up")
            case twilio.Foreign():
                self._foreign_frames += 1
                if self._foreign_frames == 1:
                    self._log.warning("frame of another stream ignored")
            case _:
                pass  # digits have no use yet

    # The machine

    def _receive(self, event: ev.Event) -> None:
        """Atomic: no command blocks, so no other event comes between."""
        for command in self._machine.receive(event):
            self._commands[type(command)](self, command)
        wake = self._machine.wake_at_ms
        if wake is not None and (self._armed_ms is None or wake < self._armed_ms):
            self._rearm.set()

    def _end(self, state: str, reason: str) -> None:
        self._receive(ev.StreamEnded(self._clock(), state, reason))

    def _keep_time(self) -> None:
        while True:
            self._armed_ms = self._machine.wake_at_ms
            wait = None if self._armed_ms is None else max(0.0, (self._armed_ms - self._clock()) / 1000)
            self._rearm.clear()
            if not self._rearm.wait(wait):
                self._receive(ev.Tick(self._clock()))

    def _run_tools(self) -> None:
        """One after another: two bookings of one response must not race each other."""
        while True:
            call = self._tool_calls.get()
            try:
                with self._tool_gate, gevent.Timeout(TOOL_DEADLINE_S):
                    output = self._plan.toolbox.run(call.tool_call_id, call.name, call.arguments)
            except gevent.Timeout:
                output = self._plan.toolbox.timed_out(call.name)
            self._receive(ev.ToolFinished(self._clock(), call.tool_call_id, output))

    def _clock(self) -> float:
        """Milliseconds since this stream began."""
        return (time.monotonic() - self._began) * 1000

    def _closed_as(self, state: CallState, reason: str) -> CallClosing:
        duration_ms, number = round(self._clock()), self._plan.stream_number
        return CallClosing(state, reason, self._barge_ins, duration_ms, number)

    def _spawn(self, task: Callable[[], None]) -> gevent.Greenlet[..., Any]:
        """A greenlet whose death is never silent: it ends the call, and says where."""

        def guarded() -> None:
            try:
                task()
            except WebSocketClosed:
                self._end("lost", "carrier_gone")
            except OutboxFullError:
                self._end("lost", "carrier_stopped_reading")
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller must not be left in silence
                where = traceback.extract_tb(error.__traceback__)[-1]
                # Never the exception's text: it may hold what was said.
                self._log.error("greenlet died", error=type(error).__name__, at=f"{where.filename}:{where.lineno}")
                self._end("lost", "internal_error")

        greenlet = gevent.spawn(guarded)
        self._greenlets.append(greenlet)
        return greenlet

    # Commands

    def _play(self, command: cmd.PlayAudio) -> None:
        self._carrier.put(twilio.media(self._stream_sid, command.payload), droppable=True)

    def _play_recorded(self, command: cmd.PlayRecorded) -> None:
        for payload in recordings.pieces(self._plan.language, command.name):
            self._carrier.put(twilio.media(self._stream_sid, payload))
        self._carrier.put(twilio.mark(self._stream_sid, command.mark))

    def _mark(self, command: cmd.SendMark) -> None:
        self._carrier.put(twilio.mark(self._stream_sid, command.name), droppable=True)

    def _clear(self, _: cmd.ClearAudio) -> None:
        asked = time.monotonic()

        def sent() -> None:
            took_ms = round((time.monotonic() - asked) * 1000, 3)
            self._record(cmd.Record(self._clock(), "clear", {"clear_ms": took_ms}))

        self._carrier.overtake(twilio.clear(self._stream_sid), sent)

    def _connect(self, command: cmd.Connect) -> None:
        self._link = RealtimeLink(
            command.generation, self._realtime, self._plan.session, self._receive, self._clock, self._spawn
        )
        self._spawn(self._link.run)

    def _disconnect(self, _: cmd.Disconnect) -> None:
        self._uplink.close()
        if self._link is not None:
            self._link.close()
            self._link = None

    def _open_uplink(self, command: cmd.OpenUplink) -> None:
        link = self._link
        if link is not None:
            self._uplink.open(command.from_ms, lambda payload: link.send(wire.append_audio(payload)))

    def _forget_audio(self, command: cmd.ForgetAudio) -> None:
        self._uplink.forget(command.until_ms)

    def _tell_model(self, command: cmd.Command) -> None:
        if self._link is not None:
            self._link.send(wire.encode(command, self._plan.session.instructions))

    def _run_tool(self, command: cmd.RunTool) -> None:
        self._tool_calls.put(command)

    def _record(self, command: cmd.Record) -> None:
        self._barge_ins += command.kind == "barge_in"
        at_ms = round(self._plan.offset_ms + command.at_ms)
        self._timeline.add(TimelineEntry(at_ms, command.kind, command.data))

    def _write_log(self, command: cmd.Log) -> None:
        self._log.info(command.event, **command.fields)

    def _close_stream(self, command: cmd.CloseStream) -> None:
        self._closing = self._closed_as(CallState(command.state), command.reason)
        self._carrier.close()
        self._done.set()

    _commands: ClassVar[dict[type[cmd.Command], Callable[[CallSession, Any], None]]] = {
        cmd.PlayAudio: _play,
        cmd.PlayRecorded: _play_recorded,
        cmd.SendMark: _mark,
        cmd.ClearAudio: _clear,
        cmd.CloseStream: _close_stream,
        cmd.Connect: _connect,
        cmd.Disconnect: _disconnect,
        cmd.OpenUplink: _open_uplink,
        cmd.ForgetAudio: _forget_audio,
        cmd.CreateResponse: _tell_model,
        cmd.CancelResponse: _tell_model,
        cmd.AddItem: _tell_model,
        cmd.TruncateItem: _tell_model,
        cmd.DeleteItem: _tell_model,
        cmd.CommitAudio: _tell_model,
        cmd.RunTool: _run_tool,
        cmd.Record: _record,
        cmd.Log: _write_log,
    }
