"""The slot rules by example: what the table of slot cases hardly shows, and every refusal code."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.domain.availability import REFUSALS, Busy, SlotPolicy, explain, free_slots

EVERY_DAY = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MONDAY = date(2026, 3, 2)  # in UTC nothing happens to the clock


def policy(**given: Any) -> SlotPolicy:
    """A policy of whole hours in UTC, on Mondays from nine to twelve unless told."""
    least = {"timezone": "UTC", "weekly_hours": {"mon": [["09:00", "12:00"]]}, "slot_size_min": 60}
    return SlotPolicy.from_dict({**least, **given})


def at(clock: str, day: date = MONDAY) -> datetime:
    """An instant of a date in UTC."""
    return datetime.fromisoformat(f"{day}T{clock}+00:00")


def offered(
    rules: SlotPolicy,
    first: date = MONDAY,
    days: int = 1,
    busy: list[Busy] | None = None,
    now: datetime = LONG_AGO,
    capacity: int = 1,
    duration_min: int | None = None,
) -> list[str]:
    """The starts of the dates, as `MM-DDTHH:MM±HH:MM`."""
    last = first + timedelta(days=days - 1)
    slots = free_slots(rules, busy or [], first, last, now, capacity, duration_min)
    return [slot.starts_at.isoformat()[5:16] + slot.starts_at.isoformat()[19:] for slot in slots]


def clocks(rules: SlotPolicy, first: date = MONDAY, days: int = 1, **asked: Any) -> list[str]:
    """The starts as `DD HH:MM`."""
    return [start[3:11].replace("T", " ") for start in offered(rules, first, days, **asked)]


def test_close_earlier_than_open_runs_into_the_next_day() -> None:
    """Monday's night belongs to Monday's hours; its last starts carry Tuesday's date."""
    night = policy(weekly_hours={"mon": [["22:00", "02:00"]]})
    assert clocks(night) == ["02 22:00", "02 23:00"]
    assert clocks(night, MONDAY + timedelta(days=1)) == ["03 00:00", "03 01:00"]
    assert clocks(night, MONDAY - timedelta(days=1), 4) == ["02 22:00", "02 23:00", "03 00:00", "03 01:00"]


def test_close_at_midnight_is_the_end_of_the_day_in_both_spellings() -> None:
    """`00:00` after an opening is the next midnight, like `24:00`."""
    for close in ("24:00", "00:00"):
        assert clocks(policy(weekly_hours={"mon": [["22:30", close]]}), days=2) == ["02 22:30"]


def test_close_equal_to_open_is_an_empty_window() -> None:
    """Nothing is offered, and an override of empty windows closes the date."""
    assert clocks(policy(weekly_hours={"mon": [["09:00", "09:00"]]}), days=2) == []
    closed = policy(date_overrides={"2026-03-02": [["10:00", "10:00"]]})
    refusal = explain(closed, [], at("10:00"), LONG_AGO)
    assert refusal is not None
    assert refusal.code == "closed_date"


def test_night_that_meets_the_next_mornings_hours_is_one_stretch() -> None:
    """The grid counts from Monday evening right through Tuesday morning."""
    rules = policy(
        weekly_hours={"mon": [["22:00", "02:00"]], "tue": [["02:00", "05:00"]]},
        slot_size_min=90,
    )
    assert clocks(rules, days=2) == ["02 22:00", "02 23:30", "03 01:00", "03 02:30"]
    assert clocks(rules, MONDAY + timedelta(days=1)) == ["03 01:00", "03 02:30"]


def test_stretch_over_several_days_keeps_counting_from_its_opening() -> None:
    """Three full days and a step that does not divide a day: no midnight restarts the grid."""
    full = [["00:00", "24:00"]]
    rules = policy(weekly_hours={"mon": full, "tue": full, "wed": full}, slot_size_min=420)
    assert clocks(rules, days=2) == [
        "02 00:00",
        "02 07:00",
        "02 14:00",
        "02 21:00",
        "03 04:00",
        "03 11:00",
        "03 18:00",
    ]
    assert clocks(rules, MONDAY + timedelta(days=2)) == ["04 01:00", "04 08:00", "04 15:00"]


