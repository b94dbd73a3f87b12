"""A row of `appointments`: how it is found, written, described, noted in the audit trail and announced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from app.domain.appointments import AppointmentDetails, Source, Status
from app.domain.customers import name_key, phone_reversed
from app.domain.events import EventType
from app.domain.slot_policy import SlotPolicy
from app.errors import NotFound
from app.models import Appointment, AppointmentChange, Calendar
from app.services import checks
from app.services.calendars import as_local, country_of
from app.services.events import appointment_event


@dataclass(frozen=True, slots=True)
class Doer:
    """Who changes something, and through which door. Time itself has neither."""

    source: Source | None = None
    actor: str | None = None


TIME = Doer()


@dataclass(frozen=True, slots=True)
class Customer:
    """What is known of whom an appointment is for; made by `checked_customer`."""

    name: str
    phone: str | None
    notes: str


NOBODY = Customer("", None, "")


def find_row(session: Session, business_id: int, appointment_id: int) -> Appointment:
    """The row as it is; raises NotFound."""
    row = session.get(Appointment, (business_id, checks.row_id("appointment_id", appointment_id)))
    if row is None:
        raise NotFound("no such appointment")
    return row


def lock_row(session: Session, business_id: int, appointment_id: int) -> Appointment:
    """The row, which nobody else can change until the transaction ends; raises NotFound.

    Whoever needs the calendar's lock takes that first.
    """
    key = (business_id, checks.row_id("appointment_id", appointment_id))
    row = session.get(Appointment, key, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise NotFound("no such appointment")
    return row


def draw_number(session: Session, business_id: int) -> None:
    """Use up the number that `lock_calendar` has shown."""
    session.execute(
        update(Calendar).where(Calendar.business_id == business_id).values(next_number=Calendar.next_number + 1)
    )


def checked_customer(
    session: Session, business_id: int, source: Source | None, name: str, phone: str | None, notes: str
) -> Customer:
    """Raises InvalidInput. A number from a call is the carrier's, and so in E.164; a person types as they dial."""
    if phone is not None and source == Source.VOICE:
        phone = checks.phone_number("customer_phone", phone)
    elif phone is not None:
        phone = checks.local_phone_number("customer_phone", phone, country_of(session, business_id))
    return Customer(checks.line("customer_name", name, 200), phone, checks.prose("notes", notes, 2000))


def set_customer(row: Appointment, customer: Customer) -> None:
    """The only place that writes these columns, so that what is searched is always what is shown."""
    row.customer_name = customer.name
    row.name_key = name_key(customer.name)
    row.customer_phone = customer.phone
    row.phone_reversed = None if customer.phone is None else phone_reversed(customer.phone)
    row.notes = customer.notes


def set_place(row: Appointment, resource_id: int, starts_at: datetime, policy: SlotPolicy) -> None:
    """The time and the resource, with the length and the buffers of `policy`."""
    before, after = policy.buffer_before_min, policy.buffer_after_min
    row.resource_id = resource_id
    row.starts_at = starts_at
    row.ends_at = starts_at + timedelta(minutes=policy.slot_size_min)
    row.buffer_before_min = before
    row.buffer_after_min = after
    row.footprint = Range(starts_at - timedelta(minutes=before), row.ends_at + timedelta(minutes=after))


def set_status(row: Appointment, status: Status) -> None:
    """Only holds expire."""
    row.status = status
    row.expires_at = None


def touch(row: Appointment, now: datetime) -> None:
    """Every change of a row that is there already makes it a new version."""
    row.version += 1
    row.updated_at = now


def record(
    session: Session, row: Appointment, kind: str, now: datetime, doer: Doer, **more: object
) -> AppointmentChange:
    """A line of the audit trail: no personal data. Flushed, so that a conflict shows here."""
    line = AppointmentChange(
        business_id=row.business_id,
        appointment_id=row.id,
        kind=kind,
        source=doer.source,
        actor=doer.actor,
        data={
            "starts_at": row.starts_at.isoformat(),
            "resource_id": row.resource_id,
            "status": row.status,
            "call_id": row.call_id,
            **more,
        },
        changed_at=now,
    )
    session.add(line)
    session.flush()
    return line


def announce(
    session: Session,
    details: AppointmentDetails,
    kind: EventType,
    now: datetime,
    previous_starts_at: datetime | None = None,
) -> None:
    """Tell other programs, in this transaction; not of test calls."""
    if not details.is_test:
        appointment_event(session, details, kind, now, previous_starts_at)


def details_of(row: Appointment, zone: ZoneInfo) -> AppointmentDetails:
    """The row as every front door sees it, in the business's time."""

    def local(moment: datetime | None) -> datetime | None:
        return None if moment is None else as_local(moment, zone)

    return AppointmentDetails(
        id=row.id,
        business_id=row.business_id,
        number=row.number,
        resource_id=row.resource_id,
        starts_at=as_local(row.starts_at, zone),
        ends_at=as_local(row.ends_at, zone),
        status=Status(row.status),
        source=Source(row.source),
        customer_name=row.customer_name,
        customer_phone=row.customer_phone,
        notes=row.notes,
        call_id=row.call_id,
        confirmed_to_caller_at=local(row.confirmed_to_caller_at),
        appointment_type_id=row.appointment_type_id,
        overbooked=row.overbooked,
        cancel_reason=row.cancel_reason,
        is_test=row.is_test,
        expires_at=local(row.expires_at),
        version=row.version,
        timezone=zone.key,
        created_at=local(row.created_at),
        updated_at=local(row.updated_at),
    )
