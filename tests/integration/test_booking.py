"""What `Scheduling.book_appointment` writes and refuses."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import Source, Status
from app.errors import IdempotencyConflict, InvalidInput, NotFound, SlotRefused, SlotTaken
from app.services import Services
from tests.factories import (
    FRIDAY,
    MONDAY,
    SUNDAY,
    Clock,
    SomeBusiness,
    as_tenant,
    booking,
    incoming_call,
    insert_appointment,
    local,
    new_business,
)

TEN = local(MONDAY, "10:00")


def rows_of(engine: Engine, business: SomeBusiness) -> list[Any]:
    with as_tenant(engine, business.id) as connection:
        return list(connection.execute(text("SELECT * FROM appointments ORDER BY id")))


def test_a_free_start_becomes_a_committed_row(services: Services, business: SomeBusiness, engine: Engine) -> None:
    """The details that come back are the row's, in the business's offset, and can be read again."""
    call = services.calls.accept_call(incoming_call(business))
    details = services.scheduling.book_appointment(
        booking(business, TEN, customer_name="  Dana Levi ", notes="first\nvisit", call_id=call.call_id)
    )
    assert details.number == 1001
    assert details.status is Status.CONFIRMED
    assert details.source is Source.VOICE
    assert details.customer_name == "Dana Levi"
    assert details.starts_at.isoformat() == "2026-11-23T10:00:00+02:00"
    assert details.ends_at.isoformat() == "2026-11-23T10:30:00+02:00"
    assert details.resource_id == business.resources[0]
    assert details.call_id == call.call_id
    assert services.scheduling.get_appointment(business.id, details.id) == details
    assert [row.id for row in rows_of(engine, business)] == [details.id]


def test_numbers_count_up_in_each_business_and_are_never_reused(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """A cancelled and even a deleted appointment keeps its number to itself."""
    numbers = []
    for at in ("09:00", "09:30", "10:00"):
        details = services.scheduling.book_appointment(booking(business, local(MONDAY, at)))
        numbers.append(details.number)
        with as_tenant(engine, business.id) as connection:
            connection.execute(text("DELETE FROM appointment_changes"))
            connection.execute(text("DELETE FROM events"))
            connection.execute(text("DELETE FROM appointments"))
    assert numbers == [1001, 1002, 1003]
    other = new_business(services)
    assert services.scheduling.book_appointment(booking(other, TEN)).number == 1001


def test_a_taken_start_is_refused_with_the_nearest_free_starts(services: Services, business: SomeBusiness) -> None:
    """Alternatives come nearest first, and each of them can be booked."""
    services.scheduling.book_appointment(booking(business, TEN))
    with pytest.raises(SlotTaken) as caught:
        services.scheduling.book_appointment(booking(business, TEN, customer_name="Noa"))
    starts = [slot.starts_at for slot in caught.value.alternatives]
    assert starts == [local(MONDAY, "09:30"), local(MONDAY, "10:30"), local(MONDAY, "09:00")]
    for start in starts:
        services.scheduling.book_appointment(booking(business, start, customer_name="Noa"))


@pytest.mark.parametrize(
    ("starts_at", "code"),
    [
        (local(MONDAY, "08:30"), "outside_hours"),
        (local(MONDAY, "10:10"), "off_grid"),
        (local(MONDAY, "12:00"), "break"),
        (local(FRIDAY, "10:00"), "outside_hours"),
        (local(SUNDAY, "09:00"), "min_notice"),
        (local(SUNDAY - timedelta(days=7), "10:00"), "past"),
        (local(SUNDAY + timedelta(days=31), "10:00"), "beyond_window"),
        (local(SUNDAY + timedelta(days=2), "10:00"), "closed_date"),
    ],
)
def test_a_start_that_the_policy_forbids_is_refused_with_its_code(
    services: Services, starts_at: datetime, code: str
) -> None:
    """The reason is the one function's, and there are alternatives."""
    business = new_business(
        services,
        breaks={"mon": [["12:00", "13:00"]]},
        min_notice_min=120,
        booking_window_days=30,
    )
    services.businesses.set_date_override(business.id, SUNDAY + timedelta(days=2), [])
    with pytest.raises(SlotRefused) as caught:
        services.scheduling.book_appointment(booking(business, starts_at))
    assert caught.value.refusal_code == code
    assert len(caught.value.alternatives) == 3