def test_stretch_bridged_by_hours_of_the_day_between_counts_from_its_opening() -> None:
    """Sunday's early hours bridge the break in Saturday's night, so the grid counts from Saturday evening."""
    rules = policy(
        weekly_hours={
            "sat": [["22:00", "09:00"]],
            "sun": [["05:00", "08:00"], ["09:00", "24:00"]],
            "mon": [["00:00", "04:00"]],
        },
        breaks={"sat": [["06:00", "07:00"]]},
        slot_step_min=420,
    )
    assert clocks(rules) == ["02 02:00"]
    assert clocks(rules, MONDAY - timedelta(days=2), 3) == [
        "28 22:00",
        "01 05:00",
        "01 12:00",
        "01 19:00",
        "02 02:00",
    ]


def test_business_that_never_closes_counts_from_each_midnight() -> None:
    """Without an opening the local midnight is the grid's origin, whatever dates are asked for."""
    rules = policy(weekly_hours=dict.fromkeys(EVERY_DAY, (("00:00", "24:00"),)), slot_size_min=500)
    assert clocks(rules) == ["02 00:00", "02 08:20", "02 16:40"]
    assert clocks(rules, MONDAY - timedelta(days=1), 2)[3:] == ["02 00:00", "02 08:20", "02 16:40"]


@pytest.mark.parametrize("hours", [(("00:00", "24:00"),), (("06:00", "09:00"), ("08:00", "07:00"))])
def test_business_that_closed_once_counts_from_its_reopening(hours: tuple[tuple[str, str], ...]) -> None:
    """After a closed date years ago there is an opening to count from, and it is found at once."""
    rules = policy(
        weekly_hours=dict.fromkeys(EVERY_DAY, hours),
        date_overrides={"2020-12-25": [], "2026-03-05": []},
        slot_size_min=500,
    )
    reopened = at("00:00", date(2020, 12, 26)) if hours[0][0] == "00:00" else at("06:00", date(2020, 12, 26))
    starts = [slot.starts_at for slot in free_slots(rules, [], MONDAY, MONDAY, LONG_AGO)]
    assert starts
    assert all((start - reopened) % timedelta(minutes=500) == timedelta(0) for start in starts)


def test_override_past_midnight_joins_the_next_days_hours() -> None:
    """A late date ends after midnight and runs on into the weekday's hours."""
    rules = policy(
        weekly_hours={"mon": [["09:00", "12:00"]], "tue": [["01:30", "04:00"]]},
        date_overrides={"2026-03-02": [["21:00", "01:30"]]},
        slot_size_min=120,
    )
    assert clocks(rules, days=2) == ["02 21:00", "02 23:00", "03 01:00"]


def test_override_replaces_its_date_whole_also_the_night_before() -> None:
    """Hours of the eve end at midnight if the date is closed or has hours of its own."""
    night = {"sun": [["22:00", "02:00"]]}
    eve = MONDAY - timedelta(days=1)
    assert clocks(policy(weekly_hours=night), eve, 2) == ["01 22:00", "01 23:00", "02 00:00", "02 01:00"]
    closed = policy(weekly_hours=night, date_overrides={"2026-03-02": []})
    assert clocks(closed, eve, 2) == ["01 22:00", "01 23:00"]
    changed = policy(weekly_hours=night, date_overrides={"2026-03-02": [["01:00", "02:00"]]})
    assert clocks(changed, eve, 2) == ["01 22:00", "01 23:00", "02 01:00"]


def test_break_of_a_night_is_taken_from_the_morning_after() -> None:
    """A break after midnight belongs to the hours that it is given under."""
    rules = policy(
        weekly_hours={"mon": [["22:00", "02:00"]], "tue": [["22:00", "23:00"]]},
        breaks={"mon": [["00:00", "01:00"]], "tue": [["01:00", "02:00"]]},
    )
    assert clocks(rules, days=2) == ["02 22:00", "02 23:00", "03 01:00", "03 22:00"]


