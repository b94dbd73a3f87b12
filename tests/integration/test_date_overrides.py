"""Date overrides: set, listed, deleted, imported from a country's holidays."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from app.domain.appointments import FindSlots
from app.domain.businesses import NewBusiness
from app.domain.calendar_settings import HolidayImport, HolidayWish, ImportOutcome
from app.domain.pages import PageRequest
from app.errors import InvalidInput, NotFound, PolicyError
from app.services import Services
from tests.factories import MONDAY, POLICY, SUNDAY, SomeBusiness, new_business

ACTOR = "key:1"
ALL = PageRequest(200)
TUESDAY = MONDAY + timedelta(days=1)
PESACH, YOM_KIPPUR_EVE = date(2027, 4, 22), date(2027, 10, 10)
HALF_DAY = [["09:00", "13:00"]]


def days_of(services: Services, business: SomeBusiness, **filters: Any) -> list[date]:
    return [item.day for item in services.date_overrides.list_overrides(business.id, ALL, **filters).items]


def imported(services: Services, business: SomeBusiness, **changes: Any) -> HolidayImport:
    wish = HolidayWish(**{"first_day": date(2027, 1, 1), "last_day": date(2027, 12, 31), **changes})
    return services.date_overrides.import_holidays(business.id, wish, ACTOR)


def outcomes(answer: HolidayImport) -> dict[date, str]:
    return {day.day: day.outcome.value for day in answer.days}


def test_a_range_of_days_gets_the_same_hours(services: Services, business: SomeBusiness) -> None:
    """Each day is an override of its own, with the reason, and holds at once."""
    made = services.date_overrides.set_overrides(business.id, MONDAY, TUESDAY, [["20:00", "21:00"]], ACTOR, "Fair")
    assert [(item.day, item.windows, item.name, item.imported) for item in made] == [
        (day, (("20:00", "21:00"),), "Fair", False) for day in (MONDAY, TUESDAY)
    ]
    for day in (MONDAY, TUESDAY):
        offer = services.scheduling.find_slots(FindSlots(business.id, day)).offers[0]
        assert (offer.starts_at.date(), offer.starts_at.hour) == (day, 20)
    assert services.date_overrides.list_overrides(business.id, ALL).items == made


def test_setting_a_day_again_replaces_it(services: Services, business: SomeBusiness) -> None:
    """It keeps its id; a resource's own is another one."""
    (first,) = services.date_overrides.set_overrides(business.id, MONDAY, MONDAY, [], ACTOR, "Fair")
    (again,) = services.date_overrides.set_overrides(business.id, MONDAY, MONDAY, HALF_DAY, ACTOR)
    assert (again.id, again.windows, again.name) == (first.id, (("09:00", "13:00"),), "")
    room = business.resources[0]
    (own,) = services.date_overrides.set_overrides(business.id, MONDAY, MONDAY, [], ACTOR, resource_id=room)
    assert (own.id != first.id, own.resource_id) == (True, room)
    assert services.date_overrides.list_overrides(business.id, ALL).items == (again, own)


def test_a_list_is_of_a_range_and_a_resource(services: Services) -> None:
    """A resource's list has the business's overrides too, which hold for it; pages follow each other by date."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    one, two = business.resources
    days = [MONDAY + timedelta(days=number) for number in range(4)]
    services.date_overrides.set_overrides(business.id, days[0], days[1], [], ACTOR)
    services.date_overrides.set_overrides(business.id, days[2], days[2], [], ACTOR, resource_id=one)
    services.date_overrides.set_overrides(business.id, days[3], days[3], [], ACTOR, resource_id=two)
    assert days_of(services, business) == days
    assert days_of(services, business, resource_id=one) == days[:3]
    assert days_of(services, business, first_day=days[1], last_day=days[2]) == days[1:3]
    first = services.date_overrides.list_overrides(business.id, PageRequest(3))
    rest = services.date_overrides.list_overrides(business.id, PageRequest(3, first.next_after))
    assert [item.day for item in (*first.items, *rest.items)] == days
    assert rest.next_after is None


def test_a_deleted_override_holds_no_more(services: Services, business: SomeBusiness) -> None:
    """The weekday's hours are back."""
    (item,) = services.date_overrides.set_overrides(business.id, MONDAY, MONDAY, [], ACTOR)
    services.date_overrides.delete_override(business.id, item.id, ACTOR)
    assert services.scheduling.find_slots(FindSlots(business.id, MONDAY)).offers[0].starts_at.hour == 9
    with pytest.raises(NotFound):
        services.date_overrides.delete_override(business.id, item.id, ACTOR)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"last_day": SUNDAY}, "last_day"),
        ({"last_day": MONDAY + timedelta(days=366)}, "last_day"),
        ({"first_day": date(1999, 1, 1)}, "first_day"),
        ({"first_day": date(3000, 1, 1), "last_day": date(3000, 1, 1)}, "day"),
        ({"windows": [["09:00", "25:00"]]}, "windows[0]"),
        ({"windows": [["09:00", "10:00"]] * 49}, "windows"),
        ({"name": "x" * 201}, "name"),
        ({"resource_id": 2**63}, "resource_id"),
    ],
)
def test_a_bad_override_is_refused_by_field(
    services: Services, business: SomeBusiness, changes: dict[str, Any], field: str
) -> None:
    """None of its days is written."""
    values = {"first_day": MONDAY, "last_day": MONDAY, "windows": [], "actor": ACTOR, **changes}
    with pytest.raises(InvalidInput) as caught:
        services.date_overrides.set_overrides(business.id, **values)
    assert caught.value.field == field
    assert days_of(services, business) == []


