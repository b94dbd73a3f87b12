"""What `Scheduling.find_slots` offers, and why not."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import FindSlots, SlotSearch
from app.errors import InvalidInput, NotFound, SlotUnavailable
from app.services import Services
from tests.factories import (
    FRIDAY,
    MONDAY,
    SUNDAY,
    Clock,
    SomeBusiness,
    as_tenant,
    booking,
    insert_appointment,
    local,
    new_business,
)


def starts(search: SlotSearch) -> list[str]:
    return [f"{slot.starts_at:%m-%d %H:%M}" for slot in search.offers]


def refusal_of(services: Services, business: SomeBusiness, starts_at: datetime) -> str | None:
    """None if it was booked."""
    try:
        services.scheduling.book_appointment(booking(business, starts_at))
    except SlotUnavailable as refusal:
        return getattr(refusal, "refusal_code", "taken")
    return None


def test_without_a_wish_the_next_free_starts_are_offered(services: Services, business: SomeBusiness) -> None:
    """Soonest first, with the resource and the business's offset."""
    services.scheduling.book_appointment(booking(business, local(SUNDAY, "09:30")))
    search = services.scheduling.find_slots(FindSlots(business.id))
    assert starts(search) == ["11-22 09:00", "11-22 10:00", "11-22 10:30"]
    assert search.refusal_code is None
    assert search.offers[0].resource_id == business.resources[0]
    assert search.offers[0].starts_at.isoformat() == "2026-11-22T09:00:00+02:00"


def test_a_day_offers_its_first_free_starts(services: Services, business: SomeBusiness) -> None:
    """As many as were asked for."""
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY, limit=2))
    assert (starts(search), search.refusal_code) == (["11-23 09:00", "11-23 09:30"], None)


def test_a_closed_day_is_explained_and_the_next_starts_offered(services: Services, business: SomeBusiness) -> None:
    """Friday: outside the hours; a holiday: closed on this date."""
    search = services.scheduling.find_slots(FindSlots(business.id, FRIDAY, limit=1))
    assert (starts(search), search.refusal_code) == (["11-29 09:00"], "outside_hours")
    services.businesses.set_date_override(business.id, MONDAY, [])
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY, limit=1))
    assert (starts(search), search.refusal_code) == (["11-24 09:00"], "closed_date")


def test_a_full_day_is_taken(services: Services) -> None:
    """Also when its morning has passed and its afternoon is booked."""
    business = new_business(services, weekly_hours={"mon": [["09:00", "10:00"]]})
    for at in ("09:00", "09:30"):
        services.scheduling.book_appointment(booking(business, local(MONDAY, at)))
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY, limit=1))
    assert (starts(search), search.refusal_code) == (["11-30 09:00"], "taken")


@pytest.mark.parametrize(
    ("day", "code"),
    [
        (SUNDAY - timedelta(days=7), "past"),
        (SUNDAY + timedelta(days=14), "beyond_window"),
        (SUNDAY, "min_notice"),
        (date(8999, 12, 30), "beyond_window"),
        (date(2000, 1, 2), "past"),
    ],
)
def test_a_day_out_of_reach_is_explained(services: Services, day: date, code: str) -> None:
    """Past, too far ahead, too soon: and the soonest free start is offered."""
    business = new_business(services, booking_window_days=10, min_notice_min=24 * 60)
    search = services.scheduling.find_slots(FindSlots(business.id, day, limit=1))
    assert search.refusal_code == code
    assert starts(search) == ["11-23 09:00"]


def test_a_free_time_comes_first_and_then_its_neighbours(services: Services, business: SomeBusiness) -> None:
    """Exactly what was wished, then the nearest of the day."""
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY, time(13)))
    assert (starts(search), search.refusal_code) == (["11-23 13:00", "11-23 12:30", "11-23 13:30"], None)


def test_a_taken_time_is_explained_and_the_nearest_offered(services: Services, business: SomeBusiness) -> None:
    """Nearest first, either side."""
    services.scheduling.book_appointment(booking(business, local(MONDAY, "13:00")))
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY, time(13)))
    assert (starts(search), search.refusal_code) == (["11-23 12:30", "11-23 13:30", "11-23 12:00"], "taken")