def test_break_past_midnight_is_taken_from_both_days() -> None:
    """Half an hour on either side, though each side has hours of its own."""
    full = [["00:00", "24:00"]]
    rules = policy(
        weekly_hours={"mon": full, "tue": full}, breaks={"mon": [["23:30", "00:30"]]}, slot_size_min=600
    )
    assert clocks(rules, days=2) == ["02 00:00", "02 10:00", "03 00:30", "03 10:30"]
    holiday = policy(
        weekly_hours={"mon": full, "tue": full},
        breaks={"mon": [["23:30", "00:30"]]},
        date_overrides={"2026-03-03": full},
        slot_size_min=600,
    )
    assert clocks(holiday, MONDAY + timedelta(days=1)) == ["03 00:00", "03 10:00"]
    holiday = policy(
        weekly_hours={"mon": full, "tue": full},
        breaks={"mon": [["23:30", "00:30"]]},
        date_overrides={"2026-03-02": full},
        slot_size_min=600,
    )
    assert clocks(holiday, days=2) == ["02 00:00", "02 10:00", "02 20:00", "03 06:00"]


def test_step_larger_than_the_size_leaves_gaps() -> None:
    """Twenty minutes every fifty."""
    rules = policy(slot_size_min=20, slot_step_min=50)
    assert clocks(rules) == ["02 09:00", "02 09:50", "02 10:40", "02 11:30"]


def test_duration_replaces_the_size_but_not_the_step() -> None:
    """A longer appointment type has fewer starts on the same grid."""
    rules = policy(slot_size_min=30, buffer_after_min=30)
    busy = [Busy(at("11:30"), at("12:00"), 15, 0)]
    assert clocks(rules, duration_min=60) == ["02 09:00", "02 09:30", "02 10:00", "02 10:30", "02 11:00"]
    assert clocks(rules, duration_min=60, busy=busy) == ["02 09:00", "02 09:30"]


def test_duration_of_two_days_fits_where_nothing_closes() -> None:
    """The stretch is followed as far as the last slot of the dates reaches."""
    rules = policy(weekly_hours=dict.fromkeys(EVERY_DAY, (("00:00", "24:00"),)), slot_size_min=720)
    assert clocks(rules, duration_min=2880) == ["02 00:00", "02 12:00"]
    assert explain(rules, [], at("12:00"), LONG_AGO, duration_min=2880) is None


def test_appointment_with_buffers_of_its_own_blocks_by_them() -> None:
    """The buffers of a row are its own; the policy's pad the new slot only."""
    rules = policy(slot_step_min=30, buffer_before_min=30)
    assert clocks(rules, busy=[Busy(at("08:00"), at("08:45"), 0, 15)]) == [
        "02 09:30",
        "02 10:00",
        "02 10:30",
        "02 11:00",
    ]
    assert clocks(rules, busy=[Busy(at("12:30"), at("13:00"), 60, 0)]) == [
        "02 09:00",
        "02 09:30",
        "02 10:00",
        "02 10:30",
    ]


def test_capacity_counts_appointments_at_every_instant() -> None:
    """Two that overlap fill a capacity of two where they overlap, two in a row do not."""
    busy = [
        Busy(at("09:00"), at("09:30")),
        Busy(at("09:30"), at("10:00")),
        Busy(at("10:00"), at("11:00")),
        Busy(at("10:59"), at("12:00")),
    ]
    assert clocks(policy(), busy=busy, capacity=1) == []
    assert clocks(policy(), busy=busy, capacity=2) == ["02 09:00", "02 11:00"]
    assert clocks(policy(), busy=busy, capacity=3) == ["02 09:00", "02 10:00", "02 11:00"]


def test_row_of_no_length_blocks_nothing_but_counts_for_the_daily_limit() -> None:
    """So a caller counts appointments of other resources that share the limit."""
    busy = [Busy(at("10:30"), at("10:30"), 30, 30)]
    assert clocks(policy(), busy=busy) == ["02 09:00", "02 10:00", "02 11:00"]
    assert clocks(policy(daily_limit=1), busy=busy) == []


def test_daily_limit_counts_by_the_date_on_which_an_appointment_begins() -> None:
    """What runs over from the eve is not counted, what begins at the last minute is."""
    eve = MONDAY - timedelta(days=1)
    busy = [Busy(at("23:59", eve), at("09:00")), Busy(at("23:59"), at("23:59") + timedelta(minutes=5))]
    assert clocks(policy(daily_limit=2), busy=busy) == ["02 09:00", "02 10:00", "02 11:00"]
    assert clocks(policy(daily_limit=1), busy=busy) == []
    assert clocks(policy(daily_limit=0)) == []


