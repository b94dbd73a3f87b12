"""Holds: kept for some minutes, confirmed, released, overdue."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import AppointmentFilter, ConfirmHold, Source, Status
from app.domain.pages import PageRequest
from app.errors import IdempotencyConflict, InvalidInput, InvalidState, NotFound, SlotTaken, StaleVersion
from app.services import Services
from tests.factories import (
    MONDAY,
    Clock,
    SomeBusiness,
    as_tenant,
    booking,
    change_of,
    confirming,
    holding,
    insert_appointment,
    local,
    new_business,
)

TEN = local(MONDAY, "10:00")


def test_a_hold_keeps_its_place_until_it_ends(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """Five minutes, without a customer; then the place is free without anybody sweeping."""
    hold = services.scheduling.hold_slot(holding(business, TEN))
    assert (hold.status, hold.customer_name, hold.number) == (Status.HELD, "", 1001)
    assert hold.expires_at == clock.now + timedelta(minutes=5)
    with pytest.raises(SlotTaken):
        services.scheduling.book_appointment(booking(business, TEN))
    clock.advance(minutes=5)
    services.scheduling.book_appointment(booking(business, TEN))
    assert services.scheduling.get_appointment(business.id, hold.id).status is Status.EXPIRED


def test_a_confirmed_hold_is_the_same_appointment(services: Services, business: SomeBusiness) -> None:
    """Id and number are kept; the name comes, the end goes."""
    hold = services.scheduling.hold_slot(holding(business, TEN, minutes=60))
    details = services.scheduling.confirm_hold(
        confirming(hold, customer_phone="052-123-4567", notes="first visit", expected_version=hold.version)
    )
    assert (details.id, details.number, details.starts_at) == (hold.id, hold.number, hold.starts_at)
    assert (details.status, details.expires_at) == (Status.CONFIRMED, None)
    assert (details.customer_name, details.customer_phone) == ("Dana Levi", "+972521234567")
    assert details.version == hold.version + 1
    found = services.scheduling.list_appointments(
        business.id, AppointmentFilter(name_begins_with="dana"), PageRequest()
    )
    assert found.items == (details,)


def test_an_overdue_hold_that_nobody_took_can_still_be_confirmed(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """It is in its place, and the decision would give it to anybody."""
    hold = services.scheduling.hold_slot(holding(business, TEN))
    clock.advance(minutes=30)
    assert services.scheduling.confirm_hold(confirming(hold)).status is Status.CONFIRMED


@pytest.mark.parametrize("how", ["booked", "swept", "blocked", "overbooked", "too late"])
def test_an_overdue_hold_whose_place_is_lost_can_t_be_confirmed(
    services: Services, business: SomeBusiness, engine: Engine, clock: Clock, how: str
) -> None:
    """Somebody booked it, the sweeper ended it, it was blocked, somebody sits there, or its time has come."""
    hold = services.scheduling.hold_slot(holding(business, TEN))
    clock.advance(minutes=6)
    match how:
        case "booked":
            services.scheduling.book_appointment(booking(business, TEN))
        case "swept":
            services.scheduling.expire_holds()
        case "blocked":
            services.blocks.create_block(business.id, TEN, TEN + timedelta(hours=1), "test")
        case "overbooked":
            insert_appointment(engine, business, TEN, overbooked=True)
        case _:
            clock.now = TEN + timedelta(seconds=1)
    with pytest.raises(InvalidState):
        services.scheduling.confirm_hold(confirming(hold))


def test_a_hold_that_runs_is_confirmed_whatever_has_changed(services: Services, business: SomeBusiness) -> None:
    """Its place was promised: a policy that has closed the day since does not take it away."""
    hold = services.scheduling.hold_slot(holding(business, TEN))
    services.businesses.set_date_override(business.id, MONDAY, [])
    assert services.scheduling.confirm_hold(confirming(hold)).status is Status.CONFIRMED


def test_a_released_hold_frees_its_place_and_stays_released(services: Services, business: SomeBusiness) -> None:
    """Releasing it again is fine; confirming it is not."""
    hold = services.scheduling.hold_slot(holding(business, TEN))
    assert services.scheduling.release_hold(change_of(hold)).status is Status.EXPIRED
    services.scheduling.book_appointment(booking(business, TEN))
    assert services.scheduling.release_hold(change_of(hold)).status is Status.EXPIRED
    with pytest.raises(InvalidState):
        services.scheduling.confirm_hold(confirming(hold))


def test_the_sweeper_ends_what_is_overdue_in_every_business(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """And leaves what runs; a second time there is nothing to do."""
    clock.advance(days=1)
    services.scheduling.expire_holds()  # what other tests left
    clock.advance(days=-1)
    other = new_business(services)
    overdue = [services.scheduling.hold_slot(holding(one, TEN)) for one in (business, other)]
    running = services.scheduling.hold_slot(holding(business, local(MONDAY, "11:00"), minutes=60))
    clock.advance(minutes=5)
    assert services.scheduling.expire_holds() == 2
    assert services.scheduling.expire_holds() == 0
    for hold in overdue:
        assert services.scheduling.get_appointment(hold.business_id, hold.id).status is Status.EXPIRED
        assert [line.kind for line in services.scheduling.get_history(hold.business_id, hold.id)] == [
            "held",
            "expired",
        ]
    assert services.scheduling.get_appointment(business.id, running.id).status is Status.HELD


def test_the_same_key_again_is_the_same_hold(services: Services, business: SomeBusiness) -> None:
    """And another command under it is a conflict, a booking too."""
    command = holding(business, TEN, idempotency_key="key-1")
    assert services.scheduling.hold_slot(command).id == services.scheduling.hold_slot(command).id
    with pytest.raises(IdempotencyConflict):
        services.scheduling.hold_slot(holding(business, TEN, idempotency_key="key-1", minutes=6))
    with pytest.raises(IdempotencyConflict):
        services.scheduling.book_appointment(booking(business, TEN, idempotency_key="key-1"))


@pytest.mark.parametrize("minutes", [0, 61, -5])
def test_a_hold_lasts_a_minute_to_an_hour(services: Services, business: SomeBusiness, minutes: int) -> None:
    """Nothing else is taken."""
    with pytest.raises(InvalidInput) as caught:
        services.scheduling.hold_slot(holding(business, TEN, minutes=minutes))
    assert caught.value.field == "minutes"


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"customer_name": " "}, "customer_name"), ({"customer_phone": "12"}, "customer_phone")],
)
def test_a_confirmation_is_checked_like_a_booking(
    services: Services, business: SomeBusiness, changes: dict[str, Any], field: str
) -> None:
    """And the hold stays what it was."""
    hold = services.scheduling.hold_slot(holding(business, TEN))
    with pytest.raises(InvalidInput) as caught:
        services.scheduling.confirm_hold(confirming(hold, **changes))
    assert caught.value.field == field
    assert services.scheduling.get_appointment(business.id, hold.id) == hold


def test_a_stale_confirmation_and_a_foreign_one_are_refused(services: Services, business: SomeBusiness) -> None:
    """By version, and by tenant."""
    hold = services.scheduling.hold_slot(holding(business, TEN))
    with pytest.raises(StaleVersion):
        services.scheduling.confirm_hold(confirming(hold, expected_version=2))
    other = new_business(services)
    for work in (
        lambda: services.scheduling.confirm_hold(ConfirmHold(other.id, hold.id, "Dana", Source.API)),
        lambda: services.scheduling.get_history(other.id, hold.id),
        lambda: services.scheduling.get_appointment(other.id, hold.id),
    ):
        with pytest.raises(NotFound):
            work()


def test_a_hold_is_no_event_and_its_confirmation_is_a_created_appointment(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Others hear of it once it has a customer."""
    hold = services.scheduling.hold_slot(holding(business, TEN))
    services.scheduling.confirm_hold(confirming(hold))
    gone = services.scheduling.hold_slot(holding(business, local(MONDAY, "11:00")))
    services.scheduling.release_hold(change_of(gone))
    with as_tenant(engine, business.id) as connection:
        events = connection.execute(text("SELECT type, appointment_id FROM events")).all()
    assert [tuple(event) for event in events] == [("appointment.created", hold.id)]