def test_a_time_that_is_no_start_is_explained(services: Services, business: SomeBusiness) -> None:
    """Ten past one: off the grid; Friday: the next opening day is offered."""
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY, time(13, 10), limit=1))
    assert (starts(search), search.refusal_code) == (["11-23 13:00"], "off_grid")
    search = services.scheduling.find_slots(FindSlots(business.id, FRIDAY, time(13), limit=1))
    assert (starts(search), search.refusal_code) == (["11-29 09:00"], "outside_hours")


def test_too_few_neighbours_are_filled_up_with_later_days(services: Services) -> None:
    """A day with one free start left."""
    business = new_business(services, weekly_hours={"mon": [["09:00", "10:00"]]})
    services.scheduling.book_appointment(booking(business, local(MONDAY, "09:00")))
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY, time(9)))
    assert starts(search) == ["11-23 09:30", "11-30 09:00", "11-30 09:30"]


def test_a_time_alone_is_looked_for_on_the_next_days(services: Services, business: SomeBusiness) -> None:
    """Three days that have it free."""
    services.scheduling.book_appointment(booking(business, local(MONDAY, "16:30")))
    search = services.scheduling.find_slots(FindSlots(business.id, at=time(16, 30)))
    assert starts(search) == ["11-22 16:30", "11-24 16:30", "11-25 16:30"]
    assert search.refusal_code is None


def test_a_time_that_never_is_free_is_explained(services: Services, business: SomeBusiness) -> None:
    """With what is free instead."""
    search = services.scheduling.find_slots(FindSlots(business.id, at=time(20), limit=1))
    assert (starts(search), search.refusal_code) == (["11-22 09:00"], "outside_hours")


def test_a_search_goes_on_past_a_month(services: Services) -> None:
    """A business that is closed until February."""
    business = new_business(services)
    for day in range(1, 75):
        services.businesses.set_date_override(business.id, SUNDAY + timedelta(days=day - 1), [])
    search = services.scheduling.find_slots(FindSlots(business.id, limit=1))
    assert starts(search) == ["02-04 09:00"]


def test_a_business_that_is_never_open_offers_nothing(services: Services) -> None:
    """The search ends, and says why."""
    for business in (new_business(services, weekly_hours={}), new_business(services, resources=())):
        for wish in (
            FindSlots(business.id),
            FindSlots(business.id, MONDAY),
            FindSlots(business.id, MONDAY, time(9)),
        ):
            assert services.scheduling.find_slots(wish) == SlotSearch((), "outside_hours")


def test_offers_are_the_union_of_the_resources(services: Services) -> None:
    """A start is offered while any resource has it, under that resource's own policy."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    two = business.resources[1]
    evening = {"weekly_hours": {"mon": [["16:00", "18:00"]]}, "slot_size_min": 60}
    services.businesses.set_slot_policy(business.id, evening, resource_id=two)
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY, time(17), limit=1))
    assert [(slot.resource_id, slot.ends_at) for slot in search.offers] == [(two, local(MONDAY, "18:00"))]
    services.scheduling.book_appointment(booking(business, local(MONDAY, "16:00")))
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY, time(16), limit=1))
    assert [slot.resource_id for slot in search.offers] == [two]
    services.scheduling.book_appointment(booking(business, local(MONDAY, "16:00")))
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY, time(16), limit=1))
    assert (starts(search), search.refusal_code) == (["11-23 15:30"], "taken")


def test_a_resource_s_own_override_wins_over_the_business_s(services: Services) -> None:
    """Closed for all but one; and back to normal when it is taken away."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    two = business.resources[1]
    services.businesses.set_date_override(business.id, MONDAY, [])
    services.businesses.set_date_override(business.id, MONDAY, [["20:00", "21:00"]], resource_id=two)
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY))
    assert starts(search) == ["11-23 20:00", "11-23 20:30"]
    assert {slot.resource_id for slot in search.offers} == {two}
    services.businesses.set_date_override(business.id, MONDAY, None)
    services.businesses.set_date_override(business.id, MONDAY, None, resource_id=two)
    assert starts(services.scheduling.find_slots(FindSlots(business.id, MONDAY, limit=1))) == ["11-23 09:00"]


