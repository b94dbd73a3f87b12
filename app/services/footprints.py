"""Whether every appointment type fits into the day that the database allows an appointment with its buffers."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.slot_policy import DAY_MIN
from app.models import AppointmentType, SlotPolicyRow


def some_type_is_too_long(session: Session, business_id: int) -> bool:
    """Whether an active type exceeds 24 hours with its buffers, or with those of one of the policies."""
    policies = session.scalars(select(SlotPolicyRow.policy).where(SlotPolicyRow.business_id == business_id)).all()
    buffers = [(policy["buffer_before_min"], policy["buffer_after_min"]) for policy in policies] or [(0, 0)]
    types = session.execute(
        select(
            AppointmentType.duration_min, AppointmentType.buffer_before_min, AppointmentType.buffer_after_min
        ).where(AppointmentType.business_id == business_id, AppointmentType.active)
    ).all()
    return any(
        duration
        + (own_before if own_before is not None else before)
        + (own_after if own_after is not None else after)
        > DAY_MIN
        for duration, own_before, own_after in types
        for before, after in buffers
    )
