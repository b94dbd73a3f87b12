"""Twilio Media Streams: its JSON to and from the call's words (docs/protocols.md, "Twilio Media Streams")."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

BYTES_A_MS = 8


class ProtocolViolationError(Exception):
    """A message that no carrier sends; the text names the rule, never the content."""


@dataclass(frozen=True, slots=True)
class Opened:
    """`start`: who calls, and what the TwiML gave along."""

    call_sid: str
    stream_sid: str
    parameters: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Audio:
    """A frame of the caller's audio: base64 µ-law, checked; usually 20 ms."""

    payload: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Played:
    name: str


@dataclass(frozen=True, slots=True)
class Dtmf:
    digit: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The caller hung up, or the call was redirected."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A message of another stream: to be ignored."""


Message = Opened | Audio | Played | Dtmf | Stopped | Foreign


def parse(text: str | bytes, stream_sid: str | None) -> Message | None:
    """One message; None when there is nothing to do. Before `start`, `stream_sid` is None.

    Raises `ProtocolViolationError` for a binary frame, bad JSON and malformed fields.
    """
    if not isinstance(text, str):
        raise ProtocolViolationError("binary frame")
    try:
        fields = orjson.loads(text)
        event = fields["event"]
        if event == "connected":
            return None
        if event == "start":
            return _opened(fields)
        if stream_sid is None:
            raise ProtocolViolationError("message before start")
        if fields["streamSid"] != stream_sid:
            return Foreign()
        if event == "media":
            payload = fields["media"]["payload"]
            return Audio(payload, len(binascii.a2b_base64(payload, strict_mode=True)) / BYTES_A_MS)
        if event == "mark":
            return Played(_text(fields["mark"], "name"))
        if event == "dtmf":
            return Dtmf(_text(fields["dtmf"], "digit"))
        return Stopped() if event == "stop" else None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        raise ProtocolViolationError("malformed message") from None


def media(stream_sid: str, payload: str) -> str:
    """Audio to play. Both parts are known to need no escaping: an id we checked, and base64."""
    return f'{{"event":"media","streamSid":"{stream_sid}","media":{{"payload":"{payload}"}}}}'


def mark(stream_sid: str, name: str) -> bytes:
    return orjson.dumps({"event": "mark", "streamSid": stream_sid, "mark": {"name": name}})


def clear(stream_sid: str) -> bytes:
    return orjson.dumps({"event": "clear", "streamSid": stream_sid})


def _opened(fields: dict[str, Any]) -> Opened:
    start = fields["start"]
    call_sid, stream_sid = _text(start, "callSid"), _text(start, "streamSid")
    encoding = start["mediaFormat"]
    if encoding["encoding"] != "audio/x-mulaw" or int(encoding["sampleRate"]) != 8000:
        raise ProtocolViolationError("audio is not 8 kHz mu-law")
    if not stream_sid.isalnum() or not call_sid.isalnum() or len(stream_sid) > 64 or len(call_sid) > 64:
        raise ProtocolViolationError("malformed ids")
    parameters = start.get("customParameters") or {}
    return Opened(call_sid, stream_sid, {str(k): str(v) for k, v in parameters.items()})


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or len(value) > 128:
        raise ValueError(name)
    return value
