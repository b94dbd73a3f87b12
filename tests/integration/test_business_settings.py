"""The settings of businesses: read, listed across tenants, changed by version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import FindSlots
from app.domain.businesses import NewBusiness
from app.domain.calls import CallGoal
from app.domain.pages import PageRequest
from app.errors import AlreadyExists, InvalidInput, NotFound, PolicyError, StaleVersion
from app.services import Services
from tests.factories import MONDAY, SomeBusiness, as_tenant, booking, local, new_business, new_phone_number

ACTOR = "key:1"


def update(services: Services, business: SomeBusiness, **changes: Any) -> Any:
    return services.businesses.update_business(business.id, changes, None, ACTOR)


def test_a_business_is_read_with_all_its_settings(services: Services) -> None:
    """What was given, what was not, and when it was made, in its own time."""
    numbers = sorted([new_phone_number(), new_phone_number()])
    new = NewBusiness(" Clinic ", "Asia/Jerusalem", "he", phone_numbers=[*numbers[::-1], numbers[0]], country="DE")
    details = services.businesses.get_business(services.businesses.create_business(new))
    assert (details.name, details.country, details.language, details.version) == ("Clinic", "DE", "he", 1)
    assert details.phone_numbers == tuple(numbers)
    assert (details.transcripts_kept, details.transcript_retention_days) == (True, None)
    assert details.created_at.utcoffset() == local(details.created_at.date(), "12:00").utcoffset()


def test_an_update_changes_what_it_names(services: Services, business: SomeBusiness) -> None:
    """Everything else stays, and the call's profile has it at once."""
    before = services.businesses.get_business(business.id)
    changed = update(
        services,
        business,
        name="  New name ",
        call_goal="message",
        transcripts_kept=False,
        transcript_retention_days=30,
        barge_in_enabled=False,
        silence_timeout_ms=5000,
    )
    assert changed == services.businesses.get_business(business.id)
    assert (changed.name, changed.call_goal, changed.version) == ("New name", CallGoal.MESSAGE, 2)
    assert (changed.transcripts_kept, changed.transcript_retention_days) == (False, 30)
    assert (changed.language, changed.phone_numbers) == (before.language, before.phone_numbers)
    assert services.businesses.get_profile(business.id).barge_in_enabled is False
    assert update(services, business, transcript_retention_days=None).transcript_retention_days is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"country": "il"}, "country"),
        ({"language": "fr"}, "language"),
        ({"call_goal": "sell"}, "call_goal"),
        ({"phone_numbers": ["0521234567"]}, "phone_numbers"),
        ({"phone_numbers": [f"+9723{number:07}" for number in range(51)]}, "phone_numbers"),
        ({"transcripts_kept": "yes"}, "transcripts_kept"),
        ({"transcript_retention_days": 3651}, "transcript_retention_days"),
        ({"max_call_minutes": True}, "max_call_minutes"),
        ({"resources": ["Room 2"]}, "resources"),
        ({"version": 7}, "version"),
    ],
)
def test_a_bad_change_is_refused_by_field(
    services: Services, business: SomeBusiness, changes: dict[str, Any], field: str
) -> None:
    """And nothing of it is written."""
    with pytest.raises(InvalidInput) as caught:
        update(services, business, **{"greeting": "Hello", **changes})
    assert caught.value.field == field
    details = services.businesses.get_business(business.id)
    assert (details.greeting, details.version) == ("", 1)


def test_the_same_version_is_changed_once(services: Services, business: SomeBusiness) -> None:
    """Of eight that saw version 1 one wins; the others are told, and change nothing."""

    def rename(number: int) -> bool:
        try:
            services.businesses.update_business(business.id, {"name": f"Name {number}"}, 1, ACTOR)
        except StaleVersion:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(rename, range(8)))
    details = services.businesses.get_business(business.id)
    assert won.count(True) == 1
    assert (details.name, details.version) == (f"Name {won.index(True)}", 2)


def test_a_new_time_zone_moves_the_hours_and_no_appointment(services: Services, business: SomeBusiness) -> None:
    """Nine o'clock is another instant then; what is booked keeps its own."""
    booked = services.scheduling.book_appointment(booking(business, local(MONDAY, "10:00")))
    update(services, business, timezone="Europe/Paris")
    offer = services.scheduling.find_slots(FindSlots(business.id, MONDAY)).offers[0]
    assert (offer.starts_at.hour, offer.starts_at.utcoffset()) != (9, booked.starts_at.utcoffset())
    assert services.scheduling.get_appointment(business.id, booked.id).starts_at == booked.starts_at


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE slot_policies SET policy = policy || '{\"slot_size_min\": 0}'",
        "INSERT INTO date_overrides (business_id, day, windows)"
        " SELECT id, '2026-12-01', '[\"x\"]' FROM businesses",
    ],
)
def test_a_new_time_zone_re_checks_what_is_stored(
    services: Services, engine: Engine, business: SomeBusiness, damage: str
) -> None:
    """A policy or an override that would not hold keeps the old zone."""
    with as_tenant(engine, business.id) as connection:
        connection.execute(text(damage))
    with pytest.raises(PolicyError):
        update(services, business, timezone="Europe/Paris")
    assert services.businesses.get_business(business.id).timezone == "Asia/Jerusalem"


def test_phone_numbers_are_replaced_together(services: Services, business: SomeBusiness) -> None:
    """Those that stay stay, the others are free for another business."""
    added = new_phone_number()
    assert update(services, business, phone_numbers=[added, business.phone_number]).phone_numbers == tuple(
        sorted([added, business.phone_number])
    )
    update(services, business, phone_numbers=[added])
    assert services.businesses.find_by_phone_number(business.phone_number) is None
    other = new_business(services)
    update(services, other, phone_numbers=[business.phone_number])
    assert services.businesses.find_by_phone_number(business.phone_number) == other.id
    assert update(services, business, phone_numbers=[]).phone_numbers == ()


def test_a_number_of_another_business_is_refused(services: Services, business: SomeBusiness) -> None:
    """And the own ones stay as they were."""
    other = new_business(services)
    with pytest.raises(AlreadyExists) as caught:
        update(services, business, phone_numbers=[other.phone_number])
    assert caught.value.field == "phone_numbers"
    assert services.businesses.get_business(business.id).phone_numbers == (business.phone_number,)


def test_the_operator_s_list_has_every_business_once(services: Services) -> None:
    """A page at a time, the oldest first."""
    made = [new_business(services, resources=()).id for _ in range(5)]
    seen, request = [], PageRequest(limit=2)
    while True:
        page = services.businesses.list_businesses(request)
        assert len(page.items) <= 2
        seen += [details.id for details in page.items]
        if page.next_after is None:
            break
        request = PageRequest(2, page.next_after)
    assert len(seen) == len(set(seen))
    assert seen[-5:] == made
    assert services.businesses.list_businesses(PageRequest(200)).items[-1] == services.businesses.get_business(
        made[-1]
    )


@pytest.mark.parametrize("limit", [0, 201])
def test_a_list_has_at_most_a_page(services: Services, limit: int) -> None:
    """The same limits as everywhere."""
    with pytest.raises(InvalidInput) as caught:
        services.businesses.list_businesses(PageRequest(limit))
    assert caught.value.field == "limit"


def test_an_unknown_business_has_no_settings(services: Services) -> None:
    """To read or to change."""
    with pytest.raises(NotFound):
        services.businesses.get_business(2**40)
    with pytest.raises(NotFound):
        services.businesses.update_business(2**40, {"name": "x"}, None, ACTOR)