def test_a_year_can_be_set_at_once(services: Services, business: SomeBusiness) -> None:
    """366 days is the most."""
    last = MONDAY + timedelta(days=365)
    made = services.date_overrides.set_overrides(business.id, MONDAY, last, [], ACTOR)
    assert [made[0].day, made[-1].day, len(made)] == [MONDAY, last, 366]


def test_another_business_s_overrides_are_not_there(services: Services, business: SomeBusiness) -> None:
    """Not to see, to delete, or to make for its resource."""
    other = new_business(services)
    (item,) = services.date_overrides.set_overrides(other.id, MONDAY, MONDAY, [], ACTOR)
    assert days_of(services, business) == []
    with pytest.raises(NotFound):
        services.date_overrides.delete_override(business.id, item.id, ACTOR)
    with pytest.raises(NotFound):
        services.date_overrides.set_overrides(
            business.id, MONDAY, MONDAY, [], ACTOR, resource_id=other.resources[0]
        )
    assert days_of(services, other) == [MONDAY]


def test_public_holidays_close_the_business(services: Services, business: SomeBusiness) -> None:
    """Of the range only, by their names in the business's language; a second import changes nothing."""
    answer = imported(services, business, first_day=date(2027, 4, 1))
    assert (answer.country, answer.dry_run) == ("IL", False)
    assert {day.outcome for day in answer.days} == {ImportOutcome.ADDED}
    assert {day.windows for day in answer.days} == {()}
    assert (answer.days[0].day, answer.days[0].name) == (PESACH, "Pesach")
    stored = services.date_overrides.list_overrides(business.id, ALL).items
    assert [(item.day, item.name, item.windows, item.imported) for item in stored] == [
        (day.day, day.name, (), True) for day in answer.days
    ]
    assert set(outcomes(imported(services, business)).values()) == {"unchanged"}
    services.businesses.update_business(business.id, {"language": "he"}, None, ACTOR)
    hebrew = imported(services, business)
    assert (hebrew.days[0].name, hebrew.days[0].outcome) == ("פסח", ImportOutcome.UPDATED)


def test_a_date_that_somebody_set_is_kept(services: Services, business: SomeBusiness) -> None:
    """Also one that was imported first and changed then; it is reported."""
    services.date_overrides.set_overrides(business.id, PESACH, PESACH, HALF_DAY, ACTOR, "By appointment")
    assert outcomes(imported(services, business))[PESACH] == "kept"
    (kept,) = services.date_overrides.list_overrides(business.id, ALL, PESACH, PESACH).items
    assert (kept.windows, kept.name) == ((("09:00", "13:00"),), "By appointment")
    seventh = PESACH + timedelta(days=6)
    services.date_overrides.set_overrides(business.id, seventh, seventh, [], ACTOR, "Ours")
    assert outcomes(imported(services, business))[seventh] == "kept"


def test_a_resource_s_own_date_does_not_keep_the_business_open(services: Services, business: SomeBusiness) -> None:
    """The resource's own wins for it, and the business's is added."""
    room = business.resources[0]
    services.date_overrides.set_overrides(business.id, PESACH, PESACH, HALF_DAY, ACTOR, resource_id=room)
    assert outcomes(imported(services, business))[PESACH] == "added"


