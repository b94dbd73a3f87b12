"""`Scheduling.list_availability`: every free start of a range of days, and why a day has none."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from app.domain.appointments import DayAvailability, FindAvailability
from app.domain.availability import REFUSALS
from app.errors import InvalidInput, NotFound, SlotUnavailable
from app.services import Services
from tests.factories import (
    FRIDAY,
    MONDAY,
    SUNDAY,
    Clock,
    SomeBusiness,
    booking,
    change_of,
    holding,
    insert_appointment,
    local,
    new_business,
)

ONE_DAY = timedelta(days=1)


def days_of(
    services: Services, business: SomeBusiness, first: date, days: int = 1, **wanted: Any
) -> tuple[DayAvailability, ...]:
    """Some days in a row."""
    last = first + (days - 1) * ONE_DAY
    found = services.scheduling.list_availability(FindAvailability(business.id, first, last, **wanted))
    assert found.timezone == "Asia/Jerusalem"
    return found.days


def test_every_day_of_the_range_comes_with_its_starts_or_a_reason(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """A week from today: today from now on, closed Friday and Saturday."""
    clock.now = local(SUNDAY, "12:10")
    week = days_of(services, business, SUNDAY - ONE_DAY, 8)
    assert [day.day for day in week] == [SUNDAY + number * ONE_DAY for number in range(-1, 7)]
    assert [len(day.slots) for day in week] == [0, 9, 16, 16, 16, 16, 0, 0]
    assert [day.refusal_code for day in week] == [
        "past",
        None,
        None,
        None,
        None,
        None,
        "outside_hours",
        "outside_hours",
    ]
    assert {day.message for day in week} == {None, REFUSALS["past"], REFUSALS["outside_hours"]}
    first = week[1].slots[0]
    assert (first.starts_at, first.ends_at) == (local(SUNDAY, "12:30"), local(SUNDAY, "13:00"))
    assert first.resource_id == business.resources[0]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"daily_limit": 0}, "daily_limit"),
        ({"booking_window_days": 0}, "beyond_window"),
        ({"min_notice_min": 3 * 1440}, "min_notice"),
        ({"weekly_hours": {"tue": [["09:00", "17:00"]]}}, "outside_hours"),
    ],
)
def test_a_day_without_a_start_says_why(services: Services, changes: dict[str, Any], code: str) -> None:
    """As the policy forbids it."""
    (monday,) = days_of(services, new_business(services, **changes), MONDAY)
    assert (monday.slots, monday.refusal_code, monday.message) == ((), code, REFUSALS[code])


def test_a_closed_a_blocked_and_a_full_day_say_so(services: Services, engine: Engine) -> None:
    """An override, a block, and appointments all day long."""
    business = new_business(services, weekly_hours={day: [["09:00", "10:00"]] for day in ("mon", "tue", "wed")})
    services.businesses.set_date_override(business.id, MONDAY, [])
    tuesday, wednesday = MONDAY + ONE_DAY, MONDAY + 2 * ONE_DAY
    services.blocks.create_block(business.id, local(tuesday, "00:00"), local(wednesday, "00:00"), "test")
    for at in ("09:00", "09:30"):
        insert_appointment(engine, business, local(wednesday, at))
    codes = [day.refusal_code for day in days_of(services, business, MONDAY, 3)]
    assert codes == ["closed_date", "taken", "taken"]


def test_a_resource_and_a_type_narrow_what_is_offered(services: Services) -> None:
    """A wish for who can't is not found."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    one, two = business.resources
    values = {"name": "Long", "duration_min": 240, "resource_ids": [two]}
    type_id = services.appointment_types.create_type(business.id, values, "test").id
    services.scheduling.book_appointment(booking(business, local(MONDAY, "12:00"), resource_id=two))
    (monday,) = days_of(services, business, MONDAY, appointment_type_id=type_id)
    assert [slot.starts_at for slot in monday.slots] == [local(MONDAY, "12:30"), local(MONDAY, "13:00")]
    (monday,) = days_of(services, business, MONDAY, resource_id=one)
    assert len(monday.slots) == 16
    assert {slot.resource_id for slot in monday.slots} == {one}
    for wanted in ({"resource_id": one, "appointment_type_id": type_id}, {"resource_id": 2**60}):
        with pytest.raises(NotFound):
            days_of(services, business, MONDAY, **wanted)


def test_a_cancelled_appointment_and_an_overdue_hold_free_their_starts(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """At once."""
    details = services.scheduling.book_appointment(booking(business, local(MONDAY, "09:00")))
    services.scheduling.hold_slot(holding(business, local(MONDAY, "09:30")))
    assert len(days_of(services, business, MONDAY)[0].slots) == 14
    clock.advance(minutes=5)
    assert len(days_of(services, business, MONDAY)[0].slots) == 15
    services.scheduling.cancel_appointment(change_of(details))
    assert len(days_of(services, business, MONDAY)[0].slots) == 16


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        (MONDAY, SUNDAY, "to"),
        (MONDAY, MONDAY + 31 * ONE_DAY, "to"),
        (date.min, date.min, "from"),
        (MONDAY, date.max, "to"),
    ],
)
def test_a_range_out_of_bounds_is_refused_by_name(
    services: Services, business: SomeBusiness, first: date, last: date, field: str
) -> None:
    """One to thirty-one days."""
    with pytest.raises(InvalidInput) as caught:
        services.scheduling.list_availability(FindAvailability(business.id, first, last))
    assert caught.value.field == field


def test_thirty_one_days_are_one_read_of_what_is_busy(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Also for the days that need a reason."""
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        days = days_of(services, business, MONDAY, 31)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert [day.day for day in days if not day.slots]
    assert len([statement for statement in statements if "FROM appointments" in statement]) == 1
    assert len([statement for statement in statements if "FROM blocks" in statement]) == 1


def test_what_is_offered_books_and_what_is_not_is_refused(services: Services, clock: Clock) -> None:
    """Two resources, a block, buffers, a limit: each quarter of an hour, there and back."""
    business = new_business(
        services,
        resources=("Room 1", "Room 2"),
        slot_step_min=15,
        buffer_after_min=10,
        breaks={"mon": [["12:00", "12:45"]]},
        min_notice_min=90,
        daily_limit=12,
    )
    services.blocks.create_block(business.id, local(MONDAY, "15:00"), local(MONDAY, "16:00"), "test")
    clock.now = local(SUNDAY, "10:05")
    for at in ("09:15", "11:00", "11:00", "14:00"):
        services.scheduling.book_appointment(booking(business, local(MONDAY, at)))
    offered = {slot.starts_at for day in days_of(services, business, SUNDAY, 2) for slot in day.slots}
    assert offered
    quarters = [f"{hour:02}:{minute:02}" for hour in range(7, 18) for minute in (0, 15, 30, 45)]
    for starts_at in (local(day, at) for day in (SUNDAY, MONDAY) for at in quarters):
        try:
            details = services.scheduling.book_appointment(booking(business, starts_at))
            services.scheduling.cancel_appointment(change_of(details))
            booked = True
        except SlotUnavailable:
            booked = False
        assert booked == (starts_at in offered), starts_at


def test_an_unknown_business_has_no_availability(services: Services) -> None:
    """Rather than an empty one."""
    with pytest.raises(NotFound):
        services.scheduling.list_availability(FindAvailability(2**40, FRIDAY, FRIDAY))
