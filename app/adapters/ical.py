"""iCalendar (RFC 5545, RFC 7986) of what a feed says, as calendar programs subscribe to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from icalendar import Calendar, Timezone, TimezoneDaylight, TimezoneStandard, vDuration, vText
from icalendar.parser import Contentline

from app.domain.feeds import FeedContents, FeedEvent

REFRESH_EVERY = timedelta(minutes=15)

FORM = 1
"""Raised when the same contents are written differently, so that subscribers fetch them again."""

_PRODUCT = "-//Moed//Calendar feed//EN"
_END = b"END:VCALENDAR\r\n"
_AT_A_TIME = 100
_LONGEST_LINE = 75  # bytes (RFC 5545, 3.1)
_UTC = "%Y%m%dT%H%M%SZ"
_WALL = "%Y%m%dT%H%M%S"


def render(contents: FeedContents, pause: Callable[[], object]) -> bytes:
    """The file; `pause` is called every few milliseconds."""
    pieces = [_head(contents)]
    for number, event in enumerate(contents.events, 1):
        pieces.append(_event(event, contents.zone))
        if number % _AT_A_TIME == 0:
            pause()
    return b"".join([*pieces, _END])


def _head(contents: FeedContents) -> bytes:
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", _PRODUCT)
    for name in ("name", "x-wr-calname"):
        calendar.add(name, vText(_one_line(contents.name)))
    calendar.add("x-wr-timezone", vText(contents.zone.key))
    calendar.add("refresh-interval", vDuration(REFRESH_EVERY), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(REFRESH_EVERY))
    head: bytes = calendar.to_ical()
    return head.removesuffix(_END) + _timezone(contents.zone.key, contents.first_year, contents.last_year)


@lru_cache(maxsize=64)
def _timezone(name: str, first_year: int, last_year: int) -> bytes:
    """The offsets of a zone in these years, for programs that do not know its name: one rule for each change.

    `Timezone.from_tzid` of icalendar 7.3 leaves out changes (Africa/Casablanca's of 2027).
    """
    zone = ZoneInfo(name)
    begins_at = datetime(first_year, 1, 1, tzinfo=UTC)
    rules = Timezone()
    rules.add("tzid", vText(name))
    before = begins_at.astimezone(zone)
    for change in (begins_at, *_changes(zone, begins_at, datetime(last_year + 1, 1, 1, tzinfo=UTC))):
        after = change.astimezone(zone)
        rule = TimezoneDaylight() if after.dst() else TimezoneStandard()
        old, new = before.utcoffset() or timedelta(), after.utcoffset() or timedelta()
        rule.add("dtstart", change.replace(tzinfo=None) + old)  # local time before the change (RFC 5545, 3.6.5)
        rule.add("tzoffsetfrom", old)
        rule.add("tzoffsetto", new)
        rule.add("tzname", vText(after.tzname() or name))
        rules.add_component(rule)
        before = after
    written: bytes = rules.to_ical()
    return written


def _changes(zone: ZoneInfo, begins_at: datetime, ends_at: datetime) -> Iterator[datetime]:
    """The instants, to the second, at which the offset changes."""
    while begins_at < ends_at:
        old, new = begins_at, begins_at + timedelta(days=1)
        offset = old.astimezone(zone).utcoffset()
        if new.astimezone(zone).utcoffset() != offset:
            while new - old > timedelta(seconds=1):
                middle = old + timedelta(seconds=(new - old) // timedelta(seconds=2))
                if middle.astimezone(zone).utcoffset() == offset:
                    old = middle
                else:
                    new = middle
            yield new
        begins_at += timedelta(days=1)


def _event(event: FeedEvent, zone: ZoneInfo) -> bytes:
    """Written by hand: of icalendar's components, ten thousand events take five seconds and not half a one."""
    # Without METHOD, DTSTAMP too says when the event was last changed (RFC 5545, 3.8.7.2).
    changed_at = event.changed_at.astimezone(UTC).strftime(_UTC)
    starts_at, ends_at = _written(zone, event.starts_at, event.ends_at)
    lines = [
        "BEGIN:VEVENT",
        f"UID:{event.uid}",
        f"SEQUENCE:{event.sequence}",
        f"DTSTAMP:{changed_at}",
        f"LAST-MODIFIED:{changed_at}",
        f"DTSTART{starts_at}",
        f"DTEND{ends_at}",
        _text("SUMMARY", event.summary),
        f"TRANSP:{'TRANSPARENT' if event.status == 'CANCELLED' else 'OPAQUE'}",
    ]
    if event.location:
        lines.append(_text("LOCATION", event.location))
    if event.status is not None:
        lines.append(f"STATUS:{event.status}")
    lines.append("END:VEVENT\r\n")
    return "\r\n".join(lines).encode()


def _written(zone: ZoneInfo, *moments: datetime) -> list[str]:
    """Wall clock with TZID, but UTC in the hour that comes twice: written by wall clock it would be the first one
    (RFC 5545, 3.3.5).
    """
    local = [moment.astimezone(zone) for moment in moments]
    if any(moment.fold for moment in local):
        return [f":{moment.astimezone(UTC).strftime(_UTC)}" for moment in local]
    return [f";TZID={zone.key}:{moment.strftime(_WALL)}" for moment in local]


def _text(name: str, text: str) -> str:
    """A line with what is special in it escaped, folded if it is long."""
    line = f"{name}:{vText(_one_line(text)).to_ical().decode()}"
    if len(line.encode()) <= _LONGEST_LINE:
        return line
    folded: bytes = Contentline(line).to_ical()  # type: ignore[no-untyped-call]
    return folded.decode()


def _one_line(text: str) -> str:
    """Whatever the text holds, it ends no line of the file."""
    return " ".join(text.split())
