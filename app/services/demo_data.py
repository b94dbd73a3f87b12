"""The business that the demo calls."""

from __future__ import annotations

from app.errors import AlreadyExists
from app.services import Services
from app.services.businesses import NewBusiness

DEMO_PHONE_NUMBER = "+97235550123"

DEMO_POLICY = {
    "weekly_hours": {day: [["09:00", "17:00"]] for day in ("sun", "mon", "tue", "wed", "thu")},
    "slot_size_min": 30,
    "slot_step_min": 30,
    "booking_window_days": None,
}

DEMO_BUSINESS = NewBusiness(
    name="Moed Demo Clinic",
    timezone="Asia/Jerusalem",
    language="en",
    phone_numbers=(DEMO_PHONE_NUMBER,),
    greeting=("Moed Demo Clinic. I am an automated receptionist; this call is written down. How can I help?"),
    resources=("Room 1",),
    slot_policy=DEMO_POLICY,
)


def seed_demo_business(services: Services) -> int:
    """The id of the demo business, made if it is not there yet."""
    known = services.businesses.find_by_phone_number(DEMO_PHONE_NUMBER)
    if known is not None:
        return known
    try:
        return services.businesses.create_business(DEMO_BUSINESS)
    except AlreadyExists:
        known = services.businesses.find_by_phone_number(DEMO_PHONE_NUMBER)
        if known is None:
            raise
        return known
