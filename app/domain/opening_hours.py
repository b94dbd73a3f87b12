"""From a policy's weekly hours, breaks and date overrides to stretches of open time, in instants.

Hours belong to the weekday (or override date) that they are given under, also what runs past midnight:

* A break is taken out of its own weekday's hours: at that wall time of the day itself and, where those hours
  run past midnight, of the following morning. A break that itself runs past midnight is also taken out of
  the next day's hours. Breaks apply neither to override dates nor from them.
* An override replaces its local date whole, so hours that run into it from the day before end at midnight.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from datetime import date, timedelta
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import NamedTuple

from app.domain.local_time import ONE_DAY, wall_to_instant
from app.domain.slot_policy import SlotPolicy, Windows
from app.domain.spans import Span, Spans, merge, subtract


class Stretch(NamedTuple):
    """A grid of starts: `origin` + k steps, before `until`, with the slot's end no later than `close`."""

    origin: int
    until: int
    close: int


@lru_cache(maxsize=64)
def open_time(policy: SlotPolicy, first: date, last: date) -> tuple[Spans, list[Stretch]]:
    """`OpeningHours(policy).between(first, last)`, remembered: resources mostly share a policy. Never changed."""
    return OpeningHours(policy).between(first, last)


class OpeningHours:
    """The open time of one policy. Answers are lists of `[begin, end)` in microseconds since 1970 UTC."""

    def __init__(self, policy: SlotPolicy) -> None:
        self._policy = policy
        self._zone = policy.zone
        self._midnights: dict[date, int] = {}
        self._override_days = sorted(policy.date_overrides)

    def between(self, first: date, last: date) -> tuple[Spans, list[Stretch]]:
        """Open time with its breaks still in it, and the stretches after breaks, for starts on `first`..`last`.

        Stretches that begin on or before `last` have their true beginning, however far back; whatever goes on
        after `last` is cut at its end.
        """
        hours: Spans = []
        opened: Spans = []
        day = first - ONE_DAY
        while day <= last:
            day_hours, day_opened = self._on(day)
            hours += day_hours
            opened += day_opened
            day += ONE_DAY
        opened = merge(opened)
        earliest = bisect_right(opened, self._midnight(first), key=itemgetter(1))
        if earliest == len(opened):
            return merge(hours), []
        stretches = [Stretch(origin, close, close) for origin, close in opened[earliest + 1 :]]
        begin = self._true_beginning(opened[: earliest + 1], first)
        close = opened[earliest][1]
        if begin is None:
            return merge(hours), self._endless(first, close) + stretches
        return merge(hours), [Stretch(begin, close, close), *stretches]

    def _endless(self, first: date, close: int) -> list[Stretch]:
        """The grid of open time without a beginning: there is no opening to count from, so each midnight is."""
        stretches = []
        day = first
        while (origin := self._midnight(day)) < close:
            day += ONE_DAY
            stretches.append(Stretch(origin, min(self._midnight(day), close), close))
        return stretches

    def _true_beginning(self, found: Spans, first: date) -> int | None:
        """Where the last of `found` begins, None if nowhere; days before the eve of `first` are yet to be seen."""
        day = first - ONE_DAY
        while True:
            begin = found[-1][0]
            # The day before `day`, not yet seen, reaches at most to the end of `day`.
            if begin > self._midnight(day + ONE_DAY):
                return begin
            if self._never_closes:
                # Only overrides make gaps, on their date and, where its hours ran past midnight, on the next.
                earlier = bisect_right(self._override_days, day)
                if earlier == 0:
                    return None
                resume = self._override_days[earlier - 1] + 2 * ONE_DAY
                if resume < day:
                    day = resume
                    found = merge([(self._midnight(day), begin), *found])
                    continue
            day -= ONE_DAY
            found = merge(self._on(day)[1] + found)

    @cached_property
    def _never_closes(self) -> bool:
        """Whether the weekly hours, breaks out, leave no gap in a plain week, without clock changes.

        Those make none, except that hours past midnight are lost with a skipped date (Samoa, December 2011).
        """
        plain = OpeningHours(replace(self._policy, timezone="UTC", date_overrides={}))
        monday = date(2024, 1, 1)
        week = merge(span for day in range(-1, 7) for span in plain._on(monday + timedelta(days=day))[1])
        begin, end = plain._midnight(monday), plain._midnight(monday + timedelta(days=7))
        return any(span[0] <= begin and end <= span[1] for span in week)

    def _on(self, day: date) -> tuple[Spans, Spans]:
        """The hours given under `day`, before and after breaks."""
        policy = self._policy
        override = policy.date_overrides.get(day)
        if override is not None:
            hours = merge(self._spans(day, override))
            return hours, hours
        hours = merge(self._spans(day, policy.weekly_hours[day.weekday()]))
        if not hours:
            return hours, hours
        breaks = policy.breaks[day.weekday()]
        removed = [self._place(at, window) for at in (day, day + ONE_DAY) for window in breaks]
        yesterday = day - ONE_DAY
        if yesterday not in policy.date_overrides:
            overnight = [window for window in policy.breaks[yesterday.weekday()] if window.closes < window.opens]
            removed += [self._place(yesterday, window) for window in overnight]
        return hours, subtract(hours, merge(removed))

    def _spans(self, day: date, windows: Windows) -> Spans:
        """Windows as instants. They keep to their dates, so hours of a skipped date do not slip to the next."""
        placed = []
        tomorrow = day + ONE_DAY
        for window in windows:
            begin, end = self._place(day, window)
            overnight = window.closes < window.opens and tomorrow not in self._policy.date_overrides
            limit = self._midnight(tomorrow + ONE_DAY if overnight else tomorrow)
            placed.append((begin, min(end, limit)))
        return placed

    def _place(self, day: date, window: tuple[int, int]) -> Span:
        opens, closes = window
        closing_day = day + ONE_DAY if closes < opens else day
        return (
            wall_to_instant(self._zone, day, opens),
            wall_to_instant(self._zone, closing_day, closes),
        )

    def _midnight(self, day: date) -> int:
        known = self._midnights.get(day)
        if known is None:
            known = self._midnights[day] = wall_to_instant(self._zone, day, 0)
        return known
