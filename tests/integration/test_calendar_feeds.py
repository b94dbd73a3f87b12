"""Calendar feeds: secret URLs, what stands in the file, and what calendar programs make of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import icalendar
import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import ChangeStatus, RescheduleAppointment, Source
from app.domain.feeds import CreatedFeed, NewFeed
from app.domain.pages import PageRequest
from app.errors import InvalidInput, InvalidState, NotFound
from app.services import Services
from app.services.calendar_feeds import MOST_FEEDS
from tests.factories import (
    MONDAY,
    Clock,
    SomeBusiness,
    as_tenant,
    booking,
    insert_appointment,
    local,
    new_business,
)

TEN = local(MONDAY, "10:00")


def feed(services: Services, business: SomeBusiness, **values: Any) -> CreatedFeed:
    return services.calendar_feeds.create_feed(NewFeed(business.id, **{"name": "Room 1", **values}))


def read(services: Services, token: str) -> icalendar.Calendar:
    body = services.calendar_feeds.feed_of(token).body
    assert body is not None
    return icalendar.Calendar.from_ical(body)


def events(services: Services, token: str) -> list[icalendar.Event]:
    return read(services, token).events


def change(engine: Engine, business: SomeBusiness, statement: str, **values: Any) -> None:
    with as_tenant(engine, business.id) as connection:
        assert connection.execute(text(statement), values).rowcount > 0


def add_block(engine: Engine, business: SomeBusiness, resource_id: int | None, **values: Any) -> None:
    statement = (
        "INSERT INTO blocks (business_id, resource_id, starts_at, ends_at, reason)"
        " VALUES (:id, :resource, :starts, :ends, :reason)"
    )
    given = {"starts": TEN, "ends": TEN + timedelta(hours=2), "reason": "Dentist", **values}
    change(engine, business, statement, id=business.id, resource=resource_id, **given)


def test_a_feed_is_told_its_token_once(services: Services, engine: Engine, business: SomeBusiness) -> None:
    """32 random bytes for a URL; the database has their SHA-256 only, lists nothing of them."""
    made = feed(services, business, resource_id=business.resources[0], shows_names=True)
    [listed] = services.calendar_feeds.list_feeds(business.id, PageRequest()).items
    assert len(made.token) == 43
    assert made.token not in repr(made)
    assert (listed.id, listed.name, listed.resource_id, listed.shows_names) == (
        made.id,
        "Room 1",
        business.resources[0],
        True,
    )
    assert listed.created_at.isoformat() == "2026-11-22T08:00:00+02:00"
    with as_tenant(engine, business.id) as connection:
        [row] = connection.execute(text("SELECT * FROM calendar_feeds")).all()
    assert made.token not in str(row)


def test_a_deleted_feed_leads_nowhere(services: Services, business: SomeBusiness) -> None:
    """Nor does a token that never was."""
    made = feed(services, business)
    kept = feed(services, business)
    services.calendar_feeds.delete_feed(business.id, made.id)
    for token in (made.token, "", "nonsense", "\ud800\x00"):
        with pytest.raises(NotFound):
            services.calendar_feeds.feed_of(token)
    with pytest.raises(NotFound):
        services.calendar_feeds.delete_feed(business.id, made.id)
    assert events(services, kept.token) == []


def test_a_feed_that_breaks_a_rule_is_refused(services: Services, engine: Engine, business: SomeBusiness) -> None:
    """A name of one line, a resource of this business, and not without end."""
    for name in ("", "a\r\nb", "x" * 201):
        with pytest.raises(InvalidInput):
            feed(services, business, name=name)
    with pytest.raises(NotFound):
        feed(services, business, resource_id=new_business(services).resources[0])
    change(
        engine,
        business,
        "INSERT INTO calendar_feeds (business_id, name, token_sha256, created_at)"
        " SELECT :id, 'x', sha256(convert_to(:id || 'x' || n, 'UTF8')), now() FROM generate_series(1, :most) n",
        id=business.id,
        most=MOST_FEEDS,
    )
    with pytest.raises(InvalidState):
        feed(services, business)


def test_another_business_s_feeds_are_not_there(services: Services, business: SomeBusiness) -> None:
    """Not listed, not deleted; and a feed shows its own business alone."""
    other = new_business(services)
    services.scheduling.book_appointment(booking(business, TEN))
    made, others = feed(services, business), feed(services, other)
    assert [item.id for item in services.calendar_feeds.list_feeds(other.id, PageRequest()).items] == [others.id]
    with pytest.raises(NotFound):
        services.calendar_feeds.delete_feed(other.id, made.id)
    assert events(services, others.token) == []
    assert len(events(services, made.token)) == 1


def test_a_file_says_when_and_which_and_no_more(services: Services, business: SomeBusiness) -> None:
    """Wall clock with the zone's rules, no name, number or notes; how often to come back."""
    made = services.scheduling.book_appointment(booking(business, TEN, notes="Secret"))
    token = feed(services, business).token
    calendar = read(services, token)
    [event] = calendar.events
    assert event["SUMMARY"] == f"Appointment {made.number}"
    assert (event.start, event.end) == (TEN, TEN + timedelta(minutes=30))
    assert event["DTSTART"].params["TZID"] == "Asia/Jerusalem"
    assert (event["STATUS"], event["SEQUENCE"], event["TRANSP"]) == ("CONFIRMED", 0, "OPAQUE")
    assert event["DTSTAMP"].dt == event["LAST-MODIFIED"].dt
    assert [zone["TZID"] for zone in calendar.timezones] == ["Asia/Jerusalem"]
    assert calendar["REFRESH-INTERVAL"].dt == timedelta(minutes=15)
    assert calendar["X-PUBLISHED-TTL"] == "PT15M"
    assert calendar["X-WR-CALNAME"] == calendar["NAME"] == "Room 1"
    body = services.calendar_feeds.feed_of(token).body or b""
    assert b"REFRESH-INTERVAL;VALUE=DURATION:PT15M\r\n" in body
    assert all(word not in body for word in (b"Dana", b"Secret", b"97252"))
    assert all(len(line) <= 75 for line in body.split(b"\r\n"))


