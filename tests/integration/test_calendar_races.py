"""Booking, moving, cancelling and blocking at once: nothing overlaps, nothing is lost."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import AppointmentDetails, Status
from app.domain.calendar_settings import NewBlock
from app.errors import MoedError, SlotTaken
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
    local,
    moving,
    new_business,
)

TEN = local(MONDAY, "10:00")

OVERLAPS = text(
    """
    SELECT count(*) FROM appointments a JOIN appointments b
        ON a.resource_id = b.resource_id AND a.id < b.id AND a.footprint && b.footprint
    WHERE a.status IN ('held', 'pending', 'confirmed') AND b.status IN ('held', 'pending', 'confirmed')
    """
)


def together(*works: Callable[[], object]) -> list[object]:
    """Run each in a thread, released at one moment; their results or errors."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        gate.wait()
        try:
            return work()
        except MoedError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def count_overlaps(engine: Engine, business: SomeBusiness) -> int:
    with as_tenant(engine, business.id) as connection:
        return connection.execute(OVERLAPS).scalar_one()


@pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.long)])
def test_rounds_on_two_resources_in_opposite_order_overlap_nowhere_and_lose_nothing(
    services: Services, engine: Engine, rounds: int
) -> None:
    """Some swap resources both ways while others book and cancel; each row is what its last winner said."""
    business = new_business(services, resources=("Room 1", "Room 2"), slot_step_min=15)
    one, two = business.resources
    chance = random.Random(3)  # noqa: S311 - a choice of tests, not a secret
    starts = [TEN + timedelta(minutes=15 * step) for step in range(6)]
    known: dict[int, AppointmentDetails] = {}
    outcomes: Counter[str] = Counter()
    calendar = services.scheduling
    for _ in range(rounds):
        active = [it for it in known.values() if it.status is Status.CONFIRMED]
        chance.shuffle(active)
        works: list[Callable[[], object]] = [
            partial(calendar.book_appointment, booking(business, chance.choice(starts), resource_id=resource_id))
            for resource_id in (one, two)
        ]
        for it in active[:3]:
            other = two if it.resource_id == one else one
            move = moving(it, chance.choice(starts), resource_id=other)
            works.append(partial(calendar.reschedule_appointment, move))
        works += [partial(calendar.cancel_appointment, change_of(it)) for it in active[3:5]]
        for result in together(*works):
            outcomes[type(result).__name__] += 1
            if isinstance(result, AppointmentDetails):
                known[result.id] = result
        assert count_overlaps(engine, business) == 0
    assert set(outcomes) == {"AppointmentDetails", "SlotTaken"}
    assert min(outcomes.values()) >= rounds // 2
    with as_tenant(engine, business.id) as connection:
        rows = connection.execute(text("SELECT id FROM appointments")).scalars().all()
    assert sorted(rows) == sorted(known)
    for details in known.values():
        assert calendar.get_appointment(business.id, details.id) == details


def test_a_block_and_a_booking_at_once_are_one_after_the_other(services: Services, business: SomeBusiness) -> None:
    """Either the block came first and the booking is refused, or the block is told of the appointment."""
    for day in range(20):
        starts_at = TEN + timedelta(days=7 * day)
        ends_at = starts_at + timedelta(hours=1)
        blocked, booked = together(
            partial(services.blocks.create_block, business.id, starts_at, ends_at, "test"),
            partial(services.scheduling.book_appointment, booking(business, starts_at)),
        )
        assert isinstance(blocked, NewBlock)
        assert isinstance(booked, AppointmentDetails | SlotTaken)
        seen = (booked.id,) if isinstance(booked, AppointmentDetails) else ()
        assert blocked.overlapping_appointments == seen


def test_many_confirmers_and_bookers_of_an_overdue_hold_are_one_winner(
    services: Services, business: SomeBusiness, engine: Engine, clock: Clock
) -> None:
    """With the sweeper among them."""
    for day in range(10):
        starts_at = TEN + timedelta(days=7 * day)
        clock.now = starts_at - timedelta(days=2)
        hold = services.scheduling.hold_slot(holding(business, starts_at))
        clock.advance(minutes=5)
        works: list[Callable[[], object]] = [services.scheduling.expire_holds]
        works += [partial(services.scheduling.confirm_hold, confirming(hold))] * 4
        works += [partial(services.scheduling.book_appointment, booking(business, starts_at))] * 4
        results = Counter(type(result).__name__ for result in together(*works))
        assert results["AppointmentDetails"] == 1
        assert set(results) <= {"int", "AppointmentDetails", "SlotTaken", "InvalidState"}
        assert count_overlaps(engine, business) == 0


def test_of_many_who_saw_one_version_one_changes_it(services: Services, business: SomeBusiness) -> None:
    """The others are told that it is stale."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    moves = [moving(details, TEN + timedelta(minutes=30 * step), expected_version=1) for step in range(1, 9)]
    results = Counter(
        type(result).__name__
        for result in together(*(partial(services.scheduling.reschedule_appointment, move) for move in moves))
    )
    assert results == {"AppointmentDetails": 1, "StaleVersion": 7}
    assert services.scheduling.get_appointment(business.id, details.id).version == 2