def test_buffers_keep_appointments_apart(services: Services, engine: Engine) -> None:
    """The stored footprint has the buffers, and the next start must leave both of them free."""
    business = new_business(services, slot_step_min=15, buffer_before_min=10, buffer_after_min=5)
    services.scheduling.book_appointment(booking(business, TEN))
    (row,) = rows_of(engine, business)
    assert (row.footprint.lower, row.footprint.upper) == (local(MONDAY, "09:50"), local(MONDAY, "10:35"))
    with pytest.raises(SlotRefused) as caught:
        services.scheduling.book_appointment(booking(business, local(MONDAY, "10:30")))
    assert caught.value.refusal_code == "buffer"
    services.scheduling.book_appointment(booking(business, local(MONDAY, "10:45")))


def test_the_same_key_and_command_again_is_the_same_booking(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Also after the row was changed by somebody: its identity counts."""
    command = booking(business, TEN, idempotency_key="CA1:call_1")
    first = services.scheduling.book_appointment(command)
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("UPDATE appointments SET customer_name = 'Dana L.'"))
    again = services.scheduling.book_appointment(command)
    assert (again.id, again.number, again.customer_name) == (first.id, first.number, "Dana L.")
    assert len(rows_of(engine, business)) == 1


def test_the_same_key_with_another_command_conflicts(services: Services, business: SomeBusiness) -> None:
    """A key stands for one command."""
    services.scheduling.book_appointment(booking(business, TEN, idempotency_key="CA1:call_1"))
    with pytest.raises(IdempotencyConflict):
        services.scheduling.book_appointment(
            booking(business, local(MONDAY, "11:00"), idempotency_key="CA1:call_1")
        )


def test_the_same_key_in_another_business_is_another_key(services: Services, business: SomeBusiness) -> None:
    """Keys belong to a tenant."""
    other = new_business(services)
    one = services.scheduling.book_appointment(booking(business, TEN, idempotency_key="CA1:call_1"))
    two = services.scheduling.book_appointment(booking(other, TEN, idempotency_key="CA1:call_1"))
    assert one.id != two.id


def test_an_overdue_hold_gives_way_without_a_sweeper(
    services: Services, business: SomeBusiness, engine: Engine, clock: Clock
) -> None:
    """The booking expires it first: the constraint can't look at the clock."""
    hold = insert_appointment(engine, business, TEN, status="held", expires_at=clock.now)
    details = services.scheduling.book_appointment(booking(business, TEN))
    statuses = {row.id: (row.status, row.expires_at) for row in rows_of(engine, business)}
    assert statuses == {hold: ("expired", None), details.id: ("confirmed", None)}


def test_a_hold_that_runs_still_blocks(
    services: Services, business: SomeBusiness, engine: Engine, clock: Clock
) -> None:
    """It is neither offered nor bookable."""
    insert_appointment(engine, business, TEN, status="held", expires_at=clock.now + timedelta(seconds=1))
    with pytest.raises(SlotTaken):
        services.scheduling.book_appointment(booking(business, TEN))


def test_an_overdue_hold_that_only_reaches_in_with_its_buffer_gives_way(
    services: Services, business: SomeBusiness, engine: Engine, clock: Clock
) -> None:
    """What counts is the footprint, up to a day long."""
    early = TEN - timedelta(hours=23)
    insert_appointment(
        engine, business, early, status="held", expires_at=clock.now - timedelta(minutes=1), after=23 * 60
    )
    services.scheduling.book_appointment(booking(business, TEN))


def test_without_a_wish_the_least_busy_resource_is_booked(services: Services) -> None:
    """Least busy on that day, then the lowest id."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    one, two = business.resources
    chosen = [
        services.scheduling.book_appointment(booking(business, local(MONDAY, at))).resource_id
        for at in ("09:00", "09:00", "09:30", "10:00")
    ]
    assert chosen == [one, two, one, two]
    with pytest.raises(SlotTaken):
        services.scheduling.book_appointment(booking(business, local(MONDAY, "09:00")))


def test_a_wished_resource_is_booked_or_refused(services: Services) -> None:
    """A wish is a wish: another resource does not stand in."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    two = business.resources[1]
    assert services.scheduling.book_appointment(booking(business, TEN, resource_id=two)).resource_id == two
    with pytest.raises(SlotTaken) as caught:
        services.scheduling.book_appointment(booking(business, TEN, resource_id=two))
    assert caught.value.alternatives[0].starts_at == TEN


def test_a_resource_of_another_business_is_not_found(services: Services, business: SomeBusiness) -> None:
    """Not yours and never was are one answer."""
    other = new_business(services)
    with pytest.raises(NotFound):
        services.scheduling.book_appointment(booking(business, TEN, resource_id=other.resources[0]))


def test_a_call_of_another_business_is_not_found(services: Services, business: SomeBusiness) -> None:
    """The foreign key is composite, so the database refuses it."""
    call = services.calls.accept_call(incoming_call(new_business(services)))
    with pytest.raises(NotFound):
        services.scheduling.book_appointment(booking(business, TEN, call_id=call.call_id))


def test_an_unknown_business_is_not_found(services: Services) -> None:
    """A lock that returns no row raises."""
    nowhere = SomeBusiness(2**40, "+97231234567", (1,))
    with pytest.raises(NotFound):
        services.scheduling.book_appointment(booking(nowhere, TEN))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"starts_at": datetime(2026, 11, 23, 10, 0)}, "starts_at"),  # noqa: DTZ001 - that is the point
        ({"starts_at": local(MONDAY.replace(year=9999), "10:00")}, "starts_at"),
        ({"customer_name": "   "}, "customer_name"),
        ({"customer_name": "x" * 201}, "customer_name"),
        ({"customer_name": "Dana\x00Levi"}, "customer_name"),
        ({"customer_name": "Dana\nLevi"}, "customer_name"),
        ({"customer_name": "Dana\ud800"}, "customer_name"),
        ({"customer_phone": "0521234567"}, "customer_phone"),
        ({"customer_phone": "+972521234567\n"}, "customer_phone"),
        ({"notes": "x" * 2001}, "notes"),
        ({"notes": "\x00"}, "notes"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "é"}, "idempotency_key"),
    ],
)
def test_bad_input_is_refused_by_name(
    services: Services, business: SomeBusiness, changes: dict[str, Any], field: str
) -> None:
    """Whatever the door forgot to check stops here."""
    starts_at = changes.pop("starts_at", TEN)
    with pytest.raises(InvalidInput) as caught:
        services.scheduling.book_appointment(booking(business, starts_at, **changes))
    assert caught.value.field == field


