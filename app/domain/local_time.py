"""From wall clock to instants and back, in one place, so that every rule treats daylight saving time alike."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

from app.domain.spans import FOREVER, Spans, merge

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_DAY = timedelta(days=1)

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
# The closest two changes in the zone database (2025b) are almost 7 days apart, in Cambridge Bay in 2000.
_PROBE = 3 * _DAY


def to_microseconds(at: datetime) -> int:
    """Microseconds since 1970 UTC. A naive datetime is a fault of the caller: TypeError."""
    return (at - EPOCH) // _MICROSECOND


def wall_to_instant(zone: tzinfo, day: date, minute: int) -> int:
    """The instant, in microseconds, of a wall-clock minute of `day`; 1440 is the next midnight.

    A time in a gap takes the offset before the gap, a repeated one is the first: `fold=0` of PEP 495, and the
    rule of RFC 5545 section 3.3.5.
    """
    if minute == 1440:
        day, minute = day + ONE_DAY, 0
    wall = datetime.combine(day, time(minute // 60, minute % 60), zone)
    return to_microseconds(wall)


class LocalClock:
    """The wall clock of a zone over the local dates `first`..`last` and `margin` microseconds after them."""

    def __init__(self, zone: tzinfo, first: date, last: date, margin: int) -> None:
        # A local date begins and ends within a day of the same date in UTC; another day to spare.
        self._begins_at: list[int] = []
        self._offsets: list[timedelta] = []
        self.begins_at = (first.toordinal() - _EPOCH_DAY - 2) * _DAY
        self.ends_at = (last.toordinal() - _EPOCH_DAY + 3) * _DAY + margin
        self._find_offsets(zone, self.begins_at, self.ends_at)
        self._zones = [timezone(offset) for offset in self._offsets]
        self._shifts = [offset // _MICROSECOND for offset in self._offsets]

    def _find_offsets(self, zone: tzinfo, begin: int, end: int) -> None:
        """Probe the zone and close in on each change of its offset, to the second."""
        offset = _offset_at(zone, begin)
        self._begins_at, self._offsets = [-FOREVER], [offset]
        before = begin
        while before < end:
            after = before + _PROBE
            next_offset = _offset_at(zone, after)
            if next_offset != offset:
                old, new = before, after
                while new - old > _SECOND:
                    middle = (old + new) // (2 * _SECOND) * _SECOND
                    if _offset_at(zone, middle) == offset:
                        old = middle
                    else:
                        new = middle
                self._begins_at.append(new)
                self._offsets.append(next_offset)
                offset = next_offset
            before = after

    def date_number(self, instant: int) -> int:
        """The local date of an instant, as `date.toordinal()`."""
        return (instant + self._shifts[self._period(instant)[0]]) // _DAY + _EPOCH_DAY

    def dates(self, first: int, last: int) -> Spans:
        """Every instant whose local date is in `first`..`last`, given as `date.toordinal()`."""
        begin, end = (first - _EPOCH_DAY) * _DAY, (last + 1 - _EPOCH_DAY) * _DAY
        until = [*self._begins_at[1:], FOREVER]
        return merge(
            (max(period_begin, begin - shift), min(period_end, end - shift))
            for period_begin, period_end, shift in zip(self._begins_at, until, self._shifts, strict=True)
        )

    def render(self, starts: range, length: int) -> Iterator[tuple[datetime, datetime]]:
        """Each start, a whole second, and the instant `length` later, with the offset in force.

        They carry a fixed offset and not the zone: arithmetic and comparison of two datetimes of one ZoneInfo
        ignore the offset, and a repeated time never equals the same instant in UTC (PEP 495).
        """
        step, lasts = timedelta(microseconds=starts.step), timedelta(microseconds=length)
        starts_at, next_change = EPOCH, -FOREVER
        for start in starts:
            if start >= next_change:
                index, next_change = self._period(start)
                starts_at = datetime.fromtimestamp(start // _SECOND, self._zones[index])
            ends_at = starts_at + lasts
            if start + length >= next_change:
                ends_at = ends_at.astimezone(self._zones[self._period(start + length)[0]])
            yield starts_at, ends_at
            starts_at += step

    def _period(self, instant: int) -> tuple[int, int]:
        """Which of the offsets is in force, and until when."""
        following = bisect_right(self._begins_at, instant)
        return following - 1, self._begins_at[following] if following < len(self._begins_at) else FOREVER


def _offset_at(zone: tzinfo, instant: int) -> timedelta:
    offset = datetime.fromtimestamp(instant // _SECOND, zone).utcoffset()
    if offset is None:
        raise ValueError("the zone has no offset")
    return offset