def test_block_takes_its_time_and_does_not_count_for_the_daily_limit() -> None:
    """A block is nobody's appointment."""
    blocks = [Busy(at("09:00"), at("10:00"), counts=False), Busy(at("09:00"), at("09:00"), counts=False)]
    assert clocks(policy(daily_limit=1), busy=blocks) == ["02 10:00", "02 11:00"]
    assert clocks(policy(daily_limit=1), busy=[*blocks, Busy(at("11:00"), at("12:00"))]) == []


def test_notice_and_now_are_inclusive_to_the_second() -> None:
    """A start exactly at now plus notice is offered, one second later it is gone."""
    rules = policy(min_notice_min=60)
    assert clocks(rules, now=at("09:00")) == ["02 10:00", "02 11:00"]
    assert clocks(rules, now=at("09:00") + timedelta(microseconds=1)) == ["02 11:00"]
    assert clocks(policy(), now=at("11:00")) == ["02 11:00"]


def test_booking_window_counts_dates_of_the_zone() -> None:
    """Late on Sunday in UTC it is Monday in Jerusalem, so Monday is today."""
    rules = policy(timezone="Asia/Jerusalem", booking_window_days=0)
    now = at("22:30", MONDAY - timedelta(days=1))
    assert clocks(rules, days=8, now=now) == ["02 09:00", "02 10:00", "02 11:00"]
    assert clocks(rules, days=8, now=now - timedelta(hours=1)) == []


def test_opening_in_a_gap_takes_the_offset_before_it() -> None:
    """02:30 does not exist: by the offset before the gap it is 03:30."""
    rules = policy(timezone="America/New_York", weekly_hours={"sun": [["02:30", "05:00"]]})
    assert offered(rules, date(2026, 3, 8)) == ["03-08T03:30-04:00"]


def test_repeated_hour_is_offered_twice() -> None:
    """With its two offsets; the stretch has an hour more than the wall clock says."""
    rules = policy(timezone="Asia/Jerusalem", weekly_hours={"sun": [["00:00", "03:00"]]})
    assert offered(rules, date(2026, 10, 25)) == [
        "10-25T00:00+03:00",
        "10-25T01:00+03:00",
        "10-25T01:00+02:00",
        "10-25T02:00+02:00",
    ]


def test_slot_over_a_clock_change_ends_with_the_new_offset() -> None:
    """Its length is real minutes."""
    rules = policy(timezone="America/New_York", weekly_hours={"sun": [["01:00", "05:00"]]})
    (slot, *_) = free_slots(rules, [], date(2026, 3, 8), date(2026, 3, 8), LONG_AGO)
    assert slot.ends_at.isoformat() == "2026-03-08T03:00:00-04:00"
    assert slot.ends_at - slot.starts_at == timedelta(minutes=60)


def test_start_in_a_repeated_hour_equals_the_same_instant_in_utc() -> None:
    """Slots carry fixed offsets, so they compare and subtract as instants."""
    rules = policy(timezone="Asia/Jerusalem", weekly_hours={"sun": [["01:00", "02:00"]]})
    first, second = free_slots(rules, [], date(2026, 10, 25), date(2026, 10, 25), LONG_AGO)
    assert first.starts_at == datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert second.starts_at - first.starts_at == timedelta(hours=1)


def test_skipped_date_lends_no_hours_to_the_next() -> None:
    """Samoa had no 30 December 2011, a Friday; Saturday keeps its own hours."""
    rules = policy(
        timezone="Pacific/Apia", weekly_hours={"fri": [["06:00", "20:00"]], "sat": [["09:00", "11:00"]]}
    )
    assert clocks(rules, date(2011, 12, 30)) == []
    assert clocks(rules, date(2011, 12, 29), 3, now=datetime(2011, 1, 1, tzinfo=UTC)) == ["31 09:00", "31 10:00"]


def test_appointments_in_any_zone_block_the_same_instants() -> None:
    """The rows need not share a zone, not even the two ends of one."""
    east, west = ZoneInfo("Asia/Tokyo"), timezone(timedelta(hours=-8))
    busy = [
        Busy(at("09:00").astimezone(east), at("10:00").astimezone(west)),
        Busy(at("11:00"), at("11:30").astimezone(east)),
    ]
    assert clocks(policy(), busy=busy) == ["02 10:00"]


