"""What a slot policy may hold, and that a refusal names the field."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from app.domain.slot_policy import SlotPolicy, Window
from app.errors import PolicyError

LEAST: dict[str, Any] = {
    "timezone": "Asia/Jerusalem",
    "weekly_hours": {"sun": [["09:00", "17:00"]]},
    "slot_size_min": 30,
}
WHOLE: dict[str, Any] = {
    "timezone": "America/New_York",
    "weekly_hours": {"mon": [["09:00", "12:00"], ["13:00", "24:00"]], "fri": [["22:00", "02:00"]]},
    "breaks": {"mon": [["10:00", "10:15"]]},
    "date_overrides": {"2026-12-25": [], "2026-12-31": [["20:00", "01:30"]]},
    "slot_size_min": 45,
    "slot_step_min": 15,
    "buffer_before_min": 5,
    "buffer_after_min": 10,
    "min_notice_min": 120,
    "booking_window_days": 60,
    "daily_limit": 12,
}


def test_policy_with_the_least_keys_gets_the_defaults() -> None:
    """Only zone, hours and size are required; the step is the size, all else is none."""
    policy = SlotPolicy.from_dict(LEAST)
    assert policy.weekly_hours[6] == (Window(540, 1020),)
    assert policy.slot_step_min == 30
    assert policy.to_dict() == {
        **LEAST,
        "breaks": {},
        "date_overrides": {},
        "slot_step_min": 30,
        "buffer_before_min": 0,
        "buffer_after_min": 0,
        "min_notice_min": 0,
        "booking_window_days": None,
        "daily_limit": None,
    }


def test_policy_as_dict_makes_the_same_policy_again() -> None:
    """Every key survives the way to JSON and back."""
    policy = SlotPolicy.from_dict(WHOLE)
    assert policy.to_dict() == WHOLE
    assert SlotPolicy.from_dict(policy.to_dict()) == policy
    assert policy.date_overrides[date(2026, 12, 31)] == (Window(1200, 90),)


def test_policy_with_tuples_nulls_and_empty_days_is_accepted() -> None:
    """What a caller in Python or a form may send: tuples, null limits, weekdays without hours."""
    policy = SlotPolicy.from_dict(
        {
            **LEAST,
            "weekly_hours": {"mon": (("09:00", "09:00"),), "tue": []},
            "booking_window_days": None,
            "daily_limit": None,
        }
    )
    assert policy.weekly_hours[:2] == ((Window(540, 540),), ())


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "America"}, "timezone"),
        ({"timezone": ""}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"timezone": "localtime"}, "timezone"),
        ({"timezone": "right/UTC"}, "timezone"),
        ({"timezone": "Asia/\x00"}, "timezone"),
        ({"timezone": "ירושלים"}, "timezone"),
        ({"timezone": None}, "timezone"),
        ({"weekly_hours": None}, "weekly_hours"),
        ({"weekly_hours": []}, "weekly_hours"),
        ({"weekly_hours": {"monday": []}}, "weekly_hours.monday"),
        ({"weekly_hours": {"Mon": []}}, "weekly_hours.Mon"),
        ({"weekly_hours": {1: []}}, "weekly_hours.1"),
        ({"weekly_hours": {"mon": None}}, "weekly_hours.mon"),
        ({"weekly_hours": {"mon": "09:00-17:00"}}, "weekly_hours.mon"),
        ({"weekly_hours": {"mon": [["09:00", "12:00"], ["13:00"]]}}, "weekly_hours.mon[1]"),
        ({"weekly_hours": {"mon": ["09:00", "12:00"]}}, "weekly_hours.mon[0]"),
        ({"weekly_hours": {"mon": [["9:00", "12:00"]]}}, "weekly_hours.mon[0]"),
        ({"weekly_hours": {"mon": [["09:00", "25:00"]]}}, "weekly_hours.mon[0]"),
        ({"weekly_hours": {"mon": [["09:00", "24:01"]]}}, "weekly_hours.mon[0]"),
        ({"weekly_hours": {"mon": [["09:60", "12:00"]]}}, "weekly_hours.mon[0]"),
        ({"weekly_hours": {"mon": [["09:00", "12:00\n"]]}}, "weekly_hours.mon[0]"),
        ({"weekly_hours": {"mon": [["٠٩:٠٠", "12:00"]]}}, "weekly_hours.mon[0]"),
        ({"weekly_hours": {"mon": [["24:00", "02:00"]]}}, "weekly_hours.mon[0]"),
        ({"weekly_hours": {"mon": [[540, 720]]}}, "weekly_hours.mon[0]"),
        ({"breaks": None}, "breaks"),
        ({"breaks": {"tue": [["12:00", "lunch"]]}}, "breaks.tue[0]"),
        ({"date_overrides": []}, "date_overrides"),
        ({"date_overrides": {"2026-02-29": []}}, "date_overrides.2026-02-29"),
        ({"date_overrides": {"20260301": []}}, "date_overrides.20260301"),
        ({"date_overrides": {"2026-W10-1": []}}, "date_overrides.2026-W10-1"),
        ({"date_overrides": {"0001-01-01": []}}, "date_overrides.0001-01-01"),
        ({"date_overrides": {"2026-03-01": None}}, "date_overrides.2026-03-01"),
        ({"date_overrides": {"2026-03-01": [["10:00", ""]]}}, "date_overrides.2026-03-01[0]"),
        ({"slot_size_min": 0}, "slot_size_min"),
        ({"slot_size_min": 1441}, "slot_size_min"),
        ({"slot_size_min": True}, "slot_size_min"),
        ({"slot_size_min": 30.0}, "slot_size_min"),
        ({"slot_size_min": "30"}, "slot_size_min"),
        ({"slot_size_min": None}, "slot_size_min"),
        ({"slot_size_min": 1000, "buffer_before_min": 240, "buffer_after_min": 201}, "slot_size_min"),
        ({"slot_step_min": 0}, "slot_step_min"),
        ({"slot_step_min": -15}, "slot_step_min"),
        ({"slot_step_min": None}, "slot_step_min"),
        ({"buffer_before_min": -1}, "buffer_before_min"),
        ({"buffer_after_min": False}, "buffer_after_min"),
        ({"min_notice_min": -1}, "min_notice_min"),
        ({"min_notice_min": 10**9}, "min_notice_min"),
        ({"booking_window_days": -1}, "booking_window_days"),
        ({"booking_window_days": 10**9}, "booking_window_days"),
        ({"booking_window_days": True}, "booking_window_days"),
        ({"daily_limit": -1}, "daily_limit"),
        ({"daily_limit": 2.5}, "daily_limit"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_policy_that_breaks_a_rule_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    """PolicyError names the path of what is wrong."""
    with pytest.raises(PolicyError) as refused:
        SlotPolicy.from_dict({**LEAST, **change})
    assert refused.value.field == field


@pytest.mark.parametrize("key", sorted(LEAST))
def test_policy_without_a_required_key_is_refused_by_field(key: str) -> None:
    """PolicyError names the key that is missing."""
    with pytest.raises(PolicyError) as refused:
        SlotPolicy.from_dict({other: value for other, value in LEAST.items() if other != key})
    assert refused.value.field == key


@pytest.mark.parametrize("value", [None, [], "policy", 7])
def test_policy_that_is_no_object_is_refused(value: Any) -> None:
    """Anything but a JSON object is refused as a whole."""
    with pytest.raises(PolicyError) as refused:
        SlotPolicy.from_dict(value)
    assert refused.value.field == "policy"
