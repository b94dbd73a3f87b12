"""A real calendar program, khal, reads a feed: what it shows of a booking, its move and its end."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import icalendar
import pytest

from app.domain.appointments import ChangeStatus, RescheduleAppointment, Source
from app.domain.feeds import NewFeed
from app.services import Services
from app.settings import child_environment
from tests.factories import MONDAY, SomeBusiness, booking, local

CONFIG = """
[calendars]
[[moed]]
path = {home}/vdir
type = calendar
[locale]
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
default_timezone = Asia/Jerusalem
local_timezone = Asia/Jerusalem
[sqlite]
path = {home}/khal.db
"""
TEN = local(MONDAY, "10:00")
TUESDAY = MONDAY + timedelta(days=1)


@dataclass(frozen=True)
class Khal:
    """khal with a home of its own."""

    home: Path

    def run(self, *arguments: str) -> str:
        return subprocess.run(
            [str(Path(sys.executable).with_name("khal")), "-c", str(self.home / "config"), *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            env=child_environment({"HOME": str(self.home), "XDG_CACHE_HOME": str(self.home), "LC_ALL": "C.UTF-8"}),
        ).stdout

    def take(self, feed: bytes) -> None:
        """Read the file as a subscriber does: events that are known are brought up to date."""
        (self.home / "feed.ics").write_bytes(feed)
        self.run("import", "--batch", "-a", "moed", str(self.home / "feed.ics"))

    def shown(self) -> list[tuple[str, str, str]]:
        """Start, end and title of what it shows in the test's week."""
        fields = ("--json", "start-long", "--json", "end-long", "--json", "title", "--json", "cancelled")
        days = self.run("list", *fields, "2026-11-22", "2026-11-29").splitlines()
        return [
            (event["start-long"], event["end-long"], event["cancelled"] + event["title"])
            for day in days
            for event in json.loads(day)
        ]

    def stored(self) -> icalendar.Event:
        """The one event that it has stored."""
        [path] = (self.home / "vdir").glob("*.ics")
        [event] = icalendar.Calendar.from_ical(path.read_bytes()).events
        return event


@pytest.fixture
def khal(tmp_path: Path) -> Khal:
    """One that knows no event yet."""
    (tmp_path / "vdir").mkdir()
    (tmp_path / "config").write_text(CONFIG.format(home=tmp_path))
    return Khal(tmp_path)


@pytest.mark.long
def test_khal_follows_a_booking_its_move_and_its_end(
    services: Services, business: SomeBusiness, khal: Khal
) -> None:
    """One event all along: the time moves, SEQUENCE rises, and in the end it is cancelled, not gone."""
    made = services.scheduling.book_appointment(booking(business, TEN))
    token = services.calendar_feeds.create_feed(NewFeed(business.id, "Room 1")).token
    seen = []

    def look() -> None:
        khal.take(services.calendar_feeds.feed_of(token).body or b"")
        seen.append((khal.shown(), khal.stored()))

    look()
    services.scheduling.reschedule_appointment(
        RescheduleAppointment(business.id, made.id, local(TUESDAY, "11:00"), Source.API)
    )
    look()
    services.scheduling.cancel_appointment(ChangeStatus(business.id, made.id, Source.API))
    look()
    title = f"Appointment {made.number}"
    assert [shown for shown, _ in seen] == [
        [("2026-11-23 10:00", "2026-11-23 10:30", title)],
        [("2026-11-24 11:00", "2026-11-24 11:30", title)],
        [("2026-11-24 11:00", "2026-11-24 11:30", f"CANCELLED{title}")],
    ]
    assert [event["SEQUENCE"] for _, event in seen] == [0, 1, 2]
    assert len({event["UID"] for _, event in seen}) == 1
    assert [event["STATUS"] for _, event in seen] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
