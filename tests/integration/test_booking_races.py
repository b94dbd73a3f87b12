"""Many writers at once: one place, one row."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from app.errors import CalendarUnavailable, MoedError, SlotTaken
from app.services import Services
from tests.factories import MONDAY, SomeBusiness, as_tenant, booking, insert_appointment, local, new_business

TEN = local(MONDAY, "10:00")


def together(count: int, work: Callable[[int], object]) -> Counter[str]:
    """Run `work(0)`..`work(count - 1)` in as many threads, released at one moment; what came out, by name."""
    gate = threading.Barrier(count)

    def run(number: int) -> str:
        gate.wait()
        try:
            return type(work(number)).__name__
        except MoedError as error:
            return type(error).__name__

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(run, range(count)))


def count_rows(engine: Engine, business: SomeBusiness) -> int:
    with as_tenant(engine, business.id) as connection:
        return connection.execute(text("SELECT count(*) FROM appointments")).scalar_one()


def test_two_hundred_bookers_of_one_start_make_one_row(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Ten connections, two hundred threads: one details, the others SlotTaken, no other error."""
    outcomes = together(
        200, lambda n: services.scheduling.book_appointment(booking(business, TEN, customer_name=f"Caller {n}"))
    )
    assert outcomes == {"AppointmentDetails": 1, "SlotTaken": 199}
    assert count_rows(engine, business) == 1


def test_one_command_sent_twenty_times_at_once_is_one_booking(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Every sender gets the same appointment."""
    numbers = set()

    def send(_: int) -> object:
        details = services.scheduling.book_appointment(booking(business, TEN, idempotency_key="CA1:call_1"))
        numbers.add(details.number)
        return details

    assert together(20, send) == {"AppointmentDetails": 20}
    assert numbers == {1001}
    assert count_rows(engine, business) == 1


def test_many_bookers_of_a_day_fill_it_and_no_more(services: Services, engine: Engine) -> None:
    """Sixteen starts, two resources, twelve bookers who each take what is free until nothing is."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    starts = [TEN.replace(hour=9) + timedelta(minutes=30 * step) for step in range(16)]

    def fill(number: int) -> None:
        for step in range(16):
            try:
                services.scheduling.book_appointment(booking(business, starts[(number + step) % 16]))
            except SlotTaken:
                continue

    assert together(12, fill) == {"NoneType": 12}
    with as_tenant(engine, business.id) as connection:
        rows = connection.execute(text("SELECT starts_at, resource_id, number FROM appointments")).all()
    assert sorted((row.starts_at, row.resource_id) for row in rows) == sorted(
        (start, resource_id) for start in starts for resource_id in business.resources
    )
    assert sorted(row.number for row in rows) == list(range(1001, 1033))


def test_a_booking_waits_for_a_policy_that_is_being_changed(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """The policy's writer holds the calendar; who booked meanwhile is decided by what it left."""
    with ThreadPoolExecutor(1) as pool, as_tenant(engine, business.id) as connection:
        connection.execute(text("SELECT next_number FROM calendars FOR NO KEY UPDATE")).one()
        waiting = pool.submit(services.scheduling.book_appointment, booking(business, TEN))
        _wait_until_blocked(engine, connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        connection.execute(text("UPDATE resources SET active = false"))
        connection.commit()
        with pytest.raises(MoedError) as caught:
            waiting.result()
    assert caught.value.code == "slot_refused"


def test_a_lock_that_does_not_come_is_a_taken_slot(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """lock_timeout (55P03) is one of the conflicts; nothing is written. A change of policy says unavailable."""
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("SELECT next_number FROM calendars FOR NO KEY UPDATE")).one()
        with pytest.raises(SlotTaken):
            services.scheduling.book_appointment(booking(business, TEN))
        with pytest.raises(CalendarUnavailable):
            services.businesses.add_resource(business.id, "Room 2")
    assert count_rows(engine, business) == 0


@pytest.mark.parametrize("status", ["held", "pending", "confirmed"])
def test_the_constraint_holds_for_who_passes_the_service_by(
    services: Services, business: SomeBusiness, engine: Engine, status: str
) -> None:
    """Raw SQL meets 23P01; touching footprints are fine."""
    services.scheduling.book_appointment(booking(business, TEN))
    expires_at = local(MONDAY, "23:00") if status == "held" else None
    with pytest.raises(IntegrityError) as caught:
        insert_appointment(engine, business, local(MONDAY, "10:15"), status=status, expires_at=expires_at)
    assert caught.value.orig.pgcode == "23P01"
    insert_appointment(engine, business, local(MONDAY, "10:30"), status=status, expires_at=expires_at)


def test_what_does_not_block_may_lie_on_top(services: Services, business: SomeBusiness, engine: Engine) -> None:
    """Cancelled rows, deliberately overbooked ones, and other resources."""
    services.scheduling.book_appointment(booking(business, TEN))
    insert_appointment(engine, business, TEN, status="cancelled")
    insert_appointment(engine, business, TEN, overbooked=True)
    other = services.businesses.add_resource(business.id, "Room 2")
    insert_appointment(engine, business, TEN, resource_id=other)
    assert count_rows(engine, business) == 4


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("footprint", "tstzrange(starts_at, ends_at)"),
        ("ends_at", "starts_at"),
        ("expires_at", "now()"),
        ("status", "'held'"),
        ("status", "'maybe'"),
        ("buffer_before_min", "-1"),
        ("idempotency_key", "'k'"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(
    services: Services, business: SomeBusiness, engine: Engine, column: str, value: str
) -> None:
    """The footprint is the time with its buffers, only holds expire, and so on."""
    appointment = insert_appointment(engine, business, TEN, before=5, after=5)
    statement = f"UPDATE appointments SET {column} = {value} WHERE id = :id"  # noqa: S608 - from the table above
    with as_tenant(engine, business.id) as connection, pytest.raises(IntegrityError):
        connection.execute(text(statement), {"id": appointment})


def test_a_footprint_longer_than_a_day_is_refused(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Range reads rely on it."""
    with pytest.raises(IntegrityError):
        insert_appointment(engine, business, TEN, after=24 * 60)


def _wait_until_blocked(engine: Engine, blocker: int) -> None:
    """Return when some backend waits for the one with this process id."""
    waits = text("SELECT count(*) FROM pg_stat_activity WHERE :blocker = ANY (pg_blocking_pids(pid))")
    while True:
        with engine.connect() as connection:
            if connection.execute(waits, {"blocker": blocker}).scalar_one():
                return