def test_eves_are_half_days_where_the_business_is_open(services: Services, business: SomeBusiness) -> None:
    """In 2027 on Sundays to Thursdays; none on a Friday, which an override would open, or on a holiday."""
    answer = imported(services, business, eve_windows=HALF_DAY)
    halves = {day.day: day.name for day in answer.days if day.windows}
    assert halves == {
        PESACH - timedelta(days=1): "Eve of Pesach",
        date(2027, 4, 27): "Eve of Seventh day of Pesach",
        date(2027, 5, 11): "Eve of Independence Day",
        date(2027, 6, 10): "Eve of Shavuot",
        YOM_KIPPUR_EVE: "Eve of Yom Kippur",
    }
    offers = services.scheduling.find_slots(FindSlots(business.id, YOM_KIPPUR_EVE, limit=100)).offers
    assert [offer.starts_at.hour for offer in offers][-1] == 12
    closed = imported(services, business, eve_windows=[])
    assert {day.day for day in closed.days if day.outcome is ImportOutcome.UPDATED} == set(halves)
    services.businesses.update_business(business.id, {"language": "he"}, None, ACTOR)
    assert "ערב יום כיפור" in {day.name for day in imported(services, business, eve_windows=[]).days}


def test_an_eve_just_before_the_range_s_end_counts(services: Services, business: SomeBusiness) -> None:
    """Its holiday is the day after; the holiday itself is not imported then."""
    answer = imported(services, business, first_day=YOM_KIPPUR_EVE, last_day=YOM_KIPPUR_EVE, eve_windows=[])
    assert [day.day for day in answer.days] == [YOM_KIPPUR_EVE]


def test_eves_follow_the_weekdays_of_the_policy(services: Services, business: SomeBusiness) -> None:
    """A business that opens on Fridays has half days then, and on no other weekday."""
    fridays = {**POLICY, "weekly_hours": {"fri": [["09:00", "15:00"]]}}
    services.businesses.set_slot_policy(business.id, fridays)
    answer = imported(services, business, eve_windows=HALF_DAY)
    assert [day.day for day in answer.days if day.windows] == [date(2027, 10, day) for day in (1, 15, 22)]


def test_without_a_policy_every_eve_counts(services: Services) -> None:
    """Nobody can say yet on which weekdays the business is open."""
    business = SomeBusiness(services.businesses.create_business(NewBusiness("x", "Asia/Jerusalem", "en")), "", ())
    answer = imported(services, business, eve_windows=HALF_DAY)
    assert len([day for day in answer.days if day.windows]) == 8


def test_a_dry_run_writes_nothing(services: Services, business: SomeBusiness) -> None:
    """It tells the same as the import that follows."""
    dry = imported(services, business, dry_run=True)
    assert days_of(services, business) == []
    assert dry.days == imported(services, business).days


def test_other_countries_and_their_parts_have_their_own(services: Services, business: SomeBusiness) -> None:
    """In their own language where the business's is not known; eves only where they are half days."""
    services.businesses.update_business(business.id, {"country": "DE", "language": "he"}, None, ACTOR)
    whole = imported(services, business, dry_run=True)
    bavaria = imported(services, business, dry_run=True, subdivision="BY")
    assert {day.name for day in whole.days} >= {"Neujahr", "Erster Mai"}
    assert {day.day for day in whole.days} < {day.day for day in bavaria.days}
    for changes, field in (({"subdivision": "XX"}, "subdivision"), ({"eve_windows": []}, "eve_windows")):
        with pytest.raises(InvalidInput) as caught:
            imported(services, business, **changes)
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"last_day": date(2026, 12, 31)}, "last_day"),
        ({"last_day": date(2031, 1, 1)}, "last_day"),
        ({"eve_windows": [["13:00"]]}, "eve_windows[0]"),
        ({"subdivision": "TA"}, "subdivision"),
    ],
)
def test_a_bad_import_is_refused_by_field(
    services: Services, business: SomeBusiness, changes: dict[str, Any], field: str
) -> None:
    """A policy's words for windows, and nothing is written."""
    with pytest.raises(InvalidInput) as caught:
        imported(services, business, **changes)
    assert caught.value.field == field
    assert isinstance(caught.value, PolicyError) == (field == "eve_windows[0]")
    assert days_of(services, business) == []


def test_a_country_without_known_holidays_is_refused(services: Services, business: SomeBusiness) -> None:
    """The business can be there, and its dates are set by hand."""
    services.businesses.update_business(business.id, {"country": "TA"}, None, ACTOR)
    with pytest.raises(InvalidInput) as caught:
        imported(services, business)
    assert caught.value.field == "country"
