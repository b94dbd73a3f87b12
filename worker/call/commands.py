"""What the machine asks for. `worker/session.py` runs these and decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Command:
    pass


# To the carrier


@dataclass(frozen=True, slots=True)
class PlayAudio(Command):
    payload: str


@dataclass(frozen=True, slots=True)
class PlayRecorded(Command):
    """Play a sentence that ships with Moed (`worker/sentences`), for when there is no model to speak."""

    name: str
    mark: str


@dataclass(frozen=True, slots=True)
class SendMark(Command):
    name: str


@dataclass(frozen=True, slots=True)
class ClearAudio(Command):
    """Empty the phone's buffer. Overtakes every frame that waits to be sent."""


@dataclass(frozen=True, slots=True)
class CloseStream(Command):
    """End the media stream; the carrier then asks `/voice/after`. `state` is the call's stored state."""

    state: str
    reason: str


# To the Realtime connection


@dataclass(frozen=True, slots=True)
class Connect(Command):
    generation: int


@dataclass(frozen=True, slots=True)
class Disconnect(Command):
    generation: int


@dataclass(frozen=True, slots=True)
class OpenUplink(Command):
    """From now on the caller's audio flows, beginning with what is kept since `from_ms` (caller's audio clock)."""

    from_ms: float


@dataclass(frozen=True, slots=True)
class ForgetAudio(Command):
    """Audio before `until_ms` is answered and need not be kept."""

    until_ms: float


@dataclass(frozen=True, slots=True)
class CreateResponse(Command):
    """`extra`: instructions for this response alone, on top of the session's."""

    event_id: str
    create_id: str
    extra: str = ""


@dataclass(frozen=True, slots=True)
class CancelResponse(Command):
    """Without `response_id`: whatever is active (the probe)."""

    event_id: str
    response_id: str | None


@dataclass(frozen=True, slots=True)
class AddItem(Command):
    event_id: str
    item: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TruncateItem(Command):
    event_id: str
    item_id: str
    content_index: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class DeleteItem(Command):
    event_id: str
    item_id: str


@dataclass(frozen=True, slots=True)
class CommitAudio(Command):
    """End the caller's turn by hand."""

    event_id: str


# To the tools, the timeline and the log


@dataclass(frozen=True, slots=True)
class RunTool(Command):
    tool_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Record(Command):
    """A timeline entry. `data` may hold what was said: it goes to the database only."""

    at_ms: float
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Log(Command):
    """A log line: ids, counts and durations only."""

    event: str
    fields: Mapping[str, Any] = field(default_factory=dict)