def test_names_are_shown_where_they_are_switched_on(
    services: Services, engine: Engine, business: SomeBusiness
) -> None:
    """The customer's, the resource's, and why a time is blocked; still no number and no notes."""
    made = services.scheduling.book_appointment(booking(business, TEN, notes="Secret"))
    add_block(engine, business, None, starts=TEN + timedelta(hours=3), ends=TEN + timedelta(hours=4))
    token = feed(services, business, shows_names=True).token
    first, second = events(services, token)
    assert first["SUMMARY"] == f"Appointment {made.number}: Dana Levi"
    assert first["LOCATION"] == "Room 1"
    assert second["SUMMARY"] == "Dentist"
    assert b"Secret" not in (services.calendar_feeds.feed_of(token).body or b"")


def test_names_can_t_break_out_of_their_line(services: Services, engine: Engine, business: SomeBusiness) -> None:
    """Whatever ends a line for some program ends none here; what is special in iCalendar comes back as it was."""
    services.scheduling.book_appointment(
        booking(business, TEN, customer_name='D;a,n\\a "x" \u2028END:VEVENT ü' * 5)
    )
    change(engine, business, "UPDATE appointments SET customer_name = customer_name || E'\\r\\nX-EVIL:1\\u0085'")
    made = feed(services, business, name="A;B,C\\n", shows_names=True)
    [event] = events(services, made.token)
    assert event["SUMMARY"].endswith('D;a,n\\a "x" END:VEVENT ü X-EVIL:1')
    assert "X-EVIL" not in event
    assert b"\r\nX-WR-CALNAME:A\\;B\\,C\\\\n\r\n" in (services.calendar_feeds.feed_of(made.token).body or b"")