def test_an_inactive_resource_is_not_offered(services: Services, engine: Engine, business: SomeBusiness) -> None:
    """A business whose only room is out of use."""
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("UPDATE resources SET active = false"))
    assert services.scheduling.find_slots(FindSlots(business.id)).offers == ()


def test_the_repeated_hour_is_offered_twice(services: Services, clock: Clock) -> None:
    """The night of 2027-10-31 in Jerusalem: the same wall time, two offsets, and both can be booked."""
    clock.now = datetime(2027, 10, 30, 12, 0, tzinfo=UTC)
    business = new_business(services, weekly_hours={"sun": [["01:00", "03:00"]]}, slot_size_min=60)
    search = services.scheduling.find_slots(FindSlots(business.id, date(2027, 10, 31)))
    assert [slot.starts_at.isoformat() for slot in search.offers] == [
        "2027-10-31T01:00:00+03:00",
        "2027-10-31T01:00:00+02:00",
        "2027-10-31T02:00:00+02:00",
    ]
    booked = [services.scheduling.book_appointment(booking(business, slot.starts_at)) for slot in search.offers]
    assert [details.starts_at for details in booked] == [slot.starts_at for slot in search.offers]
    assert [details.starts_at.utcoffset() for details in booked] == [
        slot.starts_at.utcoffset() for slot in search.offers
    ]


def test_an_appointment_that_ends_after_midnight_is_seen_from_both_days(
    services: Services, engine: Engine
) -> None:
    """Reads go by `starts_at`, and reach a day back."""
    business = new_business(services, weekly_hours={"mon": [["00:00", "24:00"]], "tue": [["00:00", "24:00"]]})
    insert_appointment(
        engine,
        business,
        local(MONDAY, "01:00"),
        ends_at=local(MONDAY, "01:00") + timedelta(hours=20),
        after=210,
    )
    search = services.scheduling.find_slots(FindSlots(business.id, MONDAY + timedelta(days=1), limit=1))
    assert starts(search) == ["11-24 00:30"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"day": date.max}, "day"),
        ({"day": date.min}, "day"),
        ({"day": MONDAY, "at": time(9, tzinfo=UTC)}, "at"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
    ],
)
def test_a_wish_out_of_bounds_is_refused_by_name(
    services: Services, business: SomeBusiness, changes: dict[str, Any], field: str
) -> None:
    """Nothing overflows."""
    with pytest.raises(InvalidInput) as caught:
        services.scheduling.find_slots(FindSlots(business.id, **changes))
    assert caught.value.field == field


def test_an_unknown_business_is_not_found(services: Services) -> None:
    """The same for "not yours" and "never was"."""
    with pytest.raises(NotFound):
        services.scheduling.find_slots(FindSlots(2**40))


def test_what_is_offered_books_and_what_is_not_is_refused(services: Services, clock: Clock) -> None:
    """Every quarter of an hour of two days, against the union of two resources that are partly booked."""
    business = new_business(
        services,
        resources=("Room 1", "Room 2"),
        slot_step_min=15,
        buffer_after_min=10,
        breaks={"mon": [["12:00", "12:45"]]},
        min_notice_min=90,
        booking_window_days=2,
        daily_limit=9,
    )
    own = {"weekly_hours": {"mon": [["08:00", "13:00"]]}, "slot_size_min": 45}
    services.businesses.set_slot_policy(business.id, own, resource_id=business.resources[1])
    clock.now = local(SUNDAY, "10:05")
    for day, at in itertools.product((SUNDAY, MONDAY), ("11:45", "12:45", "14:00", "16:00")):
        for _ in range(2):
            refusal_of(services, business, local(day, at))
    quarters = [f"{hour:02}:{minute:02}" for hour in range(7, 18) for minute in (0, 15, 30, 45)]
    for day, at in itertools.product((SUNDAY, MONDAY), quarters):
        starts_at = local(day, at)
        wish = FindSlots(business.id, starts_at.date(), starts_at.time(), limit=1)
        search = services.scheduling.find_slots(wish)
        offered = [slot.starts_at for slot in search.offers] == [starts_at] and search.refusal_code is None
        refusal = refusal_of(services, business, starts_at)
        assert offered == (refusal is None), starts_at
        assert search.refusal_code == refusal, starts_at