def test_dates_in_the_wrong_order_or_beyond_the_calendar_give_nothing() -> None:
    """No error and no endless work."""
    assert free_slots(policy(), [], MONDAY, MONDAY - timedelta(days=1), LONG_AGO) == []
    assert free_slots(policy(), [], date(9999, 12, 1), date.max, LONG_AGO) == []


def test_faults_of_the_caller_raise() -> None:
    """Naive datetimes, no capacity and no duration are our own faults."""
    naive = datetime(2026, 3, 2, 9)  # noqa: DTZ001 (the fault under test)
    with pytest.raises(TypeError):
        explain(policy(), [], at("09:00"), naive)
    with pytest.raises(TypeError):
        explain(policy(), [Busy(naive, naive)], at("09:00"), LONG_AGO)
    with pytest.raises(ValueError, match="capacity"):
        explain(policy(), [], at("09:00"), LONG_AGO, capacity=0)
    with pytest.raises(ValueError, match="duration"):
        free_slots(policy(), [], MONDAY, MONDAY, LONG_AGO, duration_min=0)


NOW = at("09:30", MONDAY - timedelta(days=7))
STRICT = policy(
    weekly_hours={"mon": [["09:00", "17:00"]], "tue": [["09:00", "17:00"]], "fri": [["22:00", "02:00"]]},
    breaks={"mon": [["12:00", "13:00"]]},
    date_overrides={"2026-03-09": [], "2026-03-05": [["10:00", "11:00"]]},
    buffer_after_min=30,
    slot_step_min=30,
    min_notice_min=24 * 60,
    booking_window_days=14,
    daily_limit=3,
)
APPOINTMENTS = [
    Busy(at("15:00"), at("16:00"), 0, 30),
    *(Busy(at(f"{hour}:00", date(2026, 3, 3)), at(f"{hour}:30", date(2026, 3, 3))) for hour in ("09", "10", "11")),
]


@pytest.mark.parametrize(
    ("starts_at", "code"),
    [
        ("2026-02-23T09:00", "past"),
        ("2026-02-22T03:00", "past"),
        ("0001-01-01T00:00", "past"),
        ("2026-02-24T09:00", "min_notice"),
        ("2026-02-24T09:30", None),
        ("2026-03-02T08:30", "outside_hours"),
        ("2026-03-02T17:00", "outside_hours"),
        ("2026-03-02T16:30", "outside_hours"),  # would end after closing
        ("2026-03-04T10:00", "outside_hours"),  # a weekday without hours
        ("2026-03-05T09:00", "outside_hours"),  # the override opens later
        ("2026-03-07T01:00", None),  # Friday's night
        ("2026-03-07T02:00", "outside_hours"),
        ("2026-03-02T12:00", "break"),
        ("2026-03-02T12:30", "break"),
        ("2026-03-02T11:30", "break"),  # would run into it
        ("2026-03-02T11:00", None),
        ("2026-03-09T10:00", "closed_date"),
        ("2026-03-09T03:00", "closed_date"),
        ("2026-03-02T09:10", "off_grid"),
        ("2026-03-02T09:00:01", "off_grid"),
        ("2026-03-02T09:00:00.000001", "off_grid"),
        ("2026-03-10T10:00", "beyond_window"),
        ("9999-12-31T23:59", "beyond_window"),
        ("2026-03-02T15:00", "taken"),
        ("2026-03-02T14:30", "taken"),
        ("2026-03-02T14:00", "buffer"),  # its own buffer ends at 15:30
        ("2026-03-02T16:00", "buffer"),  # the other's buffer ends at 16:30
        ("2026-03-02T13:30", None),
        ("2026-03-03T13:00", "daily_limit"),
        ("2026-03-03T09:00", "daily_limit"),  # taken as well, but no other time of the day would do
    ],
)
def test_start_that_breaks_a_rule_is_refused_with_its_code(starts_at: str, code: str | None) -> None:
    """The first rule broken, in the order that helps a caller most; None is bookable."""
    refusal = explain(STRICT, APPOINTMENTS, datetime.fromisoformat(f"{starts_at}+00:00"), NOW)
    assert (refusal.code if refusal else None) == code
    assert refusal is None or refusal.message == REFUSALS[refusal.code]
