"""The Realtime API's JSON to and from the call's events and commands. Raw: typed calls cost 50 times more.

Everything that comes in is checked here: an event with a missing or wrong field is `MalformedEventError`,
one that the call has no use for is None.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any

import orjson

from worker.call import commands as cmd
from worker.call import events as ev

BYTES_A_MS = 8  # µ-law at 8 kHz

Fields = dict[str, Any]
Parser = Callable[[Fields, float, int], ev.Event | None]


class MalformedEventError(Exception):
    """The peer's event lacks a field or has one of a wrong type. Names the event's type, not its content."""


def parse(message: str | bytes, at_ms: float, generation: int) -> ev.Event | None:
    """One server event; None when the call has no use for it. Raises `MalformedEventError`."""
    try:
        fields = orjson.loads(message)
        kind = fields["type"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise MalformedEventError("not a JSON object with a type") from None
    parser = _PARSERS.get(kind) if isinstance(kind, str) else None
    if parser is None:
        return None
    try:
        return parser(fields, at_ms, generation)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MalformedEventError(kind) from None


def session_of(message: str | bytes) -> Fields | None:
    """The effective configuration when `message` is `session.updated`, else None."""
    try:
        fields = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict) or fields.get("type") != "session.updated":
        return None
    session = fields.get("session")
    return session if isinstance(session, dict) else {}


def append_audio(payload: str) -> str:
    """The event for one frame; `payload` is base64 already, and known to be (the transport checked it)."""
    return f'{{"type":"input_audio_buffer.append","audio":"{payload}"}}'


def session_update(event_id: str, session: Fields) -> bytes:
    return orjson.dumps({"type": "session.update", "event_id": event_id, "session": session})


def encode(command: cmd.Command, instructions: str) -> bytes:
    """A command as a client event. A response's own instructions replace the session's: so those lead."""
    match command:
        case cmd.CreateResponse(event_id, create_id, extra):
            response: Fields = {"metadata": {"create_id": create_id}}
            if extra:
                response["instructions"] = f"{instructions}\n\n{extra}"
            fields: Fields = {"type": "response.create", "event_id": event_id, "response": response}
        case cmd.CancelResponse(event_id, response_id):
            fields = {"type": "response.cancel", "event_id": event_id}
            if response_id is not None:
                fields["response_id"] = response_id
        case cmd.AddItem(event_id, item):
            fields = {"type": "conversation.item.create", "event_id": event_id, "item": item}
        case cmd.DeleteItem(event_id, item_id):
            fields = {"type": "conversation.item.delete", "event_id": event_id, "item_id": item_id}
        case cmd.TruncateItem(event_id, item_id, content_index, audio_end_ms):
            fields = {
                "type": "conversation.item.truncate",
                "event_id": event_id,
                "item_id": item_id,
                "content_index": content_index,
                "audio_end_ms": audio_end_ms,
            }
        case cmd.CommitAudio(event_id):
            fields = {"type": "input_audio_buffer.commit", "event_id": event_id}
        case _:
            raise TypeError(f"{type(command).__name__} is not for the Realtime connection")
    return orjson.dumps(fields)


def _text(fields: Fields, name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _number(fields: Fields, name: str) -> int:
    value = fields[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(name)
    return value


def _optional_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _speech_started(f: Fields, at: float, g: int) -> ev.Event:
    return ev.SpeechStarted(at, g, _text(f, "item_id"), _number(f, "audio_start_ms"))


def _speech_stopped(f: Fields, at: float, g: int) -> ev.Event:
    return ev.SpeechStopped(at, g, _text(f, "item_id"), _number(f, "audio_end_ms"))


def _committed(f: Fields, at: float, g: int) -> ev.Event:
    return ev.TurnCommitted(at, g, _text(f, "item_id"))


def _transcribed(f: Fields, at: float, g: int) -> ev.Event:
    return ev.TurnTranscribed(at, g, _text(f, "item_id"), _text(f, "transcript"))


def _transcription_failed(f: Fields, at: float, g: int) -> ev.Event:
    return ev.TurnTranscribed(at, g, _text(f, "item_id"), None)


def _created(f: Fields, at: float, g: int) -> ev.Event:
    response = f["response"]
    metadata = response.get("metadata") or {}
    return ev.ResponseCreated(at, g, _text(response, "id"), _optional_text(metadata.get("create_id")))


def _item_added(f: Fields, at: float, g: int) -> ev.Event:
    item = f["item"]
    return ev.ItemAdded(at, g, _text(f, "response_id"), _text(item, "id"), _text(item, "type"))


def _audio(f: Fields, at: float, g: int) -> ev.Event:
    payload = _text(f, "delta")
    duration = len(binascii.a2b_base64(payload, strict_mode=True)) / BYTES_A_MS
    return ev.AudioDelta(
        at, g, _text(f, "response_id"), _text(f, "item_id"), _number(f, "content_index"), payload, duration
    )


def _audio_done(f: Fields, at: float, g: int) -> ev.Event:
    return ev.AudioDone(at, g, _text(f, "response_id"))


def _transcript(f: Fields, at: float, g: int) -> ev.Event:
    return ev.TranscriptDelta(at, g, _text(f, "response_id"), _text(f, "item_id"), _text(f, "delta"))


def _done(f: Fields, at: float, g: int) -> ev.Event:
    response = f["response"]
    output = [item for item in response.get("output") or [] if isinstance(item, dict) and "id" in item]
    calls = tuple(
        ev.FunctionCall(_text(i, "id"), _text(i, "call_id"), _text(i, "name"), _text(i, "arguments"))
        for i in output
        if i.get("type") == "function_call"
    )
    details = response.get("status_details") or {}
    error = details.get("error") or {}
    why = _optional_text(error.get("code")) or _optional_text(details.get("reason"))
    status = ev.ResponseStatus(response["status"])
    return ev.ResponseDone(at, g, _text(response, "id"), status, tuple(_text(i, "id") for i in output), calls, why)


def _error(f: Fields, at: float, g: int) -> ev.Event:
    error = f["error"]
    return ev.ApiError(at, g, _optional_text(error.get("code")), _optional_text(error.get("event_id")))


_PARSERS: dict[str, Parser] = {
    "response.output_audio.delta": _audio,
    "response.output_audio_transcript.delta": _transcript,
    "input_audio_buffer.speech_started": _speech_started,
    "input_audio_buffer.speech_stopped": _speech_stopped,
    "input_audio_buffer.committed": _committed,
    "conversation.item.input_audio_transcription.completed": _transcribed,
    "conversation.item.input_audio_transcription.failed": _transcription_failed,
    "response.created": _created,
    "response.output_item.added": _item_added,
    "response.output_audio.done": _audio_done,
    "response.done": _done,
    "error": _error,
}
