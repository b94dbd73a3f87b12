"""Blocks: busy time without a customer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from app.domain.pages import PageRequest
from app.errors import CalendarUnavailable, InvalidInput, NotFound
from app.services import Services
from tests.factories import MONDAY, Clock, SomeBusiness, as_tenant, insert_appointment, local, new_business

ACTOR = "key:1"
TEN, NOON = local(MONDAY, "10:00"), local(MONDAY, "12:00")


def listed(services: Services, business: SomeBusiness, **filters: Any) -> list[int]:
    return [item.id for item in services.blocks.list_blocks(business.id, PageRequest(), **filters).items]


def test_a_block_is_read_as_it_was_made(services: Services, business: SomeBusiness) -> None:
    """Instants in the business's time, whatever offset they came with."""
    room = business.resources[0]
    in_utc = TEN - TEN.utcoffset()
    made = services.blocks.create_block(business.id, TEN, NOON, ACTOR, " Dentist ", room)
    assert (made.resource_id, made.reason, made.overlapping_appointments) == (room, "Dentist", ())
    assert (made.starts_at, made.starts_at.utcoffset()) == (TEN, TEN.utcoffset())
    assert made.starts_at.replace(tzinfo=None) != in_utc.replace(tzinfo=None)
    read = services.blocks.get_block(business.id, made.id)
    assert (read.id, read.starts_at, read.ends_at, read.reason) == (made.id, TEN, NOON, "Dentist")
    services.blocks.delete_block(business.id, made.id, ACTOR)
    with pytest.raises(NotFound):
        services.blocks.get_block(business.id, made.id)
    with pytest.raises(NotFound):
        services.blocks.delete_block(business.id, made.id, ACTOR)


def test_a_block_tells_which_appointments_it_covers(services: Services, engine: Engine, clock: Clock) -> None:
    """The active ones that reach into it, on its resource or on all; they stay."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    one, two = business.resources
    inside = insert_appointment(engine, business, TEN)
    reaching = insert_appointment(engine, business, TEN - timedelta(minutes=15), resource_id=two)
    other = insert_appointment(engine, business, local(MONDAY, "11:30"), resource_id=two)
    insert_appointment(engine, business, TEN - timedelta(minutes=30))
    insert_appointment(engine, business, NOON)
    insert_appointment(engine, business, local(MONDAY, "11:00"), status="cancelled")
    insert_appointment(engine, business, local(MONDAY, "11:00"), status="held", expires_at=clock.now)
    everybody = services.blocks.create_block(business.id, TEN, NOON, ACTOR)
    assert everybody.overlapping_appointments == (reaching, inside, other)
    assert services.blocks.create_block(
        business.id, TEN, NOON, ACTOR, resource_id=one
    ).overlapping_appointments == (inside,)
    assert services.scheduling.get_appointment(business.id, inside).status == "confirmed"


def test_a_list_has_what_touches_a_range(services: Services) -> None:
    """Ends are excluded; a resource's list has the blocks of all; pages go by beginning."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    one, two = business.resources

    def block(begin: str, end: str, resource_id: int | None = None) -> int:
        starts_at, ends_at = local(MONDAY, begin), local(MONDAY, end)
        return services.blocks.create_block(business.id, starts_at, ends_at, ACTOR, resource_id=resource_id).id

    late, early = block("14:00", "15:00", two), block("08:00", "10:00", one)
    middle = block("09:00", "13:00")
    assert listed(services, business) == [early, middle, late]
    assert listed(services, business, since=TEN, until=local(MONDAY, "14:00")) == [middle]
    assert listed(services, business, since=local(MONDAY, "09:59")) == [early, middle, late]
    assert listed(services, business, until=local(MONDAY, "08:30")) == [early]
    assert listed(services, business, resource_id=two) == [middle, late]
    first = services.blocks.list_blocks(business.id, PageRequest(2))
    rest = services.blocks.list_blocks(business.id, PageRequest(2, first.next_after))
    assert [item.id for item in rest.items] == [late]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ends_at": TEN}, "ends_at"),
        ({"ends_at": TEN + timedelta(days=366, seconds=1)}, "ends_at"),
        ({"starts_at": datetime(2026, 11, 23, 10)}, "starts_at"),  # noqa: DTZ001 - that it is naive is the point
        ({"reason": "x" * 201}, "reason"),
        ({"resource_id": -1}, "resource_id"),
    ],
)
def test_a_bad_block_is_refused_by_field(
    services: Services, business: SomeBusiness, changes: dict[str, Any], field: str
) -> None:
    """And nothing is blocked."""
    values = {"starts_at": TEN, "ends_at": NOON, "actor": ACTOR, **changes}
    with pytest.raises(InvalidInput) as caught:
        services.blocks.create_block(business.id, **values)
    assert caught.value.field == field
    assert listed(services, business) == []


def test_a_year_is_the_longest_block(services: Services, business: SomeBusiness) -> None:
    """A leap year, to the second."""
    assert services.blocks.create_block(business.id, TEN, TEN + timedelta(days=366), ACTOR).id


def test_another_business_s_blocks_are_not_there(services: Services, business: SomeBusiness) -> None:
    """Not to see, to list, to delete, or to make for its resource."""
    other = new_business(services)
    theirs = services.blocks.create_block(other.id, TEN, NOON, ACTOR)
    with pytest.raises(NotFound):
        services.blocks.get_block(business.id, theirs.id)
    with pytest.raises(NotFound):
        services.blocks.delete_block(business.id, theirs.id, ACTOR)
    with pytest.raises(NotFound):
        services.blocks.create_block(business.id, TEN, NOON, ACTOR, resource_id=other.resources[0])
    assert listed(services, business) == []
    assert listed(services, other) == [theirs.id]


def test_a_block_waits_for_the_calendar(services: Services, engine: Engine, business: SomeBusiness) -> None:
    """Nobody may decide on a booking while one is written: it asks for the same lock."""
    with as_tenant(engine, business.id) as connection:
        connection.exec_driver_sql("SELECT next_number FROM calendars FOR NO KEY UPDATE")
        with pytest.raises(CalendarUnavailable):
            services.blocks.create_block(business.id, TEN, NOON, ACTOR)
    assert services.blocks.create_block(business.id, TEN, NOON, ACTOR).id
