"""Appointment types and blocks, in what is offered, decided and booked."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import FindSlots, SlotSearch
from app.errors import InvalidState, NotFound, SlotRefused, SlotTaken
from app.services import Services
from tests.factories import (
    MONDAY,
    SomeBusiness,
    as_tenant,
    booking,
    insert_appointment,
    local,
    new_business,
)

TEN = local(MONDAY, "10:00")


def add_type(services: Services, business: SomeBusiness, **values: Any) -> int:
    """A type of an hour, unless told; its id."""
    given = {"name": "Long", "duration_min": 60, **values}
    return services.appointment_types.create_type(business.id, given, "test").id


def add_block(
    services: Services, business: SomeBusiness, begin: str, end: str, resource_id: int | None = None
) -> None:
    """A block on Monday."""
    services.blocks.create_block(
        business.id, local(MONDAY, begin), local(MONDAY, end), "test", resource_id=resource_id
    )


def clocks(search: SlotSearch) -> list[str]:
    """The offers as wall times."""
    return [slot.starts_at.strftime("%H:%M") for slot in search.offers]


def test_a_type_has_its_own_length_and_buffers_on_the_policy_s_grid(services: Services) -> None:
    """The step stays the policy's; what is null is the policy's."""
    business = new_business(services, slot_step_min=15, buffer_before_min=5, buffer_after_min=10)
    type_id = add_type(services, business, duration_min=90, buffer_after_min=0)
    details = services.scheduling.book_appointment(
        booking(business, local(MONDAY, "09:15"), appointment_type_id=type_id)
    )
    assert details.ends_at - details.starts_at == timedelta(minutes=90)
    assert details.appointment_type_id == type_id
    found = services.scheduling.find_slots(FindSlots(business.id, MONDAY, limit=3, appointment_type_id=type_id))
    assert clocks(found) == ["11:00", "11:15", "11:30"]
    assert all(slot.ends_at - slot.starts_at == timedelta(minutes=90) for slot in found.offers)


def test_a_type_that_would_end_after_closing_is_not_offered(services: Services, business: SomeBusiness) -> None:
    """The last start of the day leaves it its whole length."""
    type_id = add_type(services, business, duration_min=120)
    found = services.scheduling.find_slots(FindSlots(business.id, MONDAY, limit=100, appointment_type_id=type_id))
    assert clocks(found)[-1] == "15:00"
    with pytest.raises(SlotRefused) as caught:
        services.scheduling.book_appointment(
            booking(business, local(MONDAY, "15:30"), appointment_type_id=type_id)
        )
    assert caught.value.refusal_code == "outside_hours"
    assert {slot.ends_at - slot.starts_at for slot in caught.value.alternatives} == {timedelta(minutes=120)}


def test_only_the_resources_of_a_type_take_it(services: Services) -> None:
    """None listed means all; a wish for another one is not found."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    one, two = business.resources
    type_id = add_type(services, business, resource_ids=[two])
    command = booking(business, TEN, appointment_type_id=type_id)
    assert services.scheduling.book_appointment(command).resource_id == two
    with pytest.raises(SlotTaken) as caught:
        services.scheduling.book_appointment(command)
    assert {slot.resource_id for slot in caught.value.alternatives} == {two}
    with pytest.raises(NotFound):
        services.scheduling.book_appointment(booking(business, TEN, appointment_type_id=type_id, resource_id=one))


def test_resources_that_do_not_take_a_type_still_share_the_daily_limit(services: Services) -> None:
    """The limit is the policy owner's, whatever is asked for."""
    business = new_business(services, resources=("Room 1", "Room 2"), daily_limit=1)
    type_id = add_type(services, business, resource_ids=[business.resources[1]])
    services.scheduling.book_appointment(booking(business, TEN, resource_id=business.resources[0]))
    with pytest.raises(SlotRefused) as caught:
        services.scheduling.book_appointment(booking(business, TEN, appointment_type_id=type_id))
    assert caught.value.refusal_code == "daily_limit"


def test_a_type_that_is_not_there_or_no_longer_given_can_t_be_booked(
    services: Services, business: SomeBusiness
) -> None:
    """Unknown, another business's, inactive; in finding and booking."""
    foreign = add_type(services, new_business(services))
    retired = add_type(services, business)
    services.appointment_types.update_type(business.id, retired, {"active": False}, None, "test")
    for type_id, error in ((foreign, NotFound), (2**60, NotFound), (retired, InvalidState)):
        with pytest.raises(error):
            services.scheduling.find_slots(FindSlots(business.id, appointment_type_id=type_id))
        with pytest.raises(error):
            services.scheduling.book_appointment(booking(business, TEN, appointment_type_id=type_id))


