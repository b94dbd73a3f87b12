"""What a business is and how its receptionist behaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.domain.calls import CallGoal

LANGUAGES = ("he", "en")
SILENCE_TIMEOUT_MS = range(1000, 120_001)
MAX_CALL_MINUTES = range(1, 56)
RETENTION_DAYS = range(1, 3651)
MOST_PHONE_NUMBERS = 50


@dataclass(frozen=True, slots=True)
class NewBusiness:
    """A business to be made, all of it or nothing.

    Phone numbers are E.164, resources are names, the policy is `SlotPolicies.put_policy`'s, the country is an
    ISO 3166 code. Transcripts are kept for `transcript_retention_days`; None: for ever.
    """

    name: str
    timezone: str
    language: str
    call_goal: CallGoal = CallGoal.APPOINTMENT
    phone_numbers: Sequence[str] = field(default=(), repr=False)
    greeting: str = ""
    instructions: str = ""
    voice: str = "marin"
    barge_in_enabled: bool = True
    barge_in_after_greeting: bool = False
    silence_timeout_ms: int = 10_000
    max_call_minutes: int = 20
    resources: Sequence[str] = ()
    slot_policy: Mapping[str, Any] | None = None
    country: str = "IL"
    transcripts_kept: bool = True
    transcript_retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class BusinessDetails:
    """A business as its settings page sees it. `created_at` is local time of the business."""

    id: int
    name: str
    timezone: str
    country: str
    language: str
    phone_numbers: tuple[str, ...] = field(repr=False)
    call_goal: CallGoal
    greeting: str
    instructions: str
    voice: str
    barge_in_enabled: bool
    barge_in_after_greeting: bool
    silence_timeout_ms: int
    max_call_minutes: int
    transcripts_kept: bool
    transcript_retention_days: int | None
    version: int
    created_at: datetime
