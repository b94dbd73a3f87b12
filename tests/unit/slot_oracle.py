"""The slot rules once more, minute by minute and without sense of speed, sharing no code with `app.domain`.

Works on the plain dict of a policy. Minutes are counted from 1970 UTC. Only for zones and years whose offsets
change on a quarter of an hour, which is what the tests use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOK_BACK, LOOK_AHEAD = 9, 6

BusyRow = tuple[datetime, datetime, int, int, bool]


class Oracle:
    """One question to the rules: bookable starts on the local dates `first`..`last`, as minutes."""

    def __init__(self, policy: Mapping[str, Any], first: date, last: date) -> None:
        self.policy = policy
        self.zone = ZoneInfo(policy["timezone"])
        overridden = [date.fromisoformat(day) for day in policy.get("date_overrides", {})]
        # A long open stretch may have begun just after an override far back.
        self.from_day = min([first, *overridden]) - LOOK_BACK * DAY
        self.to_day = last + LOOK_AHEAD * DAY
        self.first, self.last = first, last
        self.begin = minute_of(datetime.combine(self.from_day, datetime.min.time(), UTC))
        self.end = minute_of(datetime.combine(self.to_day, datetime.min.time(), UTC))
        self.dates = self._dates()
        self.open_minutes = self._open_minutes()

    def starts(
        self, busy: Iterable[BusyRow], now: datetime, capacity: int = 1, duration: int | None = None
    ) -> list[int]:
        """Every start that can be booked."""
        size = duration or self.policy["slot_size_min"]
        busy = list(busy)
        return [
            start
            for start in self._grid()
            if self.first <= self.date_at(start) <= self.last
            and self._is_open(start, start + size)
            and self._in_time(start, now)
            and not self._day_is_full(start, busy)
            and not self._is_crowded(start, size, busy, capacity)
        ]

    def date_at(self, minute: int) -> date:
        """Local date of a minute."""
        return self.dates[(minute - self.begin) // 15]

    def iso(self, minute: int) -> str:
        return (EPOCH + minute * MINUTE).astimezone(self.zone).isoformat()

    def _dates(self) -> list[date]:
        """The local date of each quarter of an hour."""
        quarters = range(self.begin, self.end, 15)
        return [(EPOCH + quarter * MINUTE).astimezone(self.zone).date() for quarter in quarters]

    def _open_minutes(self) -> bytearray:
        marks = bytearray(self.end - self.begin)
        day = self.from_day + DAY
        while day < self.to_day - 2 * DAY:
            for minute in self._minutes_given_under(day):
                marks[minute - self.begin] = 1
            day += DAY
        return marks

    def _minutes_given_under(self, day: date) -> set[int]:
        overrides, tomorrow = self.policy.get("date_overrides", {}), day + DAY
        overridden = str(day) in overrides
        windows = overrides[str(day)] if overridden else self._of_weekday("weekly_hours", day)
        opened: set[int] = set()
        for window in windows:
            # What runs past midnight may read as tomorrow, unless tomorrow has hours of its own.
            dates = {day, tomorrow} if window[1] < window[0] and str(tomorrow) not in overrides else {day}
            opened |= {minute for minute in self._placed(day, [window]) if self.date_at(minute) in dates}
        if overridden:
            return opened
        opened -= self._placed(day, self._of_weekday("breaks", day))
        opened -= self._placed(tomorrow, self._of_weekday("breaks", day))
        if str(day - DAY) not in overrides:
            overnight = [window for window in self._of_weekday("breaks", day - DAY) if window[1] < window[0]]
            opened -= self._placed(day - DAY, overnight)
        return opened

    def _of_weekday(self, key: str, day: date) -> list[list[str]]:
        windows: list[list[str]] = self.policy.get(key, {}).get(WEEKDAYS[day.weekday()], [])
        return windows

    def _placed(self, day: date, windows: Iterable[list[str]]) -> set[int]:
        minutes: set[int] = set()
        for opens, closes in windows:
            closing_day = day + DAY if closes < opens else day
            minutes |= set(range(self._instant(day, opens), self._instant(closing_day, closes)))
        return minutes

    def _instant(self, day: date, clock: str) -> int:
        """Try every offset of the days around; the earliest that reads `clock`, else the offset before."""
        hours, minutes = clock.split(":")
        wall = datetime(day.year, day.month, day.day) + timedelta(hours=int(hours), minutes=int(minutes))  # noqa: DTZ001 (a wall clock)
        as_utc = wall.replace(tzinfo=UTC)
        offsets = [(as_utc + shift * DAY).astimezone(self.zone).utcoffset() for shift in (-1, 0, 1)]
        candidates = [as_utc - offset for offset in offsets if offset is not None]
        fitting = [at for at in candidates if at.astimezone(self.zone).replace(tzinfo=None) == wall]
        return minute_of(min(fitting) if fitting else candidates[0])

    def _grid(self) -> Iterable[int]:
        """Starts counted from the beginning of each run of open minutes."""
        step = self.policy.get("slot_step_min", self.policy["slot_size_min"])
        low, high = 2 * 1440, self.end - self.begin - 2 * 1440
        # Open from the first minute that was looked at: nothing to count from but the midnights.
        endless = bool(self.open_minutes[low])
        while (low := self.open_minutes.find(1, low, high)) >= 0:
            closed = self.open_minutes.find(0, low, high)
            until = closed if closed >= 0 else high
            run = range(self.begin + low, self.begin + until)
            if endless:
                for _, minutes in groupby(run, self.date_at):
                    yield from list(minutes)[::step]
            else:
                yield from run[::step]
            endless, low = False, until

    def _is_open(self, begin: int, end: int) -> bool:
        return all(self.open_minutes[begin - self.begin : end - self.begin])

    def _in_time(self, start: int, now: datetime) -> bool:
        if EPOCH + start * MINUTE < now + self.policy.get("min_notice_min", 0) * MINUTE:
            return False
        window = self.policy.get("booking_window_days")
        return window is None or self.date_at(start) <= now.astimezone(self.zone).date() + window * DAY

    def _day_is_full(self, start: int, busy: list[BusyRow]) -> bool:
        limit = self.policy.get("daily_limit")
        on = self.date_at(start)
        return (
            limit is not None
            and sum(row[4] and row[0].astimezone(self.zone).date() == on for row in busy) >= limit
        )

    def _is_crowded(self, start: int, size: int, busy: list[BusyRow], capacity: int) -> bool:
        begin = EPOCH + (start - self.policy.get("buffer_before_min", 0)) * MINUTE
        end = EPOCH + (start + size + self.policy.get("buffer_after_min", 0)) * MINUTE
        footprints = [(row[0] - row[2] * MINUTE, row[1] + row[3] * MINUTE) for row in busy if row[0] < row[1]]
        meeting = [(low, high) for low, high in footprints if low < end and high > begin]
        # The number of footprints at an instant can only grow where one begins.
        instants = [begin, *(low for low, _ in meeting if low > begin)]
        return any(sum(low <= at < high for low, high in meeting) >= capacity for at in instants)


def minute_of(at: datetime) -> int:
    """Whole minutes since 1970 UTC."""
    return (at - EPOCH) // MINUTE
