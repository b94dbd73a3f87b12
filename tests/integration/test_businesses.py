"""Businesses, their resources and policies, and the demo's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import phonenumbers
import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import FindSlots
from app.domain.calls import CallGoal
from app.errors import AlreadyExists, InvalidInput, NotFound, PolicyError
from app.services import Services
from app.services.businesses import NewBusiness
from app.services.demo_data import DEMO_PHONE_NUMBER, seed_demo_business
from tests.factories import MONDAY, POLICY, Clock, SomeBusiness, as_tenant, booking, new_business, new_phone_number

PLAIN = NewBusiness("Clinic", "Asia/Jerusalem", "he")


def test_a_business_is_made_whole(services: Services) -> None:
    """With its numbers, resources and policy, in one transaction; its profile is what was given."""
    number = new_phone_number()
    new = NewBusiness(
        name="מרפאה",
        timezone="Asia/Jerusalem",
        language="he",
        call_goal=CallGoal.MESSAGE,
        phone_numbers=[number],
        greeting="שלום",
        instructions="Be brief.\nBe kind.",
        voice="cedar",
        barge_in_enabled=False,
        barge_in_after_greeting=True,
        silence_timeout_ms=5000,
        max_call_minutes=10,
        resources=["Room 1", "Room 2"],
        slot_policy=POLICY,
    )
    business_id = services.businesses.create_business(new)
    profile = services.businesses.get_profile(business_id)
    assert profile.id == business_id
    given = {name: getattr(profile, name) for name in profile.__dataclass_fields__ if name != "id"}
    assert given == {name: getattr(new, name) for name in given}
    assert profile.call_goal is CallGoal.MESSAGE
    assert services.businesses.find_by_phone_number(number) == business_id
    assert services.scheduling.find_slots(FindSlots(business_id)).offers


def test_a_number_that_another_business_has_makes_nothing(services: Services, business: SomeBusiness) -> None:
    """Row security hides the other's row, the unique constraint does not; all is rolled back."""
    number = new_phone_number()
    with pytest.raises(AlreadyExists) as caught:
        services.businesses.create_business(replace(PLAIN, phone_numbers=[number, business.phone_number]))
    assert caught.value.field == "phone_numbers"
    assert services.businesses.find_by_phone_number(number) is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"language": "tlh"}, "language"),
        ({"voice": "a\nb"}, "voice"),
        ({"greeting": "\x00"}, "greeting"),
        ({"instructions": "x" * 20_001}, "instructions"),
        ({"phone_numbers": ["03-5550123"]}, "phone_numbers"),
        ({"silence_timeout_ms": 0}, "silence_timeout_ms"),
        ({"max_call_minutes": 60}, "max_call_minutes"),
        ({"country": "XX"}, "country"),
        ({"transcript_retention_days": 0}, "transcript_retention_days"),
        ({"barge_in_enabled": 1}, "barge_in_enabled"),
        ({"resources": [""]}, "name"),
        ({"slot_policy": {"weekly_hours": {}}}, "slot_size_min"),
    ],
)
def test_a_malformed_business_is_refused_by_field(services: Services, changes: dict[str, Any], field: str) -> None:
    """Before or in the transaction: nothing is left."""
    with pytest.raises(InvalidInput) as caught:
        services.businesses.create_business(replace(PLAIN, **changes))
    assert caught.value.field == field


def test_an_unknown_business_has_no_profile(services: Services) -> None:
    """Nor has a number that nobody has a business."""
    with pytest.raises(NotFound):
        services.businesses.get_profile(2**40)
    assert services.businesses.find_by_phone_number("+97299999999") is None


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({**POLICY, "slot_size_min": 0}, "slot_size_min"),
        ({**POLICY, "weekly_hours": {"mon": [["9", "17:00"]]}}, "weekly_hours.mon[0]"),
        ({**POLICY, "timezone": "UTC"}, "timezone"),
        ({**POLICY, "date_overrides": {}}, "date_overrides"),
        ({**POLICY, "colour": "red"}, "colour"),
    ],
)
def test_a_malformed_policy_is_refused_and_the_old_one_stays(
    services: Services, business: SomeBusiness, policy: dict[str, Any], field: str
) -> None:
    """The error names the field."""
    with pytest.raises(PolicyError) as caught:
        services.businesses.set_slot_policy(business.id, policy)
    assert caught.value.field == field
    assert services.scheduling.find_slots(FindSlots(business.id, MONDAY)).offers


def test_a_policy_replaces_the_one_before(services: Services, business: SomeBusiness, engine: Engine) -> None:
    """One row for the business, one for a resource, however often they are set; stored in full."""
    for size in (20, 40):
        services.businesses.set_slot_policy(business.id, {**POLICY, "slot_size_min": size})
        own = {**POLICY, "slot_size_min": size + 5}
        services.businesses.set_slot_policy(business.id, own, resource_id=business.resources[0])
    with as_tenant(engine, business.id) as connection:
        rows = connection.execute(text("SELECT resource_id, policy FROM slot_policies ORDER BY resource_id")).all()
    assert [(row.resource_id, row.policy["slot_size_min"]) for row in rows] == [
        (business.resources[0], 45),
        (None, 40),
    ]
    assert rows[0].policy["min_notice_min"] == 0
    assert not {"timezone", "date_overrides"} & set(rows[0].policy)


def test_a_policy_for_another_business_s_resource_is_not_found(services: Services, business: SomeBusiness) -> None:
    """The same for a date override."""
    theirs = new_business(services).resources[0]
    with pytest.raises(NotFound):
        services.businesses.set_slot_policy(business.id, POLICY, resource_id=theirs)
    with pytest.raises(NotFound):
        services.businesses.set_date_override(business.id, MONDAY, [], resource_id=theirs)


def test_a_malformed_override_is_refused_and_the_old_one_stays(services: Services, business: SomeBusiness) -> None:
    """The error names the window."""
    services.businesses.set_date_override(business.id, MONDAY, [["20:00", "21:00"]])
    with pytest.raises(PolicyError) as caught:
        services.businesses.set_date_override(business.id, MONDAY, [["20:00", "25:00"]])
    assert caught.value.field == "windows[0]"
    assert services.scheduling.find_slots(FindSlots(business.id, MONDAY)).offers[0].starts_at.hour == 20


def test_the_demo_business_is_seeded_once(services: Services) -> None:
    """Any number of times the same one, with a real number, ready to take calls."""
    business_id = seed_demo_business(services)
    assert seed_demo_business(services) == business_id
    assert phonenumbers.is_valid_number(phonenumbers.parse(DEMO_PHONE_NUMBER))
    profile = services.businesses.get_profile(business_id)
    assert (profile.name, profile.language) == ("Moed Demo Clinic", "en")
    assert profile.call_goal is CallGoal.APPOINTMENT


@pytest.mark.parametrize("start", [datetime(2026, 3, 20, 22, tzinfo=UTC), datetime(2026, 10, 22, 21, tzinfo=UTC)])
def test_the_demo_business_has_free_starts_at_any_hour(services: Services, clock: Clock, start: datetime) -> None:
    """Each hour of a week with a change of the clock: the first offer books."""
    business_id = seed_demo_business(services)
    business = SomeBusiness(business_id, DEMO_PHONE_NUMBER, ())
    for hour in range(0, 7 * 24 + 12, 5):
        clock.now = start + timedelta(hours=hour)
        offer = services.scheduling.find_slots(FindSlots(business_id)).offers[0]
        assert (
            services.scheduling.book_appointment(booking(business, offer.starts_at)).starts_at == offer.starts_at
        )
