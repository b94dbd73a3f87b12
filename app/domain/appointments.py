"""The words of scheduling that cross layers: commands in, frozen details out."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any


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

NEVER_BOOKED = (Status.HELD, Status.EXPIRED)
"""A hold, or what is left of one: it has no customer."""


class Action(enum.StrEnum):
    """What can be done to an appointment that is there."""

    CONFIRM_HOLD = "confirm_hold"
    RELEASE_HOLD = "release_hold"
    RESCHEDULE = "reschedule"
    CANCEL = "cancel"
    NO_SHOW = "no_show"
    COMPLETE = "complete"
    UPDATE_DETAILS = "update_details"


@dataclass(frozen=True, slots=True)
class Transition:
    """From which statuses an action is possible, and which one it leads to; None: it stays.

    `begun`: only once the appointment has begun.
    """

    sources: frozenset[Status]
    target: Status | None
    begun: bool = False


TRANSITIONS: Mapping[Action, Transition] = {
    Action.CONFIRM_HOLD: Transition(frozenset({Status.HELD}), Status.CONFIRMED),
    Action.RELEASE_HOLD: Transition(frozenset({Status.HELD}), Status.EXPIRED),
    Action.RESCHEDULE: Transition(frozenset({Status.PENDING, Status.CONFIRMED}), None),
    Action.CANCEL: Transition(frozenset({Status.PENDING, Status.CONFIRMED}), Status.CANCELLED),
    # One of these two may have been a slip.
    Action.NO_SHOW: Transition(frozenset({Status.CONFIRMED, Status.COMPLETED}), Status.NO_SHOW, begun=True),
    Action.COMPLETE: Transition(frozenset({Status.CONFIRMED, Status.NO_SHOW}), Status.COMPLETED, begun=True),
    Action.UPDATE_DETAILS: Transition(
        frozenset({Status.PENDING, Status.CONFIRMED, Status.COMPLETED, Status.NO_SHOW}), None
    ),
}
"""The whole life of an appointment after it was made. What is not here is refused."""


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
    appointment_type_id: int | None = None


@dataclass(frozen=True, slots=True)
class SlotSearch:
    """`offers` are free now, soonest or nearest first. `refusal_code`: why the wish itself is not among them."""

    offers: tuple[FreeSlot, ...]
    refusal_code: str | None = None


@dataclass(frozen=True, slots=True)
class FindAvailability:
    """Every free start of the local dates `first_day`..`last_day`, at most 31 of them."""

    business_id: int
    first_day: date
    last_day: date
    appointment_type_id: int | None = None
    resource_id: int | None = None


@dataclass(frozen=True, slots=True)
class DayAvailability:
    """The free starts of a local date. Without any, `refusal_code` and `message` say why."""

    day: date
    slots: tuple[FreeSlot, ...]
    refusal_code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Availability:
    """A range of local dates, in the business's IANA zone."""

    timezone: str
    days: tuple[DayAvailability, ...]


@dataclass(frozen=True, slots=True)
class BookAppointment:
    """The one command that books, whichever door it comes through.

    `idempotency_key` makes a repetition return the first booking. `resource_id` is the caller's wish; without one
    the service chooses. `overbook` books whatever the policy says and whoever is there, but not the past; it wants
    a `resource_id`. `actor` is who does it (`key:7`, `user:3`); of a call it is the call.
    """

    business_id: int
    starts_at: datetime
    customer_name: str = field(repr=False)
    source: Source
    customer_phone: str | None = field(repr=False, default=None)
    notes: str = field(repr=False, default="")
    resource_id: int | None = None
    call_id: int | None = None
    idempotency_key: str | None = None
    appointment_type_id: int | None = None
    overbook: bool = False
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class HoldSlot:
    """Keep a start for somebody who is still filling in a form. It ends by itself after `minutes` (1 to 60)."""

    business_id: int
    starts_at: datetime
    source: Source
    actor: str | None = None
    appointment_type_id: int | None = None
    resource_id: int | None = None
    minutes: int = 5
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class ConfirmHold:
    """Turn a hold into an appointment; it keeps its id and its number."""

    business_id: int
    appointment_id: int
    customer_name: str = field(repr=False)
    source: Source
    actor: str | None = None
    customer_phone: str | None = field(repr=False, default=None)
    notes: str = field(repr=False, default="")
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class RescheduleAppointment:
    """Move an appointment to another start. Without `resource_id` it stays where it is, if that is free."""

    business_id: int
    appointment_id: int
    starts_at: datetime
    source: Source
    actor: str | None = None
    resource_id: int | None = None
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeStatus:
    """Cancel, no-show, complete or release. `reason` is kept of a cancellation."""

    business_id: int
    appointment_id: int
    source: Source
    actor: str | None = None
    reason: str | None = field(repr=False, default=None)
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class UpdateDetails:
    """Correct what is known of the customer. What is not in `changes` stays.

    Keys of `changes`: `customer_name`, `customer_phone` (None: unknown), `notes`.
    """

    business_id: int
    appointment_id: int
    source: Source
    changes: Mapping[str, str | None] = field(repr=False)
    actor: str | None = None
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class AppointmentFilter:
    """Which appointments to list; what is None does not restrict.

    `from_` and `to` are instants, `to` excluded. `phone` is a whole number, `phone_ends_with` its last digits. No
    `statuses`: all that were ever booked, which leaves out holds. Those of test calls only on request.
    """

    from_: datetime | None = None
    to: datetime | None = None
    statuses: tuple[Status, ...] = ()
    resource_id: int | None = None
    phone: str | None = field(repr=False, default=None)
    phone_ends_with: str | None = field(repr=False, default=None)
    name_begins_with: str | None = field(repr=False, default=None)
    call_id: int | None = None
    include_test: bool = False


@dataclass(frozen=True, slots=True)
class AppointmentDetails:
    """A committed row, as every front door sees it. `number` is what is said on the phone.

    `timezone` is the business's IANA zone; all instants are in it. `expires_at`: a hold's end.
    """

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
    appointment_type_id: int | None = None
    overbooked: bool = False
    cancel_reason: str | None = field(repr=False, default=None)
    is_test: bool = False
    expires_at: datetime | None = None
    version: int = 1
    timezone: str = "UTC"
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AppointmentChange:
    """A line of the audit trail: who did what, when, through which door. `data` holds no personal data."""

    id: int
    kind: str
    source: str | None
    actor: str | None
    data: Mapping[str, Any]
    changed_at: datetime
