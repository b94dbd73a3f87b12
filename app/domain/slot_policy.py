"""When a business gives appointments: the policy as it is stored (JSON), checked once at the door."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from app.errors import PolicyError

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

DAY_MIN = 24 * 60
MOST_NOTICE_MIN = 366 * DAY_MIN
MOST_DAYS_AHEAD = 3660
MOST_APPOINTMENTS_A_DAY = 100_000
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEARS = range(1970, 3000)
# More make no sense, and every read of the calendar would pay for them.
MOST_WINDOWS = 48
# In the zone database's folder, but no place on earth: what this machine is set to, and zones with leap seconds.
_NOT_ZONES = ("localtime", "posixrules", "Factory", "posix/", "right/")


class Window(NamedTuple):
    """Wall-clock minutes from midnight, `closes` excluded. `closes < opens` runs into the next day."""

    opens: int
    closes: int


Windows = tuple[Window, ...]
Week = tuple[Windows, ...]
"""The windows of each weekday, Monday first."""

_EMPTY_WEEK: Week = ((),) * 7


@dataclass(frozen=True)
class SlotPolicy:
    """The rules of one calendar; `from_dict` makes and checks it. What they mean: `app.domain.availability`."""

    timezone: str
    weekly_hours: Week
    slot_size_min: int
    slot_step_min: int
    breaks: Week = _EMPTY_WEEK
    date_overrides: Mapping[date, Windows] = field(default_factory=dict, hash=False)
    buffer_before_min: int = 0
    buffer_after_min: int = 0
    min_notice_min: int = 0
    booking_window_days: int | None = None
    daily_limit: int | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The IANA zone of every wall-clock time in the policy."""
        return ZoneInfo(self.timezone)

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> SlotPolicy:
        """The policy of a JSON object with this class's field names as keys.

        Required: timezone, weekly_hours, slot_size_min. The step defaults to the size, everything else to
        "none". Raises PolicyError naming the first field that breaks a rule.
        """
        if not isinstance(d, Mapping):
            raise PolicyError("policy", "must be an object")
        for key in d:
            if key not in cls.__dataclass_fields__:
                raise PolicyError(str(key), "is not a key of a slot policy")
        size = _whole_number(d, "slot_size_min", 1, DAY_MIN)
        policy = cls(
            timezone=_zone_name(d),
            weekly_hours=_week(d, "weekly_hours", required=True),
            slot_size_min=size,
            slot_step_min=_whole_number(d, "slot_step_min", 1, DAY_MIN, default=size),
            breaks=_week(d, "breaks"),
            date_overrides=_date_overrides(d),
            buffer_before_min=_whole_number(d, "buffer_before_min", 0, DAY_MIN, default=0),
            buffer_after_min=_whole_number(d, "buffer_after_min", 0, DAY_MIN, default=0),
            min_notice_min=_whole_number(d, "min_notice_min", 0, MOST_NOTICE_MIN, default=0),
            booking_window_days=_number_or_none(d, "booking_window_days", MOST_DAYS_AHEAD),
            daily_limit=_number_or_none(d, "daily_limit", MOST_APPOINTMENTS_A_DAY),
        )
        # The database refuses a longer footprint, so such a policy would offer what can't be booked.
        if size + policy.buffer_before_min + policy.buffer_after_min > DAY_MIN:
            raise PolicyError("slot_size_min", f"must not exceed {DAY_MIN} together with its buffers")
        return policy

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that `from_dict` takes, with every key."""
        return {
            "timezone": self.timezone,
            "weekly_hours": _week_as_json(self.weekly_hours),
            "breaks": _week_as_json(self.breaks),
            "date_overrides": {
                day.isoformat(): _windows_as_json(self.date_overrides[day]) for day in sorted(self.date_overrides)
            },
            "slot_size_min": self.slot_size_min,
            "slot_step_min": self.slot_step_min,
            "buffer_before_min": self.buffer_before_min,
            "buffer_after_min": self.buffer_after_min,
            "min_notice_min": self.min_notice_min,
            "booking_window_days": self.booking_window_days,
            "daily_limit": self.daily_limit,
        }


@cache
def zone_names() -> tuple[str, ...]:
    """Every name that a policy's `timezone` may have, in order."""
    return tuple(sorted(name for name in available_timezones() if not name.startswith(_NOT_ZONES)))


