"""Times and bookings as sentences that can be spoken, in the call's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

_DAY = {"en": "EEEE, MMMM d", "he": "EEEE, d בMMMM"}
_TIME = {"en": "h:mm a", "he": "H:mm"}
_AT = {"en": "{day} at {time}", "he": "{day} בשעה {time}"}
_OR = {"en": " or ", "he": " או "}
_OFFERS = {"en": "I have {times}.", "he": "יש לי {times}."}
_BOOKED = {
    "en": "You are booked for {when}. Your appointment number is {number}.",
    "he": "התור נקבע ל{when}. מספר התור הוא {number}.",
}


def instant(starts_at: datetime, timezone: str, language: str) -> str:
    """For example "Sunday, November 29 at 9:30 AM", in the business's zone."""
    local = starts_at.astimezone(ZoneInfo(timezone))
    day = format_datetime(local, _DAY[language], locale=language)
    # Babel follows CLDR, which puts a narrow no-break space before AM; voices stumble over it.
    time = format_datetime(local, _TIME[language], locale=language).replace("\u202f", " ")
    return _AT[language].format(day=day, time=time)


def offers(items: Sequence[Mapping[str, str]], language: str) -> str:
    """One sentence with all the times."""
    return _OFFERS[language].format(times=either([item["say"] for item in items], language))


def either(choices: Sequence[str], language: str) -> str:
    """ "a; b or c"."""
    *first, last = choices
    return f"{'; '.join(first)}{_OR[language]}{last}" if first else last


def booked(starts_at: datetime, number: int, timezone: str, language: str) -> str:
    """The sentence that may only be said of a committed row; the number digit by digit."""
    digits = " ".join(str(number))
    return _BOOKED[language].format(when=instant(starts_at, timezone, language), number=digits)
