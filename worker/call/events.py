"""What can happen to a call. Each event carries `at_ms`: milliseconds on the call's own clock.

Events of the Realtime connection also carry its `generation`; those of an older one are dropped
(a replaced socket may still deliver).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    at_ms: float


@dataclass(frozen=True, slots=True)
class StreamStarted(Event):
    """The carrier's media stream is authenticated and flows."""


@dataclass(frozen=True, slots=True)
class StreamEnded(Event):
    """The stream is over. `state`: "ended" when the caller hung up, "lost" when the call itself may go on."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class MarkReturned(Event):
    """The carrier played everything up to this mark, or was told to clear (protocol 2.2)."""

    name: str


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """`CallMachine.wake_at_ms` has come."""


@dataclass(frozen=True, slots=True)
class ToolFinished(Event):
    """A tool's JSON answer for the model."""

    tool_call_id: str
    output: str


@dataclass(frozen=True, slots=True)
class RealtimeEvent(Event):
    generation: int


@dataclass(frozen=True, slots=True)
class ConnectionReady(RealtimeEvent):
    """`session.updated` echoed our configuration."""


@dataclass(frozen=True, slots=True)
class ConnectionLost(RealtimeEvent):
    """Refused, dropped, closed (1001 too), or configured otherwise than asked; `reason` is a word for the log."""

    reason: str


@dataclass(frozen=True, slots=True)
class SpeechStarted(RealtimeEvent):
    """`audio_start_ms`: on the connection's audio clock, prefix padding included (protocol 1.6 B)."""

    item_id: str
    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped(RealtimeEvent):
    item_id: str
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class TurnCommitted(RealtimeEvent):
    item_id: str


@dataclass(frozen=True, slots=True)
class TurnTranscribed(RealtimeEvent):
    """`text` is None when transcription failed. May come at any time, or never."""

    item_id: str
    text: str | None


@dataclass(frozen=True, slots=True)
class ResponseCreated(RealtimeEvent):
    """`create_id` comes back in the metadata; None or unknown: not ours."""

    response_id: str
    create_id: str | None


@dataclass(frozen=True, slots=True)
class ItemAdded(RealtimeEvent):
    """`response.output_item.added`: the response has begun this item. `kind`: message or function_call."""

    response_id: str
    item_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class AudioDelta(RealtimeEvent):
    """`payload` is base64 µ-law, passed on unchanged; `duration_ms` its length (8 bytes are 1 ms)."""

    response_id: str
    item_id: str
    content_index: int
    payload: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class AudioDone(RealtimeEvent):
    response_id: str


@dataclass(frozen=True, slots=True)
class TranscriptDelta(RealtimeEvent):
    """What the model says, ahead of its audio."""

    response_id: str
    item_id: str
    text: str


class ResponseStatus(enum.StrEnum):
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A tool call in a response's output. `arguments` is the model's text: any string."""

    item_id: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ResponseDone(RealtimeEvent):
    """`item_ids`: every item of the output. `why`: status_details' reason or error code."""

    response_id: str
    status: ResponseStatus
    item_ids: tuple[str, ...] = ()
    calls: tuple[FunctionCall, ...] = ()
    why: str | None = None


@dataclass(frozen=True, slots=True)
class ApiError(RealtimeEvent):
    """An `error` event. `event_id`: of our event that it answers; may be None (protocol 1.6 L)."""

    code: str | None
    event_id: str | None
