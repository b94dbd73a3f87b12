"""Properties of the slot rules over made-up policies, against the minute-by-minute oracle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.availability import REFUSALS, Busy, SlotPolicy, explain, free_slots
from tests.unit.slot_oracle import DAY, EPOCH, MINUTE, WEEKDAYS, Oracle, minute_of

bounded = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Dates on which something happens to the clock, and one on which nothing does.
PLACES_AND_DATES = [
    ("Asia/Jerusalem", date(2026, 3, 27)),
    ("Asia/Jerusalem", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Pacific/Chatham", date(2026, 4, 5)),
    ("America/Havana", date(2026, 3, 8)),  # midnight does not exist
    ("America/Havana", date(2026, 11, 1)),  # midnight comes twice
    ("America/Nuuk", date(2026, 3, 28)),  # the last hour does not exist
    ("America/Nuuk", date(2026, 10, 24)),  # the last hour comes twice
    ("Asia/Kathmandu", date(2026, 6, 15)),
    ("UTC", date(2026, 1, 1)),
]


@dataclass(frozen=True)
class Situation:
    """A question to `free_slots`."""

    policy: dict[str, Any]
    busy: list[Busy]
    first: date
    last: date
    now: datetime
    capacity: int
    duration_min: int | None

    @cached_property
    def parsed(self) -> SlotPolicy:
        """The policy as the rules take it."""
        return SlotPolicy.from_dict(self.policy)

    def offered(self) -> list[int]:
        """What is offered, as minutes since 1970 UTC."""
        asked = self.parsed, self.busy, self.first, self.last, self.now, self.capacity, self.duration_min
        return [minute_of(slot.starts_at) for slot in free_slots(*asked)]

    def code(self, minute: int) -> str | None:
        """Why a minute is refused; None if it is accepted."""
        starts_at = EPOCH + minute * MINUTE
        refusal = explain(self.parsed, self.busy, starts_at, self.now, self.capacity, self.duration_min)
        return refusal.code if refusal else None


clock_times = st.one_of(
    st.sampled_from(["00:00", "01:00", "02:00", "02:30", "03:00", "09:00", "12:00", "17:00", "22:00", "23:00"]),
    st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}"),
)
windows = st.lists(st.tuples(clock_times, clock_times | st.just("24:00")).map(list), max_size=3)
weeks = st.one_of(
    st.dictionaries(st.sampled_from(WEEKDAYS), windows),
    windows.map(lambda same: dict.fromkeys(WEEKDAYS, same)),
    st.just({weekday: [["00:00", "24:00"]] for weekday in WEEKDAYS}),
    st.just({weekday: [["06:00", "09:00"], ["08:00", "07:00"]] for weekday in WEEKDAYS}),
)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """A policy, appointments and a now around a date on which the clock may change."""
    zone, focus = draw(st.sampled_from(PLACES_AND_DATES))
    near = st.integers(-3, 3).map(lambda days: focus + days * DAY)
    size = draw(st.sampled_from([7, 15, 30, 45, 60, 90, 240, 1440]))
    buffers = st.sampled_from([0, 0, 5, 30]) if size < 1440 else st.just(0)
    policy = {
        "timezone": zone,
        "weekly_hours": draw(weeks),
        "breaks": draw(
            st.just({})
            | weeks.filter(lambda week: len(week) < 7)
            | st.dictionaries(st.sampled_from(WEEKDAYS), windows)
        ),
        "date_overrides": {
            str(day): hours for day, hours in draw(st.dictionaries(near, windows, max_size=3)).items()
        },
        "slot_size_min": size,
        "slot_step_min": draw(st.sampled_from([11, 15, 30, 50, 60, 420, 1440])),
        "buffer_before_min": draw(buffers),
        "buffer_after_min": draw(buffers),
        "min_notice_min": draw(st.sampled_from([0, 0, 45, 1500])),
        "booking_window_days": draw(st.sampled_from([None, None, 0, 1, 5])),
        "daily_limit": draw(st.sampled_from([None, None, 0, 1, 3])),
    }
    noon = datetime.combine(focus, time(12), UTC)
    moments = st.integers(-4 * 1440, 4 * 1440).map(lambda minutes: noon + minutes * MINUTE)
    lengths = st.sampled_from([0, 15, 20, 60, 300, 2000])
    rows = st.builds(
        lambda at, length, before, after, counts: Busy(at, at + length * MINUTE, before, after, counts),
        moments,
        lengths,
        st.sampled_from([0, 0, 10]),
        st.sampled_from([0, 0, 25]),
        st.booleans(),
    )
    first = draw(near)
    return Situation(
        policy=policy,
        busy=draw(st.lists(rows, max_size=12)),
        first=first,
        last=first + draw(st.integers(0, 2)) * DAY,
        now=draw(st.just(noon - 6 * DAY) | moments) + draw(st.sampled_from([0, 1, 29])) * timedelta(seconds=1),
        capacity=draw(st.sampled_from([1, 1, 2, 3])),
        duration_min=draw(st.sampled_from([None, None, 25, 120])),
    )


@bounded
@given(situations(), st.lists(st.integers(0, 3 * 1440), max_size=10))
def test_any_situation_agrees_with_the_oracle_and_with_explain(situation: Situation, others: list[int]) -> None:
    """Offered is what the oracle offers; `explain` accepts just that, and refuses the rest with a known code."""
    oracle = Oracle(situation.policy, situation.first, situation.last)
    expected = oracle.starts(situation.busy, situation.now, situation.capacity, situation.duration_min)
    assert situation.offered() == expected
    begin = minute_of(datetime.combine(situation.first, time(), UTC)) - 300
    tried = {begin + minute for minute in others} | {near + off for near in expected[:6] for off in (-1, 0, 1)}
    for minute in tried:
        code = situation.code(minute)
        if situation.first <= oracle.date_at(minute) <= situation.last:
            assert (code is None) == (minute in expected)
        assert code is None or code in REFUSALS


@bounded
@given(situations(), st.integers(-4000, 4000))
def test_appointments_and_now_change_the_grid_never_moves(situation: Situation, minutes: int) -> None:
    """With anything booked, at any time and for any dates asked, what is offered is a part of one grid."""
    untouched = replace(
        situation,
        busy=[],
        now=situation.now - 30 * DAY,
        policy={**situation.policy, "min_notice_min": 0, "booking_window_days": None, "daily_limit": None},
    )
    grid = untouched.offered()
    assert set(situation.offered()) <= set(grid)
    assert set(replace(situation, now=situation.now + minutes * MINUTE).offered()) <= set(grid)
    later = replace(untouched, now=situation.now)
    assert later.offered() == [minute for minute in grid if EPOCH + minute * MINUTE >= situation.now]
    days = [situation.first + day * DAY for day in range((situation.last - situation.first).days + 1)]
    assert [minute for day in days for minute in replace(untouched, first=day, last=day).offered()] == grid


# Around the clock where the clock changes (Fridays in Israel, else Sundays), a few half hours elsewhere.
OPEN_HALF_HOURS = {
    "mon": [("00:30", "02:00"), ("09:00", "10:00")],
    "tue": [("23:30", "24:00")],
    "wed": [("00:00", "00:30")],
    "fri": [("00:30", "04:00"), ("23:00", "24:00")],
    "sat": [("23:30", "24:00")],
    "sun": [("00:00", "04:30")],
}


@pytest.mark.parametrize("zone", ["Asia/Jerusalem", "America/New_York", "Australia/Lord_Howe"])
def test_every_day_of_twelve_years_offers_just_the_open_half_hours(zone: str) -> None:
    """A half hour is offered if and only if the wall clock, read at that instant, is in the weekday's hours."""
    # The clock changes on half hours inside the windows, so that each half hour is open or closed whole.
    policy = SlotPolicy.from_dict({"timezone": zone, "weekly_hours": OPEN_HALF_HOURS, "slot_size_min": 30})
    now = datetime(2023, 1, 1, tzinfo=UTC)
    for year in range(2024, 2036):
        first, last = date(year, 1, 1), date(year, 12, 31)
        offered = free_slots(policy, [], first, last, now)
        assert [slot.starts_at for slot in offered] == open_half_hours(policy.zone, first, last)
        assert {slot.ends_at - slot.starts_at for slot in offered} == {30 * MINUTE}


