"""Slot policies of businesses and resources, by version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain.appointments import FindAvailability, FindSlots
from app.errors import InvalidInput, NotFound, PolicyError, StaleVersion
from app.services import Services
from app.services.policies import NOT_YET
from tests.factories import MONDAY, POLICY, SomeBusiness, booking, local, new_business

ACTOR = "key:1"


def starts(services: Services, business: SomeBusiness) -> list[datetime]:
    offers = services.scheduling.find_slots(FindSlots(business.id, MONDAY, limit=100)).offers
    return [offer.starts_at for offer in offers if offer.starts_at.date() == MONDAY]


def test_a_policy_is_read_whole(services: Services, business: SomeBusiness) -> None:
    """Every key with its default; neither the zone nor the dates, which are kept elsewhere."""
    stored = services.policies.get_policy(business.id)
    assert (stored.resource_id, stored.version) == (None, 1)
    assert stored.policy == {
        "weekly_hours": POLICY["weekly_hours"],
        "breaks": {},
        "slot_size_min": 30,
        "slot_step_min": 30,
        "buffer_before_min": 0,
        "buffer_after_min": 0,
        "min_notice_min": 0,
        "booking_window_days": None,
        "daily_limit": None,
    }


def test_a_new_policy_holds_at_once(services: Services, business: SomeBusiness) -> None:
    """The whole policy is replaced: what is left out is the default again."""
    services.policies.put_policy(business.id, {**POLICY, "daily_limit": 5, "slot_size_min": 60}, 1, ACTOR)
    stored = services.policies.put_policy(business.id, {**POLICY, "slot_size_min": 120}, 2, ACTOR)
    assert (stored.version, stored.policy["daily_limit"]) == (3, None)
    assert stored == services.policies.get_policy(business.id)
    assert [start.hour for start in starts(services, business)] == [9, 11, 13, 15]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slot_size_min": 0}, "slot_size_min"),
        ({"breaks": {"mon": [["12:00", "13:60"]]}}, "breaks.mon[0]"),
        ({"weekly_hours": {"mon": [["09:00", "10:00"]] * 49}}, "weekly_hours.mon"),
        ({"timezone": "UTC"}, "timezone"),
        ({"colour": "red"}, "colour"),
        ({"buffer_before_min": 1411}, "slot_size_min"),
    ],
)
def test_a_bad_policy_is_refused_by_field(
    services: Services, business: SomeBusiness, changes: dict[str, Any], field: str
) -> None:
    """And the old one stays, with its version."""
    with pytest.raises(PolicyError) as caught:
        services.policies.put_policy(business.id, {**POLICY, **changes}, None, ACTOR)
    assert caught.value.field == field
    assert services.policies.get_policy(business.id).version == 1


def test_the_same_version_is_replaced_once(services: Services, business: SomeBusiness) -> None:
    """Of eight that saw version 1 one wins."""

    def put(size: int) -> bool:
        try:
            services.policies.put_policy(business.id, {**POLICY, "slot_size_min": size}, 1, ACTOR)
        except StaleVersion:
            return False
        return True

    sizes = range(10, 18)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(put, sizes))
    stored = services.policies.get_policy(business.id)
    assert won.count(True) == 1
    assert (stored.version, stored.policy["slot_size_min"]) == (2, sizes[won.index(True)])


def test_a_resource_has_its_own_policy_until_it_is_deleted(services: Services, business: SomeBusiness) -> None:
    """Before and after, the business's holds for it."""
    room = business.resources[0]
    with pytest.raises(NotFound):
        services.policies.get_policy(business.id, room)
    own = {**POLICY, "weekly_hours": {"mon": [["20:00", "21:00"]]}}
    stored = services.policies.put_policy(business.id, own, NOT_YET, ACTOR, resource_id=room)
    assert (stored.resource_id, stored.version) == (room, 1)
    assert [start.hour for start in starts(services, business)] == [20, 20]
    with pytest.raises(StaleVersion):
        services.policies.put_policy(business.id, own, NOT_YET, ACTOR, resource_id=room)
    with pytest.raises(StaleVersion):
        services.policies.delete_policy(business.id, room, 2, ACTOR)
    services.policies.delete_policy(business.id, room, 1, ACTOR)
    assert starts(services, business)[0].hour == 9
    with pytest.raises(NotFound):
        services.policies.delete_policy(business.id, room, None, ACTOR)


