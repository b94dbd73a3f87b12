"""Appointment types: made, listed, changed by version, and never longer than a day."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.domain.pages import PageRequest
from app.errors import InvalidInput, NotFound, StaleVersion
from app.services import Services
from tests.factories import POLICY, SomeBusiness, new_business

ACTOR = "key:1"
LONG = {"name": "Long", "duration_min": 60}


def test_a_type_is_read_as_it_was_made(services: Services) -> None:
    """Its resources once each and in order, its buffers its own or the policy's."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    one, two = business.resources
    plain = services.appointment_types.create_type(business.id, LONG, ACTOR)
    assert (plain.name, plain.duration_min, plain.active, plain.version) == ("Long", 60, True, 1)
    assert (plain.buffer_before_min, plain.buffer_after_min, plain.resource_ids) == (None, None, ())
    values = {**LONG, "buffer_before_min": 0, "buffer_after_min": 15, "resource_ids": [two, one, two]}
    special = services.appointment_types.create_type(business.id, values, ACTOR)
    assert (special.buffer_before_min, special.buffer_after_min, special.resource_ids) == (0, 15, (one, two))
    for made in (plain, special):
        assert services.appointment_types.get_type(business.id, made.id) == made
    assert services.appointment_types.list_types(business.id, PageRequest()).items == (plain, special)


def test_a_change_touches_what_it_names(services: Services, business: SomeBusiness) -> None:
    """Resources are replaced together; deactivating is how a type goes."""
    made = services.appointment_types.create_type(
        business.id, {**LONG, "resource_ids": business.resources, "buffer_after_min": 5}, ACTOR
    )
    renamed = services.appointment_types.update_type(
        business.id, made.id, {"name": "Longer", "buffer_after_min": None}, 1, ACTOR
    )
    assert (renamed.name, renamed.buffer_after_min, renamed.version) == ("Longer", None, 2)
    assert renamed.resource_ids == business.resources
    closed = services.appointment_types.update_type(
        business.id, made.id, {"active": False, "resource_ids": []}, 2, ACTOR
    )
    assert (closed.active, closed.resource_ids) == (False, ())
    active, passive = (
        services.appointment_types.list_types(business.id, PageRequest(), active=wanted).items
        for wanted in (True, False)
    )
    assert (active, passive) == ((), (closed,))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "x"}, "duration_min"),
        ({"duration_min": 30}, "name"),
        ({**LONG, "duration_min": 0}, "duration_min"),
        ({**LONG, "duration_min": 1441}, "duration_min"),
        ({**LONG, "buffer_before_min": -1}, "buffer_before_min"),
        ({**LONG, "buffer_after_min": 1381}, "duration_min"),
        ({**LONG, "duration_min": 1421}, "duration_min"),
        ({**LONG, "resource_ids": [0]}, "resource_ids"),
        ({**LONG, "resource_ids": range(1, 1002)}, "resource_ids"),
        ({**LONG, "price": 100}, "price"),
    ],
)
def test_a_bad_type_is_refused_by_field(services: Services, values: dict[str, Any], field: str) -> None:
    """With the policy's 20 minutes of buffers it must fit into a day; nothing is left of it."""
    business = new_business(services, buffer_before_min=10, buffer_after_min=10)
    with pytest.raises(InvalidInput) as caught:
        services.appointment_types.create_type(business.id, values, ACTOR)
    assert caught.value.field == field
    assert services.appointment_types.list_types(business.id, PageRequest()).items == ()


def test_a_day_counts_with_the_buffers_of_every_policy(services: Services, business: SomeBusiness) -> None:
    """A resource's own policy too; a type that is not active is not in the way until it is again."""
    services.policies.put_policy(
        business.id, {**POLICY, "buffer_after_min": 100}, None, ACTOR, resource_id=business.resources[0]
    )
    whole = {"name": "Day", "duration_min": 1440, "buffer_before_min": 0}
    with pytest.raises(InvalidInput):
        services.appointment_types.create_type(business.id, whole, ACTOR)
    asleep = services.appointment_types.create_type(business.id, {**whole, "active": False}, ACTOR)
    with pytest.raises(InvalidInput):
        services.appointment_types.update_type(business.id, asleep.id, {"active": True}, None, ACTOR)
    changes = {"active": True, "buffer_after_min": 0}
    assert services.appointment_types.update_type(business.id, asleep.id, changes, None, ACTOR).active


def test_the_same_version_is_changed_once(services: Services, business: SomeBusiness) -> None:
    """Of eight that saw version 1 one wins."""
    made = services.appointment_types.create_type(business.id, LONG, ACTOR)

    def change(minutes: int) -> bool:
        try:
            services.appointment_types.update_type(business.id, made.id, {"duration_min": minutes}, 1, ACTOR)
        except StaleVersion:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(change, range(1, 9)))
    stored = services.appointment_types.get_type(business.id, made.id)
    assert (won.count(True), stored.duration_min, stored.version) == (1, won.index(True) + 1, 2)


def test_another_business_s_types_and_resources_are_not_there(services: Services, business: SomeBusiness) -> None:
    """Not to see, to change, or to be taken by."""
    other = new_business(services)
    theirs = services.appointment_types.create_type(other.id, LONG, ACTOR)
    with pytest.raises(NotFound):
        services.appointment_types.get_type(business.id, theirs.id)
    with pytest.raises(NotFound):
        services.appointment_types.update_type(business.id, theirs.id, {"name": "x"}, None, ACTOR)
    with pytest.raises(NotFound):
        services.appointment_types.create_type(business.id, {**LONG, "resource_ids": other.resources}, ACTOR)
    assert services.appointment_types.list_types(business.id, PageRequest()).items == ()
    assert services.appointment_types.get_type(other.id, theirs.id) == theirs