def test_a_hebrew_name_of_full_length_is_booked(services: Services, business: SomeBusiness) -> None:
    """Two hundred letters, whatever their bytes; direction marks are letters' company, not control characters."""
    name = "\u200f" + "ש" * 199
    assert services.scheduling.book_appointment(booking(business, TEN, customer_name=name)).customer_name == name


def test_a_daily_limit_counts_over_all_resources_that_share_it(services: Services) -> None:
    """The limit belongs to the policy's owner: a resource with its own policy has its own."""
    business = new_business(services, resources=("Room 1", "Room 2", "Room 3"), daily_limit=2)
    own = {"weekly_hours": {"mon": [["09:00", "17:00"]]}, "slot_size_min": 30}
    services.businesses.set_slot_policy(business.id, own, resource_id=business.resources[2])
    one, two, three = business.resources
    for at, resource_id in (("09:00", one), ("09:30", two)):
        services.scheduling.book_appointment(booking(business, local(MONDAY, at), resource_id=resource_id))
    for resource_id in (one, two):
        with pytest.raises(SlotRefused) as caught:
            services.scheduling.book_appointment(booking(business, TEN, resource_id=resource_id))
        assert caught.value.refusal_code == "daily_limit"
    assert services.scheduling.book_appointment(booking(business, TEN)).resource_id == three


def test_the_number_that_the_caller_heard_is_noted_once(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """The first time counts; another business can't do it."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    assert details.confirmed_to_caller_at is None
    services.scheduling.mark_confirmed_to_caller(business.id, details.id)
    heard_at = clock.now
    clock.advance(minutes=1)
    services.scheduling.mark_confirmed_to_caller(business.id, details.id)
    assert services.scheduling.get_appointment(business.id, details.id).confirmed_to_caller_at == heard_at
    with pytest.raises(NotFound):
        services.scheduling.mark_confirmed_to_caller(new_business(services).id, details.id)


def test_every_change_leaves_a_line_without_personal_data(
    services: Services, business: SomeBusiness, engine: Engine, clock: Clock
) -> None:
    """Booked, confirmed to the caller, and the hold that expired for it."""
    insert_appointment(engine, business, TEN, status="held", expires_at=clock.now)
    details = services.scheduling.book_appointment(booking(business, TEN, notes="back pain"))
    services.scheduling.mark_confirmed_to_caller(business.id, details.id)
    with as_tenant(engine, business.id) as connection:
        lines = list(connection.execute(text("SELECT kind, data::text FROM appointment_changes ORDER BY id")))
    assert [line.kind for line in lines] == ["expired", "booked", "confirmed_to_caller"]
    assert not any(secret in line.data for line in lines for secret in ("Dana", "972", "pain"))