def parse_override(day: date, windows: object) -> list[list[str]]:
    """The windows of one date's override, as JSON. Raises PolicyError naming `day` or a place in `windows`."""
    _check_year("day", day)
    return parse_windows("windows", windows)


def parse_windows(path: str, windows: object) -> list[list[str]]:
    """The windows of one day, as JSON. Raises PolicyError naming a place in `path`."""
    return _windows_as_json(_windows(path, windows))


def _given(d: Mapping[str, Any], key: str) -> Any:
    if key not in d:
        raise PolicyError(key, "is required")
    return d[key]


def _whole_number(d: Mapping[str, Any], key: str, least: int, most: int, default: int | None = None) -> int:
    value = d.get(key, default) if default is not None else _given(d, key)
    # JSON's true and false are ints to Python.
    if not isinstance(value, int) or isinstance(value, bool):
        raise PolicyError(key, "must be a whole number")
    if not least <= value <= most:
        raise PolicyError(key, f"must be between {least} and {most}")
    return value


def _number_or_none(d: Mapping[str, Any], key: str, most: int) -> int | None:
    return None if d.get(key) is None else _whole_number(d, key, 0, most)


def _zone_name(d: Mapping[str, Any]) -> str:
    name = _given(d, "timezone")
    if not isinstance(name, str):
        raise PolicyError("timezone", "must be the name of an IANA zone")
    try:
        if name.startswith(_NOT_ZONES):
            raise ValueError
        ZoneInfo(name)
    # Besides "no such key" (KeyError): a path, odd characters (ValueError), a folder of zones (OSError).
    except (KeyError, ValueError, OSError):
        raise PolicyError("timezone", "is not an IANA zone") from None
    return name


def _week(d: Mapping[str, Any], key: str, *, required: bool = False) -> Week:
    value = _given(d, key) if required else d.get(key, {})
    if not isinstance(value, Mapping):
        raise PolicyError(key, "must be an object of weekdays")
    for weekday in value:
        if weekday not in WEEKDAYS:
            raise PolicyError(f"{key}.{weekday}", f"is not a weekday ({', '.join(WEEKDAYS)})")
    return tuple(_windows(f"{key}.{weekday}", value.get(weekday, [])) for weekday in WEEKDAYS)


def _date_overrides(d: Mapping[str, Any]) -> dict[date, Windows]:
    value = d.get("date_overrides", {})
    if not isinstance(value, Mapping):
        raise PolicyError("date_overrides", "must be an object of dates")
    return {
        _real_date(f"date_overrides.{day}", day): _windows(f"date_overrides.{day}", windows)
        for day, windows in value.items()
    }


def _real_date(path: str, value: object) -> date:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise PolicyError(path, "must be a date YYYY-MM-DD")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise PolicyError(path, "is not in the calendar") from None
    _check_year(path, day)
    return day


def _check_year(path: str, day: date) -> None:
    if day.year not in _YEARS:
        raise PolicyError(path, f"must be in the years {_YEARS[0]} to {_YEARS[-1]}")


def _windows(path: str, value: object) -> Windows:
    if not isinstance(value, list | tuple):
        raise PolicyError(path, "must be a list of [open, close]")
    if len(value) > MOST_WINDOWS:
        raise PolicyError(path, f"must have at most {MOST_WINDOWS} windows")
    return tuple(_window(f"{path}[{index}]", window) for index, window in enumerate(value))


def _window(path: str, value: object) -> Window:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise PolicyError(path, "must be [open, close]")
    opens, closes = value
    if opens == "24:00":
        raise PolicyError(path, "can't open at 24:00; write 00:00 of the next day")
    return Window(_minute(path, opens), _minute(path, closes))


def _minute(path: str, value: object) -> int:
    if value == "24:00":
        return DAY_MIN
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PolicyError(path, "must hold times HH:MM from 00:00 to 24:00")
    return int(match[1]) * 60 + int(match[2])


def _week_as_json(week: Week) -> dict[str, list[list[str]]]:
    return {weekday: _windows_as_json(windows) for weekday, windows in zip(WEEKDAYS, week, strict=True) if windows}


def _windows_as_json(windows: Windows) -> list[list[str]]:
    return [[f"{minute // 60:02}:{minute % 60:02}" for minute in window] for window in windows]