def test_blocks_are_busy_and_say_no_reason(services: Services, engine: Engine) -> None:
    """Of the feed's resource and of all; another resource's is not there."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    add_block(engine, business, business.resources[0])
    add_block(engine, business, business.resources[1])
    add_block(engine, business, None)
    whole = feed(services, business)
    first = feed(services, business, resource_id=business.resources[0])
    assert len(events(services, whole.token)) == 3
    own = events(services, first.token)
    assert [(event["SUMMARY"], event["TRANSP"], "STATUS" in event) for event in own] == [
        ("Busy", "OPAQUE", False)
    ] * 2
    assert {event["UID"] for event in own} < {event["UID"] for event in events(services, whole.token)}


def test_a_resource_s_feed_has_its_appointments_alone(services: Services) -> None:
    """The business's has all."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    for resource_id in business.resources:
        services.scheduling.book_appointment(booking(business, TEN, resource_id=resource_id))
    [second] = events(services, feed(services, business, resource_id=business.resources[1]).token)
    assert second["SUMMARY"] == "Appointment 1002"
    assert len(events(services, feed(services, business).token)) == 2


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("held", None),
        ("expired", None),
        ("pending", "TENTATIVE"),
        ("confirmed", "CONFIRMED"),
        ("completed", "CONFIRMED"),
        ("no_show", "CONFIRMED"),
        ("cancelled", "CANCELLED"),
    ],
)
def test_each_status_has_its_word(
    services: Services, engine: Engine, business: SomeBusiness, status: str, shown: str | None
) -> None:
    """A hold is left out; what was cancelled stays, and takes no time."""
    expires_at = TEN if status == "held" else None
    insert_appointment(engine, business, TEN, status=status, expires_at=expires_at)
    found = events(services, feed(services, business).token)
    assert [event["STATUS"] for event in found] == ([shown] if shown else [])
    assert [event["TRANSP"] for event in found if shown == "CANCELLED"] == ["TRANSPARENT"] * (shown == "CANCELLED")


def test_a_released_hold_and_a_test_call_s_appointment_are_not_shown(
    services: Services, engine: Engine, business: SomeBusiness
) -> None:
    """Nobody was ever expected."""
    insert_appointment(engine, business, TEN, status="cancelled")
    change(engine, business, "UPDATE appointments SET customer_name = ''")
    services.scheduling.book_appointment(booking(business, TEN))
    change(engine, business, "UPDATE appointments SET is_test = true WHERE customer_name <> ''")
    assert events(services, feed(services, business).token) == []


def test_a_file_reaches_60_days_back_and_400_ahead(
    services: Services, engine: Engine, business: SomeBusiness, clock: Clock
) -> None:
    """In whole local days."""
    inside = (date(2026, 9, 23), date(2027, 12, 27))
    outside = (date(2026, 9, 22), date(2027, 12, 28))
    for day, at in ((inside[0], "00:00"), (inside[1], "23:30"), (outside[0], "23:30"), (outside[1], "00:00")):
        insert_appointment(engine, business, local(day, at))
    found = events(services, feed(services, business).token)
    assert [event.start.date() for event in found] == list(inside)


def test_a_version_is_known_by_its_etag(
    services: Services, engine: Engine, business: SomeBusiness, clock: Clock
) -> None:
    """The same all day without a change; anything that shows makes another; a known one is not sent again."""
    services.scheduling.book_appointment(booking(business, TEN))
    made = feed(services, business)
    first = services.calendar_feeds.feed_of(made.token)
    clock.advance(hours=9)
    again = services.calendar_feeds.feed_of(made.token, {first.etag, "other"})
    assert (again.etag, again.body) == (first.etag, None)
    assert again.changed_at == first.changed_at
    assert services.calendar_feeds.feed_of(made.token).body == first.body
    add_block(engine, business, None)
    etags = {first.etag, services.calendar_feeds.feed_of(made.token).etag}
    change(engine, business, "UPDATE appointments SET version = 2")
    etags.add(services.calendar_feeds.feed_of(made.token).etag)
    change(engine, business, "DELETE FROM blocks")
    etags.add(services.calendar_feeds.feed_of(made.token).etag)
    assert len(etags) == 4


