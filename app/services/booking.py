"""Taking a place: booked for somebody, or held for a few minutes. Under the calendar's lock."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.appointments import BookAppointment, HoldSlot, Source, Status
from app.domain.availability import Refusal
from app.domain.events import EventType
from app.errors import IdempotencyConflict, InvalidInput, SlotRefused, SlotTaken, SlotUnavailable
from app.models import Appointment
from app.services import checks
from app.services.appointment_rows import (
    NOBODY,
    TIME,
    Customer,
    Doer,
    announce,
    checked_customer,
    details_of,
    draw_number,
    record,
    set_customer,
    set_place,
    set_status,
    touch,
)
from app.services.busy_times import LONGEST_FOOTPRINT, decide, read_busy
from app.services.calendar_writes import Writing, Written
from app.services.calendars import Bookable, Rules, Shape, read_rules, read_shape

LONGEST_HOLD_MIN = 60

# Who asks is no part of what is asked.
_NOT_ASKED = ("actor", "idempotency_key")


def checked_booking(command: BookAppointment) -> BookAppointment:
    """The command with its values trimmed and its start in UTC. Raises InvalidInput."""
    key = command.idempotency_key
    if command.overbook and command.resource_id is None:
        raise InvalidInput("resource_id", "is required to overbook")
    _check_ids(command, "resource_id", "appointment_type_id", "call_id")
    return replace(
        command,
        starts_at=checks.instant("starts_at", command.starts_at),
        customer_name=checks.line("customer_name", command.customer_name, 200),
        notes=checks.prose("notes", command.notes, 2000),
        idempotency_key=None if key is None else checks.identifier("idempotency_key", key),
    )


def checked_hold(command: HoldSlot) -> HoldSlot:
    """The same for a hold."""
    key = command.idempotency_key
    _check_ids(command, "resource_id", "appointment_type_id")
    return replace(
        command,
        starts_at=checks.instant("starts_at", command.starts_at),
        minutes=checks.whole_number("minutes", command.minutes, 1, LONGEST_HOLD_MIN),
        idempotency_key=None if key is None else checks.identifier("idempotency_key", key),
    )


def _check_ids(command: BookAppointment | HoldSlot, *fields: str) -> None:
    for field in fields:
        checks.row_id_or_none(field, getattr(command, field))


def book(writing: Writing, command: BookAppointment) -> Written:
    """A confirmed appointment. Raises SlotTaken, SlotRefused, NotFound, InvalidInput, IdempotencyConflict."""
    session = writing.session
    if (earlier := _made_before(writing, command)) is not None:
        return earlier
    customer = checked_customer(
        session,
        command.business_id,
        command.source,
        command.customer_name,
        command.customer_phone,
        command.notes,
    )
    shape = read_shape(session, command.business_id, command.appointment_type_id)
    expire_holds_near(writing, command.starts_at)
    if command.overbook:
        bookable, passed, meets = _over_everything(writing, shape, command)
    else:
        bookable, passed, meets = choose(writing, shape, command.starts_at, command.resource_id), None, False
    row = _new_row(writing, command, bookable, customer)
    row.call_id = command.call_id
    row.overbooked = meets
    set_status(row, Status.CONFIRMED)
    actor = command.actor or (None if command.call_id is None else f"call:{command.call_id}")
    more = {"overbooked": meets, "refusal": passed} if command.overbook else {}
    written = _add(writing, row, "booked", Doer(command.source, actor), **more)
    announce(session, written.details, EventType.APPOINTMENT_CREATED, writing.now)
    return written


def hold(writing: Writing, command: HoldSlot) -> Written:
    """A hold, refused like a booking."""
    if (earlier := _made_before(writing, command)) is not None:
        return earlier
    shape = read_shape(writing.session, command.business_id, command.appointment_type_id)
    expire_holds_near(writing, command.starts_at)
    bookable = choose(writing, shape, command.starts_at, command.resource_id)
    row = _new_row(writing, command, bookable, NOBODY)
    row.status = Status.HELD
    row.expires_at = writing.now + timedelta(minutes=command.minutes)
    return _add(writing, row, "held", Doer(command.source, command.actor))


def refusal_of(
    session: Session, rules: Rules, command: BookAppointment | HoldSlot, now: datetime
) -> SlotUnavailable | None:
    """Why a start can't be taken, as things are now; None: it looks free. Raises NotFound as `choose` does."""
    wished = rules.only(command.resource_id)
    day = wished.day_of(command.starts_at)
    busy = read_busy(session, wished, day, day, now)
    answer = decide(busy.by_preference(day), busy, command.starts_at, now)
    return _refusal_error(answer) if isinstance(answer, Refusal) else None