def test_a_block_takes_its_time_in_finding_and_booking(services: Services, business: SomeBusiness) -> None:
    """What touches it is fine."""
    add_block(services, business, "09:30", "10:30")
    found = services.scheduling.find_slots(FindSlots(business.id, MONDAY, limit=2))
    assert clocks(found) == ["09:00", "10:30"]
    with pytest.raises(SlotTaken):
        services.scheduling.book_appointment(booking(business, TEN))
    services.scheduling.book_appointment(booking(business, local(MONDAY, "10:30")))


def test_a_block_of_one_resource_leaves_the_others(services: Services) -> None:
    """A block of all is of all."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    one, two = business.resources
    add_block(services, business, "09:00", "12:00", resource_id=one)
    assert services.scheduling.book_appointment(booking(business, TEN)).resource_id == two
    add_block(services, business, "12:00", "13:00")
    with pytest.raises(SlotTaken):
        services.scheduling.book_appointment(booking(business, local(MONDAY, "12:00")))


def test_a_block_that_began_weeks_ago_is_seen(services: Services, business: SomeBusiness) -> None:
    """Blocks are read by their end: they may be longer than a day."""
    begin = local(MONDAY - timedelta(days=40), "00:00")
    services.blocks.create_block(business.id, begin, local(MONDAY, "16:00"), "test")
    found = services.scheduling.find_slots(FindSlots(business.id, MONDAY, limit=3))
    assert clocks(found)[:2] == ["16:00", "16:30"]


def test_the_buffers_of_an_appointment_keep_off_a_block(services: Services) -> None:
    """A block has none of its own."""
    business = new_business(services, slot_step_min=10, buffer_before_min=10, buffer_after_min=20)
    add_block(services, business, "10:00", "11:00")
    for at, code in (("09:20", "buffer"), ("11:00", "buffer")):
        with pytest.raises(SlotRefused) as caught:
            services.scheduling.book_appointment(booking(business, local(MONDAY, at)))
        assert caught.value.refusal_code == code
    services.scheduling.book_appointment(booking(business, local(MONDAY, "09:10")))
    services.scheduling.book_appointment(booking(business, local(MONDAY, "11:10")))


def test_blocks_neither_count_for_the_daily_limit_nor_make_a_resource_busy(services: Services) -> None:
    """The first resource has three blocks and is still the first to be given work."""
    business = new_business(services, resources=("Room 1", "Room 2"), daily_limit=2)
    one, two = business.resources
    for begin, end in (("13:00", "14:00"), ("14:00", "15:00"), ("15:00", "16:00")):
        add_block(services, business, begin, end, resource_id=one)
    assert services.scheduling.book_appointment(booking(business, TEN)).resource_id == one
    assert services.scheduling.book_appointment(booking(business, TEN)).resource_id == two
    with pytest.raises(SlotRefused) as caught:
        services.scheduling.book_appointment(booking(business, local(MONDAY, "09:00")))
    assert caught.value.refusal_code == "daily_limit"


@pytest.mark.parametrize(("before", "after"), [(0, 0), (60, 0), (0, 60), (600, 600)])
def test_what_reaches_over_midnight_is_seen_from_both_sides(
    services: Services, engine: Engine, before: int, after: int
) -> None:
    """Rows are read no farther than footprints reach; so the farthest that reach must be there."""
    every_day = {day: [["00:00", "24:00"]] for day in ("sun", "mon", "tue", "wed")}
    business = new_business(
        services, weekly_hours=every_day, slot_step_min=5, buffer_before_min=before, buffer_after_min=after
    )
    long = timedelta(hours=12)
    # One reaches from yesterday into Monday until 12:00, one of Tuesday back to Monday 18:00.
    for starts_at, reach in (
        (local(MONDAY - timedelta(days=1), "12:00"), {"before": 0, "after": 720}),
        (local(MONDAY + timedelta(days=1), "06:00"), {"before": 720, "after": 0}),
    ):
        insert_appointment(engine, business, starts_at, ends_at=starts_at + long, **reach)
    found = services.scheduling.find_slots(FindSlots(business.id, MONDAY, limit=100))
    first = local(MONDAY, "12:00") + timedelta(minutes=before)
    last = local(MONDAY, "18:00") - timedelta(minutes=30 + after)
    if first > last:
        assert [slot for slot in found.offers if slot.starts_at.date() == MONDAY] == []
    else:
        assert (found.offers[0].starts_at, found.offers[-1].starts_at) == (first, last)
        services.scheduling.book_appointment(booking(business, last))


def test_a_policy_with_a_type_too_long_for_a_day_offers_nothing(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Whoever wrote it past the service: no footprint is longer than a day, so nothing is offered."""
    type_id = add_type(services, business, duration_min=1440)
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("UPDATE appointment_types SET buffer_after_min = 30"))
    found = services.scheduling.find_slots(FindSlots(business.id, date(2026, 11, 24), appointment_type_id=type_id))
    assert found == SlotSearch((), "outside_hours")