def test_each_change_raises_the_sequence(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """Of the same event: moved it is there alone, cancelled it is there as cancelled, erased without a name."""
    made = services.scheduling.book_appointment(booking(business, TEN))
    token = feed(services, business, shows_names=True).token
    seen = events(services, token)
    for change_it in (
        lambda: services.scheduling.reschedule_appointment(
            RescheduleAppointment(business.id, made.id, local(MONDAY, "12:00"), Source.API)
        ),
        lambda: services.scheduling.cancel_appointment(ChangeStatus(business.id, made.id, Source.API)),
        lambda: services.privacy.erase_customer(business.id, "+972521234567", Source.API, "key:1"),
    ):
        clock.advance(minutes=1)
        change_it()
        seen += events(services, token)
    assert [event["SEQUENCE"] for event in seen] == [0, 1, 2, 3]
    assert len({event["UID"] for event in seen}) == 1
    assert [event.start.hour for event in seen] == [10, 12, 12, 12]
    assert [event["STATUS"] for event in seen] == ["CONFIRMED", "CONFIRMED", "CANCELLED", "CANCELLED"]
    assert [event["SUMMARY"] for event in seen[2:]] == ["Appointment 1001: Dana Levi", "Appointment 1001: erased"]
    changed = [event["LAST-MODIFIED"].dt for event in seen]
    assert changed == [changed[0] + timedelta(minutes=minute) for minute in range(4)]


def test_a_uid_is_the_same_in_every_feed_and_no_other_appointment_s(
    services: Services, business: SomeBusiness
) -> None:
    """So that one program with two feeds knows the event again."""
    for at in ("10:00", "11:00"):
        services.scheduling.book_appointment(booking(business, local(MONDAY, at)))
    one, two = ([event["UID"] for event in events(services, feed(services, business).token)] for _ in range(2))
    assert one == two
    assert len(set(one)) == 2


@pytest.mark.parametrize("name", ["UTC", "America/New_York", "Asia/Kolkata", "Europe/Dublin", "Africa/Casablanca"])
def test_every_zone_comes_back_as_the_same_instant(
    services: Services, engine: Engine, business: SomeBusiness, name: str
) -> None:
    """Every 29 hours of more than a year, also by a reader that trusts the file's own rules."""
    change(engine, business, "UPDATE businesses SET timezone = :name", name=name)
    begin = datetime(2026, 10, 1, 0, 30, tzinfo=UTC)
    starts = [begin + timedelta(hours=29 * number) for number in range(350)]
    change(
        engine,
        business,
        "INSERT INTO blocks (business_id, starts_at, ends_at)"
        " SELECT :id, s, s + interval '1 h' FROM unnest(CAST(:starts AS timestamptz[])) s",
        id=business.id,
        starts=starts,
    )
    calendar = read(services, feed(services, business).token)
    assert [event.start.astimezone(UTC) for event in calendar.events] == starts
    rules = {zone["TZID"]: zone.to_tz(lookup_tzid=False) for zone in calendar.timezones}
    for event in calendar.events:
        tzid = event["DTSTART"].params.get("TZID")
        if tzid in rules:
            by_rules = event.start.replace(tzinfo=rules[tzid])
            assert by_rules.astimezone(UTC) == event.start.astimezone(UTC)


def test_the_hour_that_comes_twice_is_told_apart(
    services: Services, engine: Engine, business: SomeBusiness
) -> None:
    """The second half past one of the night in which summer time ends is written in UTC."""
    at_one = datetime(2027, 10, 30, 22, tzinfo=UTC)
    for half_hours in (-1, 0, 1, 2):
        insert_appointment(engine, business, at_one + timedelta(minutes=30 * half_hours))
    found = events(services, feed(services, business).token)
    assert [event.start.astimezone(UTC) for event in found] == [
        at_one + timedelta(minutes=30 * half_hours) for half_hours in (-1, 0, 1, 2)
    ]
    tzids = [event["DTSTART"].params.get("TZID") for event in found]
    assert tzids == ["Asia/Jerusalem", "Asia/Jerusalem", None, None]


def test_a_hebrew_business_s_file_is_hebrew(services: Services, engine: Engine, business: SomeBusiness) -> None:
    """The words that are ours."""
    change(engine, business, "UPDATE businesses SET language = 'he'")
    services.scheduling.book_appointment(booking(business, TEN))
    add_block(engine, business, None)
    summaries = {event["SUMMARY"] for event in events(services, feed(services, business).token)}
    assert summaries == {"תור 1001", "תפוס"}