def open_half_hours(zone: ZoneInfo, first: date, last: date) -> list[datetime]:
    """Every half hour of the dates that reads as open; where the clock does not change, a UTC day at a time."""
    found: list[datetime] = []
    steps_of_day: dict[tuple[int, timedelta | None], list[timedelta]] = {}
    midnight = datetime.combine(first - DAY, time(), UTC)
    while midnight.date() <= last + DAY:
        offset = midnight.astimezone(zone).utcoffset()
        steps = steps_of_day.get((midnight.weekday(), offset))
        if steps is None or (midnight + DAY).astimezone(zone).utcoffset() != offset:
            steps = [step * 30 * MINUTE for step in range(48)]
            steps = [step for step in steps if reads_as_open((midnight + step).astimezone(zone))]
            if (midnight + DAY).astimezone(zone).utcoffset() == offset:
                steps_of_day[midnight.weekday(), offset] = steps
        found += [midnight + step for step in steps]
        midnight += DAY
    return [at for at in found if first <= at.astimezone(zone).date() <= last]


def reads_as_open(wall: datetime) -> bool:
    """Whether the hours of the wall clock's own weekday hold it."""
    return any(
        opens <= f"{wall:%H:%M}" < closes for opens, closes in OPEN_HALF_HOURS.get(WEEKDAYS[wall.weekday()], [])
    )
