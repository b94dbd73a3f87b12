"""Reading appointments: one, a page of them, the audit trail of one."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import InstrumentedAttribute

from app.domain.appointments import (
    NEVER_BOOKED,
    AppointmentChange,
    AppointmentDetails,
    AppointmentFilter,
)
from app.domain.customers import name_key, phone_reversed, prefix_range
from app.domain.pages import Page, PageRequest
from app.errors import InvalidInput
from app.models import Appointment
from app.models import AppointmentChange as AppointmentChangeRow
from app.services import checks
from app.services.appointment_rows import details_of, find_row
from app.services.calendars import as_local, country_of, zone_of
from app.services.database import Database
from app.services.rows import read_page


class AppointmentLists:
    """What is booked, for whoever looks. Writes nothing."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, business_id: int, appointment_id: int) -> AppointmentDetails:
        """One appointment as it is now; raises NotFound."""
        with self._db.reading(business_id) as session:
            return details_of(find_row(session, business_id, appointment_id), zone_of(session, business_id))

    def page(self, business_id: int, wanted: AppointmentFilter, request: PageRequest) -> Page[AppointmentDetails]:
        """By start, then id. Raises InvalidInput."""
        with self._db.reading(business_id) as session:
            zone = zone_of(session, business_id)
            return read_page(
                session,
                select(Appointment).where(
                    Appointment.business_id == business_id, *_conditions(session, business_id, wanted)
                ),
                request,
                (Appointment.starts_at, Appointment.id),
                lambda row: (row.starts_at, row.id),
                lambda row: details_of(row, zone),
            )

    def history(self, business_id: int, appointment_id: int) -> tuple[AppointmentChange, ...]:
        """All that was ever done to one appointment, in order; raises NotFound."""
        with self._db.reading(business_id) as session:
            find_row(session, business_id, appointment_id)
            return history_of(session, business_id, appointment_id, zone_of(session, business_id))


def history_of(
    session: Session, business_id: int, appointment_id: int, zone: ZoneInfo
) -> tuple[AppointmentChange, ...]:
    """The lines of an appointment's audit trail, oldest first."""
    lines = session.scalars(
        select(AppointmentChangeRow)
        .where(
            AppointmentChangeRow.business_id == business_id,
            AppointmentChangeRow.appointment_id == appointment_id,
        )
        .order_by(AppointmentChangeRow.id)
    )
    return tuple(
        AppointmentChange(line.id, line.kind, line.source, line.actor, line.data, as_local(line.changed_at, zone))
        for line in lines
    )


def _conditions(session: Session, business_id: int, wanted: AppointmentFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.from_ is not None:
        found.append(Appointment.starts_at >= checks.instant("from", wanted.from_))
    if wanted.to is not None:
        found.append(Appointment.starts_at < checks.instant("to", wanted.to))
    if wanted.statuses:
        found.append(Appointment.status.in_(wanted.statuses))
    else:
        found.append(Appointment.status.not_in(NEVER_BOOKED))
    if wanted.resource_id is not None:
        found.append(Appointment.resource_id == checks.row_id("resource_id", wanted.resource_id))
    if wanted.call_id is not None:
        found.append(Appointment.call_id == checks.row_id("call_id", wanted.call_id))
    if not wanted.include_test:
        found.append(Appointment.is_test.is_(False))
    return found + _of_customer(session, business_id, wanted)


def _of_customer(session: Session, business_id: int, wanted: AppointmentFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.phone is not None:
        number = checks.local_phone_number("phone", wanted.phone, country_of(session, business_id))
        found.append(Appointment.phone_reversed == phone_reversed(number))
    if wanted.phone_ends_with is not None:
        digits = checks.phone_digits("phone_ends_with", wanted.phone_ends_with)
        found += _begins_with(Appointment.phone_reversed, phone_reversed(digits))
    if wanted.name_begins_with is not None:
        key = name_key(checks.line("name", wanted.name_begins_with, 200))
        if not key:
            raise InvalidInput("name", "must have a letter or a digit")
        found += _begins_with(Appointment.name_key, key)
    return found


def _begins_with(
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None], prefix: str
) -> list[ColumnElement[bool]]:
    """By comparison: under row security LIKE can't use an index (it is not leakproof)."""
    low, high = prefix_range(prefix)
    return [column >= low, column < high]
