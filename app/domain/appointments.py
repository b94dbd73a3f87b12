"""The words of scheduling that cross layers: commands in, frozen details out."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime, time


class Status(enum.StrEnum):
    """Where an appointment is in its life. The first three block their time."""

    HELD = "held"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"
    EXPIRED = "expired"


BLOCKING = (Status.HELD, Status.PENDING, Status.CONFIRMED)


class Source(enum.StrEnum):
    """Which front door made it."""

    VOICE = "voice"
    API = "api"
    DASHBOARD = "dashboard"


@dataclass(frozen=True, slots=True, order=True)
class FreeSlot:
    """A start that can be booked now, with the resource that would take it. Instants are aware."""

    starts_at: datetime
    ends_at: datetime
    resource_id: int


@dataclass(frozen=True, slots=True)
class FindSlots:
    """What a caller would like. `day` and `at` are in the business's zone; both may be missing."""

    business_id: int
    day: date | None = None
    at: time | None = None
    limit: int = 3


@dataclass(frozen=True, slots=True)
class SlotSearch:
    """`offers` are free now, soonest or nearest first. `refusal_code`: why the wish itself is not among them."""

    offers: tuple[FreeSlot, ...]
    refusal_code: str | None = None


@dataclass(frozen=True, slots=True)
class BookAppointment:
    """The one command that books, whichever door it comes through.

    `idempotency_key` makes a repetition return the first booking. `resource_id` is the caller's wish;
    without one the service chooses.
    """

    business_id: int
    starts_at: datetime
    customer_name: str
    source: Source
    customer_phone: str | None = None
    notes: str = ""
    resource_id: int | None = None
    call_id: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class AppointmentDetails:
    """A committed row, as every front door sees it. `number` is what is said on the phone."""

    id: int
    business_id: int
    number: int
    resource_id: int
    starts_at: datetime
    ends_at: datetime
    status: Status
    source: Source
    customer_name: str = field(repr=False)
    customer_phone: str | None = field(repr=False, default=None)
    notes: str = field(repr=False, default="")
    call_id: int | None = None
    confirmed_to_caller_at: datetime | None = None
