"""Why a local date has no free start: what is said of the last start that its hours have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from app.domain.availability import Refusal, SlotPolicy, explain, free_slots
from app.services.busy_times import NEAREST, BusyTimes, nearest
from app.services.calendars import Bookable


class _Hours:
    """What the hours of one policy alone have on some dates, whatever is booked and whatever time it is."""

    def __init__(self, policy: SlotPolicy, first: date, last: date, now: datetime) -> None:
        self.policy = policy
        self._now = now
        unlimited = replace(policy, min_notice_min=0, booking_window_days=None, daily_limit=None)
        before = datetime.combine(first, time(), policy.zone).astimezone(UTC) - timedelta(days=2)
        # In order of time: the last of each date stays.
        self.last_start = {
            slot.starts_at.date(): slot.starts_at for slot in free_slots(unlimited, [], first, last, before)
        }
        self._without: dict[date, Refusal | None] = {}

    def refusal_without_starts(self, day: date) -> Refusal | None:
        """Why a date has no start at all: the same for every resource with these hours."""
        if day not in self._without:
            noon = datetime.combine(day, time(12), self.policy.zone).astimezone(UTC)
            self._without[day] = explain(self.policy, [], noon, self._now)
        return self._without[day]


class DayReasons:
    """The reasons of the dates `first`..`last`, from what was read of them. Resources share what is equal."""

    def __init__(self, busy: BusyTimes, first: date, last: date, now: datetime) -> None:
        self._busy = busy
        self._dates = first, last
        self._now = now
        self._known: list[_Hours] = []

    def of(self, day: date) -> Refusal:
        """The reason of a date on which nothing is free."""
        refusals = []
        for bookable in self._busy.rules.bookables:
            refusal = self._refusal(bookable, day)
            if refusal is not None and refusal.code == NEAREST:
                return refusal
            refusals += [refusal] if refusal else []
        return nearest(refusals)

    def _refusal(self, bookable: Bookable, day: date) -> Refusal | None:
        hours = self._hours(bookable.policy)
        last = hours.last_start.get(day)
        if last is None:
            return hours.refusal_without_starts(day)
        return explain(bookable.policy, self._busy.of(bookable), last, self._now)

    def _hours(self, policy: SlotPolicy) -> _Hours:
        for hours in self._known:
            if hours.policy == policy:
                return hours
        hours = _Hours(policy, *self._dates, self._now)
        self._known.append(hours)
        return hours
