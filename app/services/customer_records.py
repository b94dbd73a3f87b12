"""Which rows belong to a telephone number."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.domain.customers import phone_reversed, prefix_range
from app.domain.privacy import ERASED
from app.models import Appointment, Call, Message


@dataclass(frozen=True, slots=True)
class Records:
    """Ids of rows that belong to one customer."""

    calls: list[int]
    appointments: list[int]
    messages: list[int]

    def __bool__(self) -> bool:
        return bool(self.calls or self.appointments or self.messages)


def records_under(session: Session, business_id: int, phone: str, most: int | None = None) -> Records:
    """What is stored under a number in E.164; with `most`, some of it: what belongs together comes together.

    A call that withheld its number belongs to the number of the appointment that it made, and an appointment
    without a number to that of its call.
    """
    calls = select(Call.id).where(Call.business_id == business_id, Call.caller_number == phone)
    call_ids = list(session.scalars(calls.order_by(Call.id).limit(most)))
    # The index is on the reversed number; older rows have its plus sign at the end.
    low, high = prefix_range(phone_reversed(phone))
    booked = session.execute(
        select(Appointment.id, Appointment.call_id)
        .where(
            Appointment.business_id == business_id,
            Appointment.phone_reversed >= low,
            Appointment.phone_reversed < high,
            Appointment.customer_phone == phone,
        )
        .order_by(Appointment.id)
        .limit(most)
    ).all()
    call_ids += session.scalars(
        select(Call.id).where(
            Call.business_id == business_id,
            Call.id.in_([row.call_id for row in booked if row.call_id is not None]),
            Call.caller_number.is_(None),
        )
    )
    appointment_ids = [row.id for row in booked]
    appointment_ids += session.scalars(
        select(Appointment.id).where(
            Appointment.business_id == business_id,
            Appointment.call_id.in_(call_ids),
            Appointment.customer_phone.is_(None),
            Appointment.customer_name.not_in(("", ERASED)),
        )
    )
    left = select(Message.id).where(
        Message.business_id == business_id,
        or_(Message.caller_number == phone, Message.call_id.in_(call_ids)),
    )
    return Records(sorted(call_ids), sorted(appointment_ids), list(session.scalars(left.order_by(Message.id))))
