"""Which starts can be booked, and why the others can't: one decision for every front door.

`free_slots` and `explain` ask the same `_Decision`, so what is offered is bookable and what is not offered is
refused with a code. What the rules mean in detail:

* Hours, breaks, overrides: `app.domain.opening_hours`.
* The grid counts real minutes from the opening of a maximal open stretch after breaks, whatever is booked and
  whatever time it is. Open time that never closes has no opening to count from: each local midnight is one.
* Wall-clock times in a gap or a repeated hour: `app.domain.local_time.wall_to_instant`.
* `daily_limit` counts the rows of `busy` that count, by the local date of `starts_at`. A row of zero length
  blocks nothing but counts: so a caller passes appointments of other resources that share the limit.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from app.domain.local_time import EPOCH, LocalClock, to_microseconds
from app.domain.opening_hours import open_time
from app.domain.slot_policy import DAY_MIN, SlotPolicy
from app.domain.spans import FOREVER, MICROSECONDS_PER_MINUTE, Spans, contains, crowded, merge, subtract
from app.errors import PolicyError

__all__ = ["REFUSALS", "Busy", "PolicyError", "Refusal", "Slot", "SlotPolicy", "explain", "free_slots"]

REFUSALS = {
    "past": "this time has passed",
    "beyond_window": "further ahead than appointments are given",
    "closed_date": "closed on this date",
    "outside_hours": "outside the opening hours",
    "break": "falls into a break",
    "off_grid": "not one of the times at which appointments begin",
    "min_notice": "sooner than appointments are given",
    "daily_limit": "no more appointments are given on this date",
    "taken": "another appointment has this time",
    "buffer": "too close to another appointment",
}
"""Every refusal code and its message, in the order in which `explain` looks for them."""

_MINUTES = [timedelta(minutes=minutes) for minutes in range(DAY_MIN + 1)]
# Dates outside are refused like any other, instead of leaving what `datetime` can hold.
_CALENDAR = (date(1900, 1, 1), date(9000, 1, 1))


class Busy(NamedTuple):
    """An appointment or block that counts now: the caller leaves out what is cancelled, expired or to be moved.

    `[starts_at, ends_at)` are aware instants; the buffers, at most a day, are its own and widen it. A block only
    takes time: it does not count towards the daily limit. A long list is read fastest if all its datetimes are
    in UTC.
    """

    starts_at: datetime
    ends_at: datetime
    buffer_before_min: int = 0
    buffer_after_min: int = 0
    counts: bool = True


class Slot(NamedTuple):
    """A start that can be booked, and its end: local time with the offset in force (a fixed one)."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a start can't be booked. `code` is a key of REFUSALS."""

    code: str
    message: str


def free_slots(
    policy: SlotPolicy,
    busy: Iterable[Busy],
    first_day: date,
    last_day: date,
    now: datetime,
    capacity: int = 1,
    duration_min: int | None = None,
) -> list[Slot]:
    """Every bookable start whose local date is in `first_day`..`last_day`, in order of time.

    `duration_min` replaces the policy's slot size; `capacity` is how many may be served at once. `busy` needs
    no order, and rows far from the dates do no harm.
    """
    first_day, last_day = max(first_day, _CALENDAR[0]), min(last_day, _CALENDAR[1])
    if first_day > last_day:
        return []
    decision = _Decision(policy, busy, (first_day, last_day), now, capacity, duration_min)
    return decision.slots()


def explain(
    policy: SlotPolicy,
    busy: Iterable[Busy],
    starts_at: datetime,
    now: datetime,
    capacity: int = 1,
    duration_min: int | None = None,
) -> Refusal | None:
    """None if `free_slots` offers exactly this start, else why it does not."""
    if _CALENDAR[0].year < starts_at.year < _CALENDAR[1].year:
        day = starts_at.astimezone(policy.zone).date()
        decision = _Decision(policy, busy, (day, day), now, capacity, duration_min)
        code = decision.refusal_code(to_microseconds(starts_at))
    else:
        code = "past" if starts_at < now else "beyond_window"
    return None if code is None else Refusal(code, REFUSALS[code])