def test_buffers_that_make_a_type_exceed_a_day_are_refused(services: Services, business: SomeBusiness) -> None:
    """The database would refuse such an appointment, so it must not be offered."""
    services.appointment_types.create_type(business.id, {"name": "Long", "duration_min": 1400}, ACTOR)
    services.policies.put_policy(business.id, {**POLICY, "buffer_after_min": 40}, None, ACTOR)
    with pytest.raises(PolicyError) as caught:
        services.policies.put_policy(business.id, {**POLICY, "buffer_after_min": 41}, None, ACTOR)
    assert caught.value.field == "buffer_before_min"


def test_another_business_s_resource_is_not_found(services: Services, business: SomeBusiness) -> None:
    """To read, to set and to delete; nor has an unknown business a policy."""
    theirs = new_business(services).resources[0]
    with pytest.raises(NotFound):
        services.policies.get_policy(business.id, theirs)
    with pytest.raises(NotFound):
        services.policies.put_policy(business.id, POLICY, None, ACTOR, resource_id=theirs)
    with pytest.raises(NotFound):
        services.policies.delete_policy(business.id, theirs, None, ACTOR)
    with pytest.raises(NotFound):
        services.policies.get_policy(2**40)


def previewed(services: Services, business: SomeBusiness, resource_id: int | None = None, **policy: Any) -> Any:
    answer = services.policies.preview_policy(business.id, {**POLICY, **policy}, MONDAY, MONDAY, resource_id)
    return answer.days[0]


def test_a_preview_tells_what_storing_it_would_offer(services: Services, business: SomeBusiness) -> None:
    """With what is booked, blocked and overridden; and nothing is stored."""
    services.scheduling.book_appointment(booking(business, local(MONDAY, "09:00")))
    services.blocks.create_block(business.id, local(MONDAY, "12:00"), local(MONDAY, "13:00"), ACTOR)
    tuesday = MONDAY + timedelta(days=1)
    services.date_overrides.set_overrides(business.id, tuesday, tuesday, [["20:00", "21:00"]], ACTOR)
    policy = {**POLICY, "slot_size_min": 60, "breaks": {"mon": [["15:00", "16:00"]]}}
    preview = services.policies.preview_policy(business.id, policy, MONDAY, tuesday)
    assert services.policies.get_policy(business.id).version == 1
    assert preview.timezone == "Asia/Jerusalem"
    hours = [[slot.starts_at.hour for slot in day.slots] for day in preview.days]
    assert hours == [[10, 11, 13, 14, 16], [20]]
    services.policies.put_policy(business.id, policy, None, ACTOR)
    assert services.scheduling.list_availability(FindAvailability(business.id, MONDAY, tuesday)) == preview


def test_a_preview_is_of_those_for_whom_it_would_hold(services: Services) -> None:
    """The business's: of resources without their own; a resource's own: of it alone."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    one, two = business.resources
    services.policies.put_policy(business.id, POLICY, None, ACTOR, resource_id=two)
    assert {slot.resource_id for slot in previewed(services, business).slots} == {one}
    for room in (one, two):
        own = previewed(services, business, room, weekly_hours={"mon": [["20:00", "20:30"]]})
        assert [(slot.starts_at.hour, slot.resource_id) for slot in own.slots] == [(20, room)]


def test_a_preview_says_why_a_day_is_empty(services: Services, business: SomeBusiness) -> None:
    """In the words of every other door; also where nobody could be booked."""
    assert previewed(services, business, booking_window_days=0).refusal_code == "beyond_window"
    assert previewed(services, new_business(services, resources=())).refusal_code == "outside_hours"


@pytest.mark.parametrize(
    ("changes", "days", "field"),
    [({"slot_size_min": 0}, 0, "slot_size_min"), ({}, 31, "last_day"), ({}, -1, "last_day")],
)
def test_a_bad_preview_is_refused_by_field(
    services: Services, business: SomeBusiness, changes: dict[str, Any], days: int, field: str
) -> None:
    """The policy's fields as when it is stored; at most 31 dates."""
    with pytest.raises(InvalidInput) as caught:
        services.policies.preview_policy(business.id, {**POLICY, **changes}, MONDAY, MONDAY + timedelta(days=days))
    assert caught.value.field == field
    with pytest.raises(NotFound):
        previewed(services, business, new_business(services).resources[0])
