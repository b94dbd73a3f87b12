"""Booking deliberately what would be refused."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import Engine

from app.domain.appointments import AppointmentDetails, Source
from app.errors import InvalidInput, NotFound, SlotRefused, SlotTaken
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

TEN = local(MONDAY, "10:00")


def overbook(services: Services, business: SomeBusiness, day: date, at: str) -> AppointmentDetails:
    """Book the first resource whatever is said against it."""
    command = booking(
        business,
        local(day, at),
        overbook=True,
        resource_id=business.resources[0],
        source=Source.DASHBOARD,
        actor="user:3",
    )
    return services.scheduling.book_appointment(command)


def test_over_another_appointment_it_is_marked_and_recorded(services: Services, business: SomeBusiness) -> None:
    """By whom, and over what."""
    services.scheduling.book_appointment(booking(business, TEN))
    details = overbook(services, business, MONDAY, "10:00")
    assert details.overbooked
    (line,) = services.scheduling.get_history(business.id, details.id)
    assert (line.kind, line.source, line.actor) == ("booked", "dashboard", "user:3")
    assert (line.data["overbooked"], line.data["refusal"]) == (True, "taken")


@pytest.mark.parametrize(
    ("day", "at", "code"),
    [
        (MONDAY, "07:00", "outside_hours"),
        (MONDAY, "10:07", "off_grid"),
        (MONDAY, "12:00", "break"),
        (FRIDAY, "10:00", "outside_hours"),
        (SUNDAY, "09:00", "min_notice"),
        (SUNDAY + timedelta(days=31), "10:00", "beyond_window"),
        (SUNDAY + timedelta(days=2), "10:00", "closed_date"),
        (SUNDAY + timedelta(days=3), "10:00", "daily_limit"),
    ],
)
def test_what_only_the_policy_forbids_is_booked_and_not_marked(
    services: Services, engine: Engine, day: date, at: str, code: str
) -> None:
    """Nobody else is in its place, so the constraint still watches over it."""
    business = new_business(
        services,
        resources=("Room 1", "Room 2"),
        breaks={"mon": [["12:00", "13:00"]]},
        min_notice_min=120,
        booking_window_days=30,
        daily_limit=1,
    )
    services.businesses.set_date_override(business.id, SUNDAY + timedelta(days=2), [])
    wednesday = local(SUNDAY + timedelta(days=3), "14:00")
    insert_appointment(engine, business, wednesday, resource_id=business.resources[1])
    details = overbook(services, business, day, at)
    assert not details.overbooked
    (line,) = services.scheduling.get_history(business.id, details.id)
    assert line.data["refusal"] == code


def test_outside_the_hours_over_somebody_it_is_marked(services: Services, business: SomeBusiness) -> None:
    """The first reason is the hours, but somebody is there as well."""
    overbook(services, business, MONDAY, "20:00")
    details = overbook(services, business, MONDAY, "20:15")
    assert details.overbooked
    touching = overbook(services, business, MONDAY, "20:45")
    assert not touching.overbooked


def test_in_another_s_buffer_or_over_a_block_it_is_marked(services: Services) -> None:
    """The database's constraint is over footprints."""
    business = new_business(services, buffer_after_min=30)
    services.scheduling.book_appointment(booking(business, TEN))
    assert overbook(services, business, MONDAY, "10:30").overbooked
    services.blocks.create_block(business.id, local(MONDAY, "14:00"), local(MONDAY, "15:00"), "test")
    assert overbook(services, business, MONDAY, "14:30").overbooked
    assert not overbook(services, business, MONDAY, "13:00").overbooked


def test_a_free_start_is_booked_like_any(services: Services, business: SomeBusiness) -> None:
    """With nothing against it, nothing is passed over."""
    details = overbook(services, business, MONDAY, "10:00")
    assert not details.overbooked
    (line,) = services.scheduling.get_history(business.id, details.id)
    assert (line.data["overbooked"], line.data["refusal"]) == (False, None)


def test_the_past_can_t_be_overbooked(services: Services, business: SomeBusiness) -> None:
    """Not even deliberately."""
    with pytest.raises(SlotRefused) as caught:
        overbook(services, business, SUNDAY, "07:30")
    assert caught.value.refusal_code == "past"
    assert caught.value.alternatives


def test_without_a_resource_or_with_a_foreign_one_nothing_is_overbooked(
    services: Services, business: SomeBusiness
) -> None:
    """Over whom is part of the choice."""
    with pytest.raises(InvalidInput) as caught:
        services.scheduling.book_appointment(booking(business, TEN, overbook=True))
    assert caught.value.field == "resource_id"
    foreign = new_business(services).resources[0]
    with pytest.raises(NotFound):
        services.scheduling.book_appointment(booking(business, TEN, overbook=True, resource_id=foreign))


def test_what_is_overbooked_is_in_everybody_s_way(services: Services, business: SomeBusiness) -> None:
    """Once the first has gone, the second still has the place."""
    first = services.scheduling.book_appointment(booking(business, TEN))
    overbook(services, business, MONDAY, "10:00")
    services.scheduling.cancel_appointment(change_of(first))
    with pytest.raises(SlotTaken):
        services.scheduling.book_appointment(booking(business, TEN))


def test_an_overdue_hold_is_nobody(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """It has ended, so nothing was overbooked."""
    services.scheduling.hold_slot(holding(business, TEN))
    clock.advance(minutes=6)
    assert not overbook(services, business, MONDAY, "10:00").overbooked
