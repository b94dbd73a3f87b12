"""Moving an appointment: where it may go, what stays, and what is written down."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import Status
from app.errors import InvalidInput, InvalidState, NotFound, SlotRefused, SlotTaken, StaleVersion
from app.services import Services
from tests.factories import (
    FRIDAY,
    MONDAY,
    SUNDAY,
    Clock,
    SomeBusiness,
    as_tenant,
    booking,
    change_of,
    holding,
    local,
    moving,
    new_business,
)

TEN = local(MONDAY, "10:00")
NOON = local(MONDAY, "12:00")


def events_of(engine: Engine, business: SomeBusiness) -> list[tuple[str, dict[str, Any]]]:
    """Type and data of each event."""
    with as_tenant(engine, business.id) as connection:
        rows = connection.execute(text("SELECT type, payload FROM events ORDER BY id")).all()
    return [(row.type, row.payload["data"]) for row in rows]


def test_a_moved_appointment_is_the_same_one(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """Id, number, customer and type stay; place and version change; its old place is free."""
    before = services.scheduling.book_appointment(booking(business, TEN, notes="first visit"))
    clock.advance(minutes=1)
    after = services.scheduling.reschedule_appointment(moving(before, NOON, expected_version=1))
    assert (after.id, after.number, after.customer_name, after.notes) == (
        before.id,
        before.number,
        before.customer_name,
        before.notes,
    )
    assert (after.starts_at, after.ends_at) == (NOON, NOON + timedelta(minutes=30))
    assert (after.version, after.created_at, after.updated_at) == (2, before.created_at, clock.now)
    assert after == services.scheduling.get_appointment(business.id, before.id)
    services.scheduling.book_appointment(booking(business, TEN))


def test_a_move_is_recorded_with_where_it_came_from_and_announced(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Who, through which door, from when to when."""
    before = services.scheduling.book_appointment(booking(business, TEN))
    services.scheduling.reschedule_appointment(moving(before, NOON))
    line = services.scheduling.get_history(business.id, before.id)[-1]
    assert (line.kind, line.source, line.actor) == ("rescheduled", "dashboard", "user:3")
    assert line.data["previous_starts_at"] == "2026-11-23T08:00:00+00:00"
    assert line.data["starts_at"] == "2026-11-23T10:00:00+00:00"
    assert line.data["previous_resource_id"] == line.data["resource_id"] == business.resources[0]
    created, moved = events_of(engine, business)
    assert (created[0], moved[0]) == ("appointment.created", "appointment.rescheduled")
    assert moved[1]["previous_starts_at"] == "2026-11-23T10:00:00+02:00"
    assert (moved[1]["starts_at"], moved[1]["version"]) == ("2026-11-23T12:00:00+02:00", 2)


def test_an_appointment_is_not_in_its_own_way(services: Services) -> None:
    """It may overlap its old place, and a full day's limit counts it once."""
    business = new_business(services, slot_size_min=60, slot_step_min=15, daily_limit=1, buffer_after_min=15)
    details = services.scheduling.book_appointment(booking(business, TEN))
    after = services.scheduling.reschedule_appointment(moving(details, local(MONDAY, "10:15")))
    assert after.starts_at == local(MONDAY, "10:15")


def test_a_move_keeps_length_and_buffers_whatever_the_policy_says_now(services: Services, engine: Engine) -> None:
    """They are the appointment's since it was booked; the alternatives are as long as it is."""
    business = new_business(services, slot_size_min=60, buffer_before_min=10, buffer_after_min=20)
    details = services.scheduling.book_appointment(booking(business, TEN))
    services.businesses.set_slot_policy(
        business.id, {"weekly_hours": {"mon": [["09:00", "17:00"]]}, "slot_size_min": 15}
    )
    with pytest.raises(SlotRefused) as caught:
        services.scheduling.reschedule_appointment(moving(details, local(MONDAY, "16:15")))
    assert caught.value.refusal_code == "outside_hours"
    assert {slot.ends_at - slot.starts_at for slot in caught.value.alternatives} == {timedelta(hours=1)}
    after = services.scheduling.reschedule_appointment(moving(details, local(MONDAY, "16:00")))
    assert after.ends_at - after.starts_at == timedelta(hours=1)
    with as_tenant(engine, business.id) as connection:
        row = connection.execute(
            text("SELECT buffer_before_min, buffer_after_min, footprint FROM appointments")
        ).one()
    assert (row.buffer_before_min, row.buffer_after_min) == (10, 20)
    assert (row.footprint.lower, row.footprint.upper) == (local(MONDAY, "15:50"), local(MONDAY, "17:20"))


def test_a_move_stays_on_its_resource_if_that_is_free(services: Services) -> None:
    """Else the one that a booking would choose; a wish is a wish."""
    business = new_business(services, resources=("Room 1", "Room 2", "Room 3"))
    one, two, three = business.resources
    details = services.scheduling.book_appointment(booking(business, TEN, resource_id=three))
    assert services.scheduling.reschedule_appointment(moving(details, NOON)).resource_id == three
    services.scheduling.book_appointment(booking(business, TEN, resource_id=three))
    services.scheduling.book_appointment(booking(business, TEN, resource_id=one))
    assert services.scheduling.reschedule_appointment(moving(details, TEN)).resource_id == two
    with pytest.raises(SlotTaken) as caught:
        services.scheduling.reschedule_appointment(moving(details, TEN, resource_id=one))
    assert caught.value.alternatives[0].starts_at == TEN  # where it is itself
    moved = services.scheduling.reschedule_appointment(moving(details, NOON, resource_id=one))
    assert (moved.starts_at, moved.resource_id) == (NOON, one)


