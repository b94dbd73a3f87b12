"""Things that tests need, with the values that they do not care about filled in."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, text

from app.domain.appointments import (
    AppointmentDetails,
    BookAppointment,
    ChangeStatus,
    ConfirmHold,
    HoldSlot,
    RescheduleAppointment,
    Source,
)
from app.domain.calls import IncomingCall
from app.services import Services
from app.services.businesses import NewBusiness

JERUSALEM = ZoneInfo("Asia/Jerusalem")
SUNDAY = date(2026, 11, 22)
MONDAY = SUNDAY + timedelta(days=1)
FRIDAY = SUNDAY + timedelta(days=5)

POLICY: Mapping[str, Any] = {
    "weekly_hours": {day: [["09:00", "17:00"]] for day in ("sun", "mon", "tue", "wed", "thu")},
    "slot_size_min": 30,
}

_serial = itertools.count(1)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Move by a timedelta's arguments."""
        self.now += timedelta(**duration)


@dataclass(frozen=True)
class SomeBusiness:
    """A business that a test made."""

    id: int
    phone_number: str
    resources: tuple[int, ...]


def local(day: date, at: str) -> datetime:
    """A wall-clock time in Jerusalem."""
    return datetime.combine(day, time.fromisoformat(at), JERUSALEM)


def new_phone_number() -> str:
    """A number that no other business of this run has."""
    return f"+9723{next(_serial):07}"


def new_business(
    services: Services, resources: Sequence[str] = ("Room 1",), call_goal: Any = "appointment", **policy: Any
) -> SomeBusiness:
    """A business with `POLICY`, changed by `policy`."""
    number = new_phone_number()
    business_id = services.businesses.create_business(
        NewBusiness("Clinic", "Asia/Jerusalem", "en", call_goal=call_goal, phone_numbers=[number])
    )
    services.businesses.set_slot_policy(business_id, {**POLICY, **policy})
    ids = tuple(services.businesses.add_resource(business_id, name) for name in resources)
    return SomeBusiness(business_id, number, ids)


def booking(business: SomeBusiness, starts_at: datetime, **changes: Any) -> BookAppointment:
    """A command to book."""
    values = {"customer_name": "Dana Levi", "source": Source.VOICE, "customer_phone": "+972521234567", **changes}
    return BookAppointment(business_id=business.id, starts_at=starts_at, **values)


def holding(business: SomeBusiness, starts_at: datetime, **changes: Any) -> HoldSlot:
    """A command to hold."""
    return HoldSlot(business.id, starts_at, Source.API, "key:1", **changes)


def confirming(hold: AppointmentDetails, **changes: Any) -> ConfirmHold:
    """A command to turn a hold into an appointment."""
    values = {"customer_name": "Dana Levi", "source": Source.API, "actor": "key:1", **changes}
    return ConfirmHold(hold.business_id, hold.id, **values)


def moving(appointment: AppointmentDetails, starts_at: datetime, **changes: Any) -> RescheduleAppointment:
    """A command to move."""
    values = {"source": Source.DASHBOARD, "actor": "user:3", **changes}
    return RescheduleAppointment(appointment.business_id, appointment.id, starts_at, **values)


def change_of(appointment: AppointmentDetails, **changes: Any) -> ChangeStatus:
    """A command to cancel, close or release."""
    values = {"source": Source.DASHBOARD, "actor": "user:3", **changes}
    return ChangeStatus(appointment.business_id, appointment.id, **values)


def incoming_call(business: SomeBusiness, call_sid: str | None = None) -> IncomingCall:
    """A call to a business."""
    return IncomingCall(call_sid or f"CA{secrets.token_hex(16)}", business.phone_number, "+972521234567")


@contextmanager
def as_tenant(engine: Engine, business_id: int | None) -> Iterator[Connection]:
    """A transaction of raw SQL under row security; None: no tenant is set."""
    with engine.begin() as connection:
        if business_id is not None:
            set_tenant = text("SELECT set_config('app.business_id', :id, true)")
            connection.execute(set_tenant, {"id": str(business_id)})
        yield connection


def insert_appointment(engine: Engine, business: SomeBusiness, starts_at: datetime, **changes: Any) -> int:
    """A row that no service wrote; its id. A `held` one wants `expires_at`."""
    values = {
        "business_id": business.id,
        "number": 900_000 + next(_serial),
        "resource_id": business.resources[0],
        "starts_at": starts_at,
        "ends_at": starts_at.astimezone(UTC) + timedelta(minutes=30),
        "before": 0,
        "after": 0,
        "status": "confirmed",
        "expires_at": None,
        "overbooked": False,
        **changes,
    }
    with as_tenant(engine, values["business_id"]) as connection:
        return connection.execute(_INSERT_APPOINTMENT, values).scalar_one()


_INSERT_APPOINTMENT = text(
    """
    INSERT INTO appointments (business_id, number, resource_id, starts_at, ends_at, buffer_before_min,
        buffer_after_min, footprint, status, expires_at, overbooked, source, customer_name, created_at)
    VALUES (:business_id, :number, :resource_id, :starts_at, :ends_at, :before, :after,
        tstzrange(CAST(:starts_at AS timestamptz) - make_interval(mins => :before),
            CAST(:ends_at AS timestamptz) + make_interval(mins => :after)),
        :status, :expires_at, :overbooked, 'dashboard', 'Somebody', now())
    RETURNING id
    """
)
