"""The words of a phone call that cross layers: who calls, what the business wants, what was stored."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


class CallGoal(enum.StrEnum):
    """What a business's calls are for. It alone decides which tools are registered."""

    APPOINTMENT = "appointment"
    MESSAGE = "message"


class CallState(enum.StrEnum):
    """Where a call is. `LOST` and `ENDED` are final for a stream; only `ENDED` and `FAILED` for the call."""

    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    LOST = "lost"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class BusinessProfile:
    """What a call needs to know of its business."""

    id: int
    name: str
    timezone: str
    language: str
    call_goal: CallGoal
    greeting: str
    instructions: str
    voice: str
    barge_in_enabled: bool
    barge_in_after_greeting: bool
    silence_timeout_ms: int
    max_call_minutes: int


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """The carrier's webhook, validated. Numbers are E.164 or None (withheld)."""

    call_sid: str
    to_number: str = field(repr=False)
    from_number: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AcceptedCall:
    """What the TwiML needs. `media_token` is good once, for 60 s, for this call alone."""

    call_id: int
    business_id: int
    language: str
    media_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AfterStream:
    """What the carrier is to do when a stream has ended: `hang_up`, `reconnect` (with a token) or `apologise`."""

    action: str
    language: str
    media_token: str | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class CallBriefing:
    """What the worker gets for a valid token."""

    call_id: int
    call_sid: str
    business: BusinessProfile
    stream_number: int
    caller_number: str | None = field(repr=False)
    history: tuple[TimelineEntry, ...] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened in a call, `at_ms` after its first stream began. `data` may hold personal data."""

    at_ms: int
    kind: str
    data: Mapping[str, Any] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallClosing:
    """How a stream ended: the call's state, a word why, and its counts.

    `stream_number` is the briefing's. With it a worker that reports late, after another stream of the call has
    begun, adds its counts and leaves the state alone.
    """

    state: CallState
    reason: str
    barge_ins: int
    duration_ms: int
    stream_number: int | None = None


@dataclass(frozen=True, slots=True)
class CallDetails:
    """What is stored of a call. Counts are sums over its streams."""

    id: int
    business_id: int
    call_sid: str
    state: CallState
    end_reason: str | None
    stream_count: int
    barge_ins: int
    duration_ms: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    caller_number: str | None = field(repr=False)
    timeline: tuple[TimelineEntry, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls to list; what is None is not asked for.

    `from_at` inclusive and `to_at` exclusive are about when the call came in. `caller` is a whole number in E.164,
    `caller_ends_with` its last digits. `booked`: whether the call made an appointment.
    """

    from_at: datetime | None = None
    to_at: datetime | None = None
    state: CallState | None = None
    caller: str | None = field(repr=False, default=None)
    caller_ends_with: str | None = field(repr=False, default=None)
    booked: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSummary:
    """A call as lists show it. Instants carry the offset of `timezone`, the business's. Counts are sums over its
    streams. `transcript_erased_at`: since when what was said is gone, by age or on request.
    """

    id: int
    call_sid: str
    state: CallState
    end_reason: str | None
    called_number: str
    caller_number: str | None = field(repr=False)
    stream_count: int
    barge_ins: int
    duration_ms: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    transcript_erased_at: datetime | None
    timezone: str
    appointment_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord(CallSummary):
    """A call with all that happened in it."""

    timeline: tuple[TimelineEntry, ...] = field(repr=False)
