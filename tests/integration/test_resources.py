"""Resources: who and what can be booked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from app.domain.appointments import FindSlots
from app.domain.pages import PageRequest
from app.errors import InvalidInput, NotFound, StaleVersion
from app.services import Services
from tests.factories import MONDAY, Clock, SomeBusiness, booking, insert_appointment, local, new_business

ACTOR = "key:1"


def test_a_new_resource_can_be_booked(services: Services, business: SomeBusiness) -> None:
    """Under the business's policy, beside those that were there."""
    made = services.resources.create_resource(business.id, " Dr. Cohen ", ACTOR)
    assert (made.name, made.active, made.version) == ("Dr. Cohen", True, 1)
    assert services.resources.get_resource(business.id, made.id) == made
    booked = services.scheduling.book_appointment(booking(business, local(MONDAY, "10:00"), resource_id=made.id))
    assert booked.resource_id == made.id


def test_a_list_has_them_in_the_order_in_which_they_came(services: Services, business: SomeBusiness) -> None:
    """A page at a time; all, or by whether they are active."""
    ids = [
        *business.resources,
        *(services.resources.create_resource(business.id, str(n), ACTOR).id for n in range(3)),
    ]
    services.resources.update_resource(business.id, ids[1], {"active": False}, None, ACTOR)
    first = services.resources.list_resources(business.id, PageRequest(3))
    rest = services.resources.list_resources(business.id, PageRequest(3, first.next_after))
    assert [item.id for item in (*first.items, *rest.items)] == ids
    assert rest.next_after is None
    active, passive = (
        [item.id for item in services.resources.list_resources(business.id, PageRequest(), active=wanted).items]
        for wanted in (True, False)
    )
    assert (active, passive) == ([ids[0], *ids[2:]], [ids[1]])


def test_a_deactivated_resource_takes_no_more_and_keeps_what_it_has(
    services: Services, engine: Engine, business: SomeBusiness, clock: Clock
) -> None:
    """The answer counts what is still to come: not what was, is cancelled, or is another's."""
    services.resources.create_resource(business.id, "Room 2", ACTOR)
    room = business.resources[0]
    for hour in ("10:00", "11:00"):
        services.scheduling.book_appointment(booking(business, local(MONDAY, hour), resource_id=room))
    insert_appointment(engine, business, clock.now - timedelta(days=1))
    insert_appointment(engine, business, local(MONDAY, "12:00"), status="cancelled")
    overdue = {"status": "held", "expires_at": clock.now}
    insert_appointment(engine, business, local(MONDAY, "13:00"), **overdue)
    changed = services.resources.update_resource(business.id, room, {"active": False}, 1, ACTOR)
    assert (changed.active, changed.version, changed.future_appointments) == (False, 2, 2)
    offers = services.scheduling.find_slots(FindSlots(business.id, MONDAY, limit=100)).offers
    assert room not in {offer.resource_id for offer in offers}
    again = services.resources.update_resource(business.id, room, {"active": True, "name": "Big"}, 2, ACTOR)
    assert (again.active, again.name, again.future_appointments) == (True, "Big", 2)


def test_the_same_version_is_changed_once(services: Services, business: SomeBusiness) -> None:
    """Of eight that saw version 1 one wins."""
    room = business.resources[0]

    def rename(number: int) -> bool:
        try:
            services.resources.update_resource(business.id, room, {"name": str(number)}, 1, ACTOR)
        except StaleVersion:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(rename, range(8)))
    stored = services.resources.get_resource(business.id, room)
    assert (won.count(True), stored.name, stored.version) == (1, str(won.index(True)), 2)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"name": ""}, "name"), ({"active": None}, "active"), ({"id": 7}, "id"), ({"name": "a\nb"}, "name")],
)
def test_a_bad_change_is_refused_by_field(
    services: Services, business: SomeBusiness, changes: dict[str, Any], field: str
) -> None:
    """And nothing is written."""
    with pytest.raises(InvalidInput) as caught:
        services.resources.update_resource(business.id, business.resources[0], changes, None, ACTOR)
    assert caught.value.field == field
    assert services.resources.get_resource(business.id, business.resources[0]).version == 1


def test_another_business_s_resources_are_not_there(services: Services, business: SomeBusiness) -> None:
    """Not to see, to list or to change."""
    theirs = new_business(services).resources[0]
    with pytest.raises(NotFound):
        services.resources.get_resource(business.id, theirs)
    with pytest.raises(NotFound):
        services.resources.update_resource(business.id, theirs, {"name": "x"}, None, ACTOR)
    listed = services.resources.list_resources(business.id, PageRequest()).items
    assert [item.id for item in listed] == list(business.resources)
    with pytest.raises(NotFound):
        services.resources.create_resource(2**40, "x", ACTOR)