def test_a_move_is_limited_to_resources_that_take_its_type(services: Services) -> None:
    """Also when the type is no longer given to new customers."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    one, two = business.resources
    values = {"name": "Long", "duration_min": 60, "resource_ids": [two]}
    type_id = services.appointment_types.create_type(business.id, values, "test").id
    details = services.scheduling.book_appointment(booking(business, TEN, appointment_type_id=type_id))
    services.appointment_types.update_type(business.id, type_id, {"active": False}, None, "test")
    with pytest.raises(NotFound):
        services.scheduling.reschedule_appointment(moving(details, NOON, resource_id=one))
    after = services.scheduling.reschedule_appointment(moving(details, NOON))
    assert (after.resource_id, after.appointment_type_id) == (two, type_id)


@pytest.mark.parametrize(
    ("day", "at", "code"),
    [
        (MONDAY, "08:00", "outside_hours"),
        (MONDAY, "10:05", "off_grid"),
        (FRIDAY, "10:00", "outside_hours"),
        (SUNDAY - timedelta(days=7), "10:00", "past"),
        (SUNDAY + timedelta(days=40), "10:00", "beyond_window"),
    ],
)
def test_a_move_is_refused_like_a_booking(services: Services, day: Any, at: str, code: str) -> None:
    """With the same reasons and alternatives; and it stays where it was."""
    business = new_business(services, booking_window_days=30)
    details = services.scheduling.book_appointment(booking(business, TEN))
    with pytest.raises(SlotRefused) as caught:
        services.scheduling.reschedule_appointment(moving(details, local(day, at)))
    assert caught.value.refusal_code == code
    assert len(caught.value.alternatives) == 3
    assert services.scheduling.get_appointment(business.id, details.id) == details


def test_a_taken_start_is_refused_with_alternatives_near_it(services: Services, business: SomeBusiness) -> None:
    """Each of them can be had; an overdue hold gives way."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    services.scheduling.book_appointment(booking(business, NOON))
    with pytest.raises(SlotTaken) as caught:
        services.scheduling.reschedule_appointment(moving(details, NOON))
    starts = [slot.starts_at for slot in caught.value.alternatives]
    assert starts == [local(MONDAY, "11:30"), local(MONDAY, "12:30"), local(MONDAY, "11:00")]
    for start in starts:
        details = services.scheduling.reschedule_appointment(moving(details, start))


def test_an_overdue_hold_gives_way_to_a_move(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """As it does to a booking."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    hold = services.scheduling.hold_slot(holding(business, NOON))
    with pytest.raises(SlotTaken):
        services.scheduling.reschedule_appointment(moving(details, NOON))
    clock.advance(minutes=5)
    services.scheduling.reschedule_appointment(moving(details, NOON))
    assert services.scheduling.get_appointment(business.id, hold.id).status is Status.EXPIRED


def test_a_move_to_where_it_is_writes_nothing(services: Services, business: SomeBusiness, engine: Engine) -> None:
    """A repetition whose first answer was lost gets the row as it is, whatever version it expects."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    moved = services.scheduling.reschedule_appointment(moving(details, NOON, expected_version=1))
    assert services.scheduling.reschedule_appointment(moving(details, NOON, expected_version=1)) == moved
    assert len(services.scheduling.get_history(business.id, details.id)) == 2
    assert len(events_of(engine, business)) == 2


def test_a_stale_version_moves_nothing(services: Services, business: SomeBusiness) -> None:
    """Somebody was faster."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    services.scheduling.reschedule_appointment(moving(details, NOON))
    with pytest.raises(StaleVersion):
        services.scheduling.reschedule_appointment(moving(details, TEN, expected_version=1))
    assert services.scheduling.get_appointment(business.id, details.id).starts_at == NOON


def test_an_overbooked_appointment_that_moves_to_a_free_place_is_no_longer_one(
    services: Services, business: SomeBusiness
) -> None:
    """Then nobody else may come in its way either."""
    services.scheduling.book_appointment(booking(business, TEN))
    over = booking(business, TEN, overbook=True, resource_id=business.resources[0])
    details = services.scheduling.book_appointment(over)
    assert details.overbooked
    with pytest.raises(SlotTaken):
        services.scheduling.reschedule_appointment(moving(details, TEN))
    moved = services.scheduling.reschedule_appointment(moving(details, NOON))
    assert not moved.overbooked
    with pytest.raises(SlotTaken):
        services.scheduling.book_appointment(booking(business, NOON))


def test_what_is_not_there_or_not_valid_can_t_be_moved(services: Services, business: SomeBusiness) -> None:
    """Another business's appointment, a start without an offset, a cancelled one."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    foreign = services.scheduling.book_appointment(booking(new_business(services), TEN))
    with pytest.raises(NotFound):
        services.scheduling.reschedule_appointment(moving(replace(foreign, business_id=business.id), NOON))
    with pytest.raises(InvalidInput):
        services.scheduling.reschedule_appointment(moving(details, NOON.replace(tzinfo=None)))
    with pytest.raises(NotFound):
        services.scheduling.reschedule_appointment(moving(details, NOON, resource_id=2**60))
    services.scheduling.cancel_appointment(change_of(details))
    with pytest.raises(InvalidState):
        services.scheduling.reschedule_appointment(moving(details, NOON))