def choose(
    writing: Writing, shape: Shape, starts_at: datetime, wished: int | None, rather: int | None = None
) -> Bookable:
    """The resource that takes a start: the wished one, or else the least busy that is free, `rather` first.

    Raises SlotTaken, SlotRefused; NotFound for a wish that can't be.
    """
    rules = read_rules(writing.session, writing.business_id, shape).only(wished)
    day = rules.day_of(starts_at)
    busy = read_busy(writing.session, rules, day, day, writing.now)
    candidates = sorted(busy.by_preference(day), key=lambda bookable: bookable.resource_id != rather)
    answer = decide(candidates, busy, starts_at, writing.now)
    if isinstance(answer, Refusal):
        raise _refusal_error(answer)
    return answer


def expire_holds_near(writing: Writing, starts_at: datetime, spare: int | None = None) -> None:
    """Free what overdue holds still occupy around a start: the EXCLUDE constraint knows no clock.

    Not the hold `spare`.
    """
    overdue = select(Appointment).where(
        Appointment.business_id == writing.business_id,
        Appointment.starts_at > starts_at - 2 * LONGEST_FOOTPRINT,
        Appointment.starts_at < starts_at + 2 * LONGEST_FOOTPRINT,
        Appointment.status == Status.HELD,
        Appointment.expires_at <= writing.now,
    )
    for row in writing.session.scalars(overdue).all():
        if row.id != spare:
            expire(writing, row)


def expire(writing: Writing, row: Appointment) -> None:
    """A hold's time is up."""
    set_status(row, Status.EXPIRED)
    touch(row, writing.now)
    record(writing.session, row, "expired", writing.now, TIME)


def _over_everything(
    writing: Writing, shape: Shape, command: BookAppointment
) -> tuple[Bookable, str | None, bool]:
    """The wished resource, the refusal that does not count, and whether somebody else is in the place."""
    rules = read_rules(writing.session, writing.business_id, shape).only(command.resource_id)
    day = rules.day_of(command.starts_at)
    busy = read_busy(writing.session, rules, day, day, writing.now)
    answer = decide(rules.bookables, busy, command.starts_at, writing.now)
    bookable = rules.bookables[0]
    if not isinstance(answer, Refusal):
        return bookable, None, False
    if answer.code == "past":
        raise _refusal_error(answer)
    return bookable, answer.code, busy.meets(bookable, command.starts_at)


def _refusal_error(refusal: Refusal) -> SlotUnavailable:
    if refusal.code == "taken":
        return SlotTaken(refusal.message)
    return SlotRefused(refusal.code, refusal.message)


def _new_row(
    writing: Writing, command: BookAppointment | HoldSlot, bookable: Bookable, customer: Customer
) -> Appointment:
    row = Appointment(
        business_id=writing.business_id,
        number=writing.number,
        overbooked=False,
        is_test=False,
        source=Source(command.source),
        appointment_type_id=command.appointment_type_id,
        idempotency_key=command.idempotency_key,
        idempotency_sha256=None if command.idempotency_key is None else _fingerprint(command),
        version=1,
        created_at=writing.now,
        updated_at=writing.now,
    )
    set_place(row, bookable.resource_id, command.starts_at, bookable.policy)
    set_customer(row, customer)
    return row


def _add(writing: Writing, row: Appointment, kind: str, doer: Doer, **more: object) -> Written:
    draw_number(writing.session, writing.business_id)
    writing.session.add(row)
    writing.session.flush()
    change = record(writing.session, row, kind, writing.now, doer, **more)
    return Written(details_of(row, writing.zone), change)


def _made_before(writing: Writing, command: BookAppointment | HoldSlot) -> Written | None:
    """What this very command has made before. Raises IdempotencyConflict for another one with its key."""
    row = find_made_before(writing.session, command)
    if row is None:
        return None
    if row.idempotency_sha256 != _fingerprint(command):
        raise IdempotencyConflict("this key has booked something else")
    return Written(details_of(row, writing.zone))


def find_made_before(session: Session, command: BookAppointment | HoldSlot) -> Appointment | None:
    """The row that was made with the command's key."""
    if command.idempotency_key is None:
        return None
    return session.scalars(
        select(Appointment).where(
            Appointment.business_id == command.business_id,
            Appointment.idempotency_key == command.idempotency_key,
        )
    ).one_or_none()


def _fingerprint(command: BookAppointment | HoldSlot) -> bytes:
    """Of the command and not of the row, which may have been moved or corrected since.

    What was not asked for is left out, so that a new optional field does not disown the older keys.
    """
    asked = {
        name: value
        for name, value in asdict(command).items()
        if value is not None and value is not False and name not in _NOT_ASKED
    }
    asked["starts_at"] = command.starts_at.isoformat()
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()