class _Decision:
    """The rules, laid out as spans of time, for starts on the local dates `days` (first, last).

    A start is bookable if it is on the grid of a stretch, its slot fits there, and no ban holds it.
    """

    def __init__(
        self,
        policy: SlotPolicy,
        busy: Iterable[Busy],
        days: tuple[date, date],
        now: datetime,
        capacity: int,
        duration_min: int | None,
    ) -> None:
        size = policy.slot_size_min if duration_min is None else duration_min
        if capacity < 1 or size < 1:
            raise ValueError("capacity and duration must be at least 1")
        self._policy = policy
        self._capacity = capacity
        self._size = size * MICROSECONDS_PER_MINUTE
        self._step = policy.slot_step_min * MICROSECONDS_PER_MINUTE
        self._before = policy.buffer_before_min * MICROSECONDS_PER_MINUTE
        self._after = policy.buffer_after_min * MICROSECONDS_PER_MINUTE
        first, last = days
        self._clock = LocalClock(policy.zone, first, last, self._size)
        # Far enough for the last slot to end, whatever the clock does to the dates in between.
        horizon = last + timedelta(days=3 + size // DAY_MIN)
        self._hours, self._stretches = open_time(policy, first, horizon)
        self._dates = first.toordinal(), last.toordinal()
        self._rows = self._near(busy)
        self._bans = self._find_bans(now)

    def slots(self) -> list[Slot]:
        """Every bookable start of the dates."""
        render = self._clock.render
        return [Slot(*times) for starts in self._free_starts() for times in render(starts, self._size)]

    def refusal_code(self, start: int) -> str | None:
        """Why `start`, which is on one of the dates, can't be booked; None if it can."""
        for code in ("past", "beyond_window"):
            if contains(self._bans[code], start):
                return code
        if (code_of_hours := self._refusal_of_hours(start)) is not None:
            return code_of_hours
        for code in ("min_notice", "daily_limit"):
            if contains(self._bans[code], start):
                return code
        if contains(self._bans["buffer"], start):
            return "taken" if contains(self._blocked(0, self._size, padded=False), start) else "buffer"
        return None

    def _free_starts(self) -> Iterator[range]:
        banned = merge(span for spans in self._bans.values() for span in spans)
        allowed = subtract(self._clock.dates(*self._dates), banned)
        index = 0
        for origin, until, close in self._stretches:
            after_last = min(until, close - self._size + 1)
            while index < len(allowed) and allowed[index][1] <= origin:
                index += 1
            for begin, end in islice(allowed, index, None):
                if begin >= after_last:
                    break
                skipped = max(0, -((origin - begin) // self._step))
                yield range(origin + skipped * self._step, min(end, after_last), self._step)

    def _refusal_of_hours(self, start: int) -> str | None:
        index = bisect_right(self._stretches, start, key=attrgetter("origin")) - 1
        if index >= 0 and start < self._stretches[index].until:
            origin, _, close = self._stretches[index]
            if start + self._size > close:
                return "break" if contains(self._hours, close) else "outside_hours"
            return "off_grid" if (start - origin) % self._step else None
        override = self._policy.date_overrides.get(date.fromordinal(self._clock.date_number(start)))
        if override is not None and all(window.opens == window.closes for window in override):
            return "closed_date"
        return "break" if contains(self._hours, start) else "outside_hours"

    def _find_bans(self, now: datetime) -> dict[str, Spans]:
        """Starts that a rule other than the hours forbids, by refusal code. "buffer" includes "taken"."""
        policy, clock = self._policy, self._clock
        first, last = self._dates
        now_us = to_microseconds(now)
        notice = policy.min_notice_min * MICROSECONDS_PER_MINUTE
        beyond: Spans = []
        if policy.booking_window_days is not None:
            today = now.astimezone(policy.zone).toordinal()
            beyond = clock.dates(max(first, today + policy.booking_window_days + 1), last)
        return {
            "past": [(-FOREVER, now_us)],
            "beyond_window": beyond,
            "min_notice": [(now_us, now_us + notice)],
            "daily_limit": [] if policy.daily_limit is None else self._full_dates(policy.daily_limit),
            "buffer": self._blocked(self._before, self._size + self._after, padded=True),
        }

    def _full_dates(self, limit: int) -> Spans:
        """The dates on which `limit` rows or more begin that count."""
        begins = sorted(row.starts_at - EPOCH for row in self._rows if row.counts)

        def before(instant: int) -> int:
            return bisect_left(begins, timedelta(microseconds=instant))

        first, last = self._dates
        dates = [self._clock.dates(number, number) for number in range(first, last + 1)]
        return merge(
            span
            for spans in dates
            if sum(before(end) - before(begin) for begin, end in spans) >= limit
            for span in spans
        )

    def _blocked(self, before: int, after: int, *, padded: bool) -> Spans:
        """Starts whose own `[start - before, start + after)` would meet too many rows, `padded` or bare."""
        # timedeltas are converted to integers only when few are left: half the time for 10,000 rows.
        begins, ends = [], []
        for starts_at, ends_at, buffer_before, buffer_after, _ in self._rows:
            begin, end = starts_at - EPOCH, ends_at - EPOCH
            if begin < end:
                begins.append(begin - _MINUTES[buffer_before] if padded else begin)
                ends.append(end + _MINUTES[buffer_after] if padded else end)
        # Touching is allowed, so the first forbidden start is one microsecond after the one that touches.
        return merge((since - after + 1, until + before) for since, until in crowded(begins, ends, self._capacity))

    def _near(self, busy: Iterable[Busy]) -> list[Busy]:
        """The rows that can matter here, and some more. This loop sees every appointment of the business."""
        rows = list(busy)
        if not rows:
            return rows
        # Datetimes of one tzinfo compare 15 times as fast, though by wall clock. The clock's range has room at
        # both sides for the hours by which that may be wrong, and for the day that a row's buffer may last.
        zone = rows[0].starts_at.tzinfo
        earliest = (EPOCH + timedelta(microseconds=self._clock.begins_at - self._before)).astimezone(zone)
        latest = (EPOCH + timedelta(microseconds=self._clock.ends_at + self._after)).astimezone(zone)
        return [row for row in rows if row.starts_at < latest and row.ends_at > earliest]
