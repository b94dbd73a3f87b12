"""One Realtime session, sans I/O: messages in, events out; it refuses what the API refuses (protocol 1.3–1.6)."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import structlog

from worker.rehearsal.brain import Brain, ResponseRequest
from worker.rehearsal.config import PCMU, SessionConfig, check_overrides
from worker.rehearsal.conversation import Conversation, Ids, Item
from worker.rehearsal.ears import Ears
from worker.rehearsal.errors import Refused, already_active, bad_value, cancel_not_active, unsupported
from worker.rehearsal.faults import After, CallerSpeaks, DropSocket, SendRaw, Start, UnsolicitedResponse
from worker.rehearsal.loop import Callback, Loop
from worker.rehearsal.outbox import Entry, Outbox
from worker.rehearsal.responses import Response
from worker.rehearsal.run import Run
from worker.rehearsal.schema import SchemaError, validate_client_event

log = structlog.get_logger(__name__)

Event = Mapping[str, Any]
MAX_SESSION_MS = 60 * 60 * 1000
MAX_SESSION_REASON = "Your session hit the maximum duration of 60 minutes."
_APPEND_FIELDS = ({"type", "audio"}, {"type", "audio", "event_id"})
_TOKENS_PER_MINUTE = 15_000_000
_session_numbers = itertools.count(1)


class RealtimeSession:
    """Feed it with `receive`; it answers through `send(event)` and `close(code, reason)` (code None: drop TCP).

    All of it runs on `loop`: no call here blocks, and none of its callbacks is called before the method that
    caused it has returned. What passed is recorded in `server_events`, `client_events` (without appends:
    `appended_bytes` counts them) and `refusals`.
    """

    def __init__(
        self,
        brain: Brain,
        loop: Loop,
        send: Callable[[Event], None],
        close: Callable[[int | None, str], None],
        *,
        model: str = "gpt-realtime-2.1",
        expires_at: int = 0,
    ) -> None:
        self.loop = loop
        self.brain = brain
        self.ids = Ids(next(_session_numbers))
        self.conversation = Conversation()
        self.config = SessionConfig(self.ids.new("sess"), model, expires_at)
        self.outbox = Outbox(loop, self.ids, brain.faults, send, self._perform)
        self.ears = Ears(self)
        self.runs: list[Run] = []
        self.refusals: list[dict[str, Any]] = []
        self.scripted_refusals: list[dict[str, Any]] = []
        self.appended_bytes = 0
        self._close = close
        self._conversation_id = self.ids.new("conv")
        self._active: Run | None = None
        self._accepted = itertools.count()
        self._voice_locked = False
        self._handlers: dict[str, Callable[[Event], None]] = {
            "session.update": self._update_session,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": lambda _: self.ears.commit(),
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    @property
    def server_events(self) -> list[Entry]:
        """Every event that was sent, in order."""
        return self.outbox.sent

    @property
    def client_events(self) -> list[Entry]:
        """Every client event, in order, but for appends."""
        return self.outbox.received

    @property
    def refused_codes(self) -> list[str | None]:
        """The codes of `refusals`: what the client did wrong, not what a script made up."""
        return [refusal["code"] for refusal in self.refusals]

    @property
    def active(self) -> Run | None:
        """The active response of the default conversation."""
        return self._active

    def start(self) -> None:
        """Greet the client: `session.created`."""
        self.brain.configure(self.config.hearing)
        self.loop.call_later(MAX_SESSION_MS, lambda: self.drop(1001, MAX_SESSION_REASON))
        self.emit("session.created", {"session": self.config.wire})
        self.settle()

    def receive(self, message: str | bytes) -> None:
        """Handle one WebSocket message; whatever is wrong with it, the session lives on."""
        if self.outbox.closed:
            return
        event: Any = None
        try:
            event = _parse(message)
            self._handle(event)
        except SchemaError as error:
            self.refuse(Refused(error.code, error.message, error.param), _event_id(event))
        except Refused as refused:
            self.refuse(refused, _event_id(event))
        if isinstance(event, dict):
            self.outbox.handled(event, record=event.get("type") != "input_audio_buffer.append")
        self.settle()

    def drop(self, code: int | None, reason: str = "") -> None:
        """Close the socket from the server's side; None breaks the connection."""
        if not self.outbox.closed:
            self.stop()
            self._close(code, reason)

    def stop(self) -> None:
        """The socket is gone: nothing more is sent."""
        if self.outbox.closed:
            return
        self.outbox.closed = True
        self.ears.disarm()
        for run in self.runs:
            run.stop()
        self.brain.close()

    # What responses and ears need of their session.

    def emit(self, kind: str, fields: Event, place: tuple[int, int] | None = None) -> None:
        """Send one event; `place` is (response, index) for an event of a response."""
        self.outbox.emit(kind, fields, place)

    def settle(self) -> None:
        """The session's state is consistent: do what the script has for this moment."""
        self.outbox.settle()

    def refuse(self, refused: Refused, event_id: str | None, *, scripted: bool = False) -> None:
        """Send an `error` event; `scripted`: the script wants it, the client did nothing wrong."""
        error = refused.as_error(event_id)
        (self.scripted_refusals if scripted else self.refusals).append(error)
        if not scripted:
            log.info("refused a client event", code=refused.code, param=refused.param)
        self.emit("error", {"error": error})

    def when_heard(self, callback: Callback) -> None:
        """See `Ears.when_heard`."""
        self.ears.when_heard(callback)

    def released(self, run: Run) -> None:
        """This response is not active any more; its last events may still come."""
        if self._active is run:
            self._active = None

    def ended(self, run: Run) -> None:
        """This response's `response.done` was sent."""
        self._voice_locked = self._voice_locked or run.response.spoke
        self.loop.call_later(self.brain.timing.rate_limits_ms, self._tell_rate_limits)
        if not run.out_of_band and run.response.status == "completed":
            self.ears.response_ended(run.response.audio_ms)

    def speech_began(self) -> None:
        """The caller speaks: interrupt, if that is configured (1.6 D)."""
        detection = self.config.turn_detection
        if self._active is not None and detection is not None and detection["interrupt_response"]:
            self._active.cancel("turn_detected", by_client=False)

    def turn_ended(self) -> None:
        """A turn was committed by turn detection: respond, if that is configured (1.6 B)."""
        detection = self.config.turn_detection
        if detection is None or not detection["create_response"]:
            return
        try:
            if self._active is not None:
                raise already_active(self._active.id)
            self._start_response({})
        except Refused as refused:
            self.refuse(refused, None)

    # Client events.

    def _handle(self, event: Any) -> None:
        if not isinstance(event, dict):
            raise SchemaError(None, "The event must be a JSON object.", "invalid_event")
        plain_append = (
            event.get("type") == "input_audio_buffer.append"
            and event.keys() in _APPEND_FIELDS
            and all(isinstance(value, str) for value in event.values())
        )
        if not plain_append:  # 50 a second: what is left to check is checked by decoding it
            validate_client_event(event)
        handler = self._handlers.get(event["type"])
        if handler is None:
            raise unsupported(f"'{event['type']}' over a WebSocket", "type")
        handler(event)

    def _update_session(self, event: Event) -> None:
        before = self.config.turn_detection
        self.config.update(event["session"], voice_locked=self._voice_locked)
        if self.config.turn_detection != before:
            self.ears.turn_detection_changed()
        wire = self.config.wire  # as it is now, whatever a later update changes before this is sent

        def tell() -> None:
            self.emit("session.updated", {"session": wire})
            self.settle()

        self.loop.call_later(self.brain.timing.session_updated_ms, tell)

    def _append(self, event: Event) -> None:
        if self.config.input["format"] != PCMU:
            raise unsupported("input audio other than audio/pcmu", "session.audio.input.format")
        try:
            pcmu = base64.b64decode(event["audio"], validate=True)
        except (binascii.Error, ValueError):
            raise Refused(
                "invalid_value", "Invalid 'audio'. Expected base64-encoded audio bytes.", "audio"
            ) from None
        self.appended_bytes += len(pcmu)
        self.ears.append(pcmu)

    def _clear(self, _: Event) -> None:
        self.ears.clear()
        self.emit("input_audio_buffer.cleared", {})

    def _create_item(self, event: Event) -> None:
        wire = {name: value for name, value in event["item"].items() if value is not None}
        self.conversation.check_new(wire)
        wire["id"] = wire.get("id") or self.ids.new("item")
        if wire["type"] == "message":
            wire.setdefault("status", "completed")
        if wire["type"] == "function_call":
            wire.setdefault("status", "completed")
            wire["call_id"] = wire.get("call_id") or self.ids.new("call")
        previous = self.conversation.add(Item(wire), event.get("previous_item_id"))
        for kind in ("conversation.item.added", "conversation.item.done"):
            self.emit(kind, {"previous_item_id": previous, "item": wire})

    def _retrieve_item(self, event: Event) -> None:
        self.emit("conversation.item.retrieved", {"item": self.conversation.get(event["item_id"]).wire})

    def _delete_item(self, event: Event) -> None:
        self.conversation.delete(event["item_id"])
        self.emit("conversation.item.deleted", {"item_id": event["item_id"]})

    def _truncate_item(self, event: Event) -> None:
        cut = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
        self.conversation.truncate(**cut)
        self.emit("conversation.item.truncated", cut)

    def _create_response(self, event: Event) -> None:
        params = event.get("response") or {}
        check_overrides(params, "response")
        conversation = params.get("conversation") or "auto"
        if conversation not in ("auto", "none"):
            raise bad_value(conversation, "'auto', 'none'", "response.conversation")
        self._given_items(params)  # refuses references to what isn't there
        if conversation == "auto" and self._active is not None:
            raise already_active(self._active.id)
        self._start_response(params)

    def _cancel_response(self, event: Event) -> None:
        wanted = event.get("response_id")
        candidates = [self._active] if wanted is None else [run for run in self.runs if run.id == wanted]
        run = candidates[0] if candidates else None
        if run is None or run.over or not self._is_active(run):
            raise cancel_not_active()
        run.cancel("client_cancelled", event.get("event_id"))

    def _is_active(self, run: Run) -> bool:
        return run.out_of_band or run is self._active

    # Responses.

    def _start_response(self, params: Event) -> None:
        out_of_band = params.get("conversation") == "none"
        base = self._response_base(params, out_of_band=out_of_band)
        if base["output_modalities"] == ["audio"] and base["audio"]["output"]["format"] != PCMU:
            raise unsupported("output audio other than audio/pcmu", "session.audio.output.format")
        index = next(self._accepted)
        faults = self.brain.faults.of_response(index)
        if faults.start is Start.LOST:
            self.outbox.accepted(index)
            return
        phase = "final_answer" if "-2.1" in self.config.wire["model"] else None
        conversation = None if out_of_band else self.conversation
        response = Response(self.ids, index, base, conversation, phase)
        self.ears.disarm()
        run = Run(
            self,
            response,
            faults,
            lambda: self._request(response, params, base),
            out_of_band=out_of_band,
        )
        self.runs.append(run)
        if not out_of_band:
            self._active = run
        run.start()
        self.outbox.accepted(index)

    def _response_base(self, params: Event, *, out_of_band: bool) -> dict[str, Any]:
        output = {**self.config.output, **((params.get("audio") or {}).get("output") or {})}
        return {
            "conversation_id": None if out_of_band else self._conversation_id,
            "output_modalities": self._effective(params, "output_modalities"),
            "max_output_tokens": self._effective(params, "max_output_tokens"),
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "metadata": params.get("metadata"),
        }

    def _effective(self, params: Event, name: str) -> Any:
        """The response's own, else the session's."""
        return params[name] if params.get(name) is not None else self.config.wire[name]

    def _request(self, response: Response, params: Event, base: Event) -> ResponseRequest:
        given = self._given_items(params)
        items = [item.wire for item in self.conversation] if given is None else given
        return ResponseRequest(
            response_id=response.id,
            index=response.index,
            instructions=self._effective(params, "instructions"),
            items=tuple(orjson.loads(orjson.dumps(items))),
            tools=tuple(self._effective(params, "tools")),
            tool_choice=self._effective(params, "tool_choice"),
            output_modalities=tuple(base["output_modalities"]),
            metadata=params.get("metadata"),
            out_of_band=base["conversation_id"] is None,
            voice=str(base["audio"]["output"]["voice"]),
        )

    def _given_items(self, params: Event) -> list[Event] | None:
        """`response.input`, its references looked up; None where the conversation is the input."""
        given = params.get("input")
        if given is None:
            return None
        return [
            self.conversation.get(item["id"], f"response.input[{index}].id").wire
            if item.get("type") == "item_reference"
            else item
            for index, item in enumerate(given)
        ]

    def _tell_rate_limits(self) -> None:
        limit = {"name": "tokens", "limit": _TOKENS_PER_MINUTE, "remaining": _TOKENS_PER_MINUTE}
        self.emit("rate_limits.updated", {"rate_limits": [{**limit, "reset_seconds": 0.0}]})
        self.settle()

    # Scripts.

    def _perform(self, action: After) -> None:
        if isinstance(action, CallerSpeaks):
            self.ears.caller_is_heard(action)
        elif isinstance(action, DropSocket):
            self.drop(action.code, action.reason)
        elif isinstance(action, SendRaw):
            self.outbox.emit_raw(action.event)
        elif isinstance(action, UnsolicitedResponse) and self._active is None:
            self._start_response({})


def _parse(message: str | bytes) -> Any:
    if isinstance(message, bytes):
        raise SchemaError(None, "Binary messages are not supported; send JSON text.", "invalid_event")
    try:
        return orjson.loads(message)
    except orjson.JSONDecodeError:
        raise SchemaError(None, "The message is not valid JSON.", "invalid_json") from None


def _event_id(event: Any) -> str | None:
    """The client's id of the event, if it is one."""
    event_id = event.get("event_id") if isinstance(event, dict) else None
    return event_id if isinstance(event_id, str) else None
