"""Changing an appointment that is there: moved, cancelled, closed, corrected. Under the calendar's lock."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy.orm import Session

from app.domain.appointments import (
    TRANSITIONS,
    Action,
    ChangeStatus,
    ConfirmHold,
    RescheduleAppointment,
    Status,
    UpdateDetails,
)
from app.domain.events import EventType
from app.errors import InvalidInput, InvalidState, NotFound, SlotUnavailable
from app.models import Appointment
from app.services import checks
from app.services.appointment_rows import (
    Customer,
    Doer,
    announce,
    checked_customer,
    details_of,
    lock_row,
    record,
    set_customer,
    set_place,
    set_status,
    touch,
)
from app.services.booking import choose, expire_holds_near
from app.services.calendar_writes import Writing, Written
from app.services.calendars import Shape, resources_of_type
from app.services.rows import check_version

_DETAILS = frozenset({"customer_name", "customer_phone", "notes"})

_KINDS = {
    Action.CANCEL: "cancelled",
    Action.NO_SHOW: "no_show",
    Action.COMPLETE: "completed",
    Action.RELEASE_HOLD: "released",
}
"""What the audit trail calls them."""

_EVENTS = {Action.CANCEL: EventType.APPOINTMENT_CANCELLED, Action.NO_SHOW: EventType.APPOINTMENT_NO_SHOW}


def checked_move(command: RescheduleAppointment) -> RescheduleAppointment:
    """The command with its start in UTC. Raises InvalidInput."""
    checks.row_id_or_none("resource_id", command.resource_id)
    return replace(command, starts_at=checks.instant("starts_at", command.starts_at))


def checked_change(command: ChangeStatus) -> ChangeStatus:
    """Raises InvalidInput."""
    if command.reason is not None:
        checks.prose("reason", command.reason, 500)
    return command


def checked_details(command: UpdateDetails) -> UpdateDetails:
    """Raises InvalidInput for what is no detail; the values are checked with the row at hand."""
    for field in sorted(command.changes.keys() - _DETAILS):
        raise InvalidInput(field, "is not a detail that can be changed")
    for field in ("customer_name", "notes"):
        if field in command.changes and command.changes[field] is None:
            raise InvalidInput(field, "must not be null")
    return command


def reschedule(writing: Writing, command: RescheduleAppointment) -> Written:
    """The same appointment at another start, with its length, buffers and number.

    Raises SlotTaken, SlotRefused, NotFound, InvalidState, StaleVersion. Where it is already, nothing is written
    (RFC 9110, 13.1.1: a change that has been made already may be answered as if it were made now).
    """
    session = writing.session
    row = lock_row(session, writing.business_id, command.appointment_id)
    there = row.starts_at == command.starts_at and command.resource_id in (None, row.resource_id)
    if there and not row.overbooked and row.status in TRANSITIONS[Action.RESCHEDULE].sources:
        return Written(details_of(row, writing.zone))
    _check(writing, row, Action.RESCHEDULE, command.expected_version)
    expire_holds_near(writing, command.starts_at)
    shape = shape_of(session, row)
    bookable = choose(writing, shape, command.starts_at, command.resource_id, rather=row.resource_id)
    previous, before = row.starts_at, row.resource_id
    set_place(row, bookable.resource_id, command.starts_at, bookable.policy)
    row.overbooked = False
    touch(row, writing.now)
    doer = Doer(command.source, command.actor)
    old = {"previous_starts_at": previous.isoformat(), "previous_resource_id": before}
    change = record(session, row, "rescheduled", writing.now, doer, **old)
    details = details_of(row, writing.zone)
    announce(session, details, EventType.APPOINTMENT_RESCHEDULED, writing.now, previous)
    return Written(details, change)


def change_status(writing: Writing, command: ChangeStatus, action: Action) -> Written:
    """Cancel, no-show, complete or release. In the status that is wanted already, nothing is written.

    Raises NotFound, InvalidState, StaleVersion.
    """
    session, target = writing.session, TRANSITIONS[action].target
    row = lock_row(session, writing.business_id, command.appointment_id)
    if target is None or row.status == target:
        return Written(details_of(row, writing.zone))
    _check(writing, row, action, command.expected_version)
    set_status(row, target)
    if action is Action.CANCEL:
        row.cancel_reason = command.reason
    touch(row, writing.now)
    change = record(session, row, _KINDS[action], writing.now, Doer(command.source, command.actor))
    details = details_of(row, writing.zone)
    if action in _EVENTS:
        announce(session, details, _EVENTS[action], writing.now)
    return Written(details, change)


def update_details(writing: Writing, command: UpdateDetails) -> Written:
    """Correct name, phone or notes. Raises NotFound, InvalidState, StaleVersion, InvalidInput."""
    row = lock_row(writing.session, writing.business_id, command.appointment_id)
    _check(writing, row, Action.UPDATE_DETAILS, command.expected_version)
    known = Customer(row.customer_name, row.customer_phone, row.notes)
    customer = _corrected(writing, command, known)
    if customer == known:
        return Written(details_of(row, writing.zone))
    set_customer(row, customer)
    touch(row, writing.now)
    doer = Doer(command.source, command.actor)
    # Which were changed, not to what: that is personal.
    change = record(writing.session, row, "details_changed", writing.now, doer, fields=sorted(command.changes))
    return Written(details_of(row, writing.zone), change)


def confirm_hold(writing: Writing, command: ConfirmHold) -> Written:
    """A hold becomes an appointment. One that is overdue still does, if its place could be booked now.

    Raises NotFound, InvalidState, StaleVersion, InvalidInput.
    """
    session = writing.session
    row = lock_row(session, writing.business_id, command.appointment_id)
    _check(writing, row, Action.CONFIRM_HOLD, command.expected_version)
    if row.expires_at is not None and row.expires_at <= writing.now:
        _take_again(writing, row)
    named = command.customer_name, command.customer_phone, command.notes
    set_customer(row, checked_customer(session, writing.business_id, command.source, *named))
    set_status(row, Status.CONFIRMED)
    touch(row, writing.now)
    change = record(session, row, "confirmed", writing.now, Doer(command.source, command.actor))
    details = details_of(row, writing.zone)
    announce(session, details, EventType.APPOINTMENT_CREATED, writing.now)
    return Written(details, change)


def shape_of(session: Session, row: Appointment) -> Shape:
    """What is being moved: its own length and buffers, on a resource that takes its type."""
    type_id = row.appointment_type_id
    return Shape(
        duration_min=(row.ends_at - row.starts_at) // timedelta(minutes=1),
        buffer_before_min=row.buffer_before_min,
        buffer_after_min=row.buffer_after_min,
        resources=None if type_id is None else resources_of_type(session, row.business_id, type_id),
        leave_out=row.id,
    )


def _take_again(writing: Writing, row: Appointment) -> None:
    expire_holds_near(writing, row.starts_at, spare=row.id)
    try:
        choose(writing, shape_of(writing.session, row), row.starts_at, row.resource_id)
    except (SlotUnavailable, NotFound):
        raise InvalidState("the hold has expired, and its place can't be booked any more") from None


def _check(writing: Writing, row: Appointment, action: Action, expected_version: int | None) -> None:
    check_version(row.version, expected_version)
    transition = TRANSITIONS[action]
    if row.status not in transition.sources:
        raise InvalidState(f"{action} is not possible in status {row.status}")
    if transition.begun and row.starts_at > writing.now:
        raise InvalidState(f"{action} is not possible before the appointment has begun")


def _corrected(writing: Writing, command: UpdateDetails, known: Customer) -> Customer:
    """The customer with the changes. A number that stays is not looked at again."""
    values = {"customer_name": known.name, "notes": known.notes, "customer_phone": None, **command.changes}
    customer = checked_customer(
        writing.session,
        writing.business_id,
        command.source,
        str(values["customer_name"]),
        values["customer_phone"],
        str(values["notes"]),
    )
    return customer if "customer_phone" in command.changes else replace(customer, phone=known.phone)
