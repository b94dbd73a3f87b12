"""What the services let in, whichever door it came through. Each raises `InvalidInput` naming the field."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from datetime import UTC, date, datetime

import phonenumbers

from app.errors import InvalidInput

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# As people write numbers: digits, with a plus before and marks between them.
_DIALLED = re.compile(r"\+?[0-9 ()./-]{3,32}")
_DIGITS = re.compile(r"[0-9]{3,15}")
_ID = re.compile(r"[!-~]{1,128}")
# Dates outside leave what arithmetic with `datetime` can hold.
_YEARS = range(2000, 9000)


def line(field: str, value: str, longest: int, shortest: int = 1) -> str:
    """One line of text, trimmed."""
    trimmed = value.strip()
    if not shortest <= len(trimmed) <= longest:
        raise InvalidInput(field, f"must have {shortest} to {longest} characters")
    if not _storable(trimmed, ()):
        raise InvalidInput(field, "must not hold control characters")
    return trimmed


def prose(field: str, value: str, longest: int) -> str:
    """Text that may be empty and may have several lines."""
    if len(value) > longest:
        raise InvalidInput(field, f"must have at most {longest} characters")
    if not _storable(value, ("\n", "\r", "\t")):
        raise InvalidInput(field, "must not hold control characters")
    return value


def phone_number(field: str, value: str) -> str:
    """A telephone number in E.164."""
    if not _E164.fullmatch(value):
        raise InvalidInput(field, "must be in E.164, for example +972312345678")
    return value


def local_phone_number(field: str, value: str, country: str) -> str:
    """A telephone number in E.164, or as it is dialled in `country` (ISO 3166); as E.164."""
    trimmed = value.strip(" ")
    try:
        if not _DIALLED.fullmatch(trimmed):
            raise InvalidInput(field, "must be a telephone number")
        number = phonenumbers.parse(trimmed, country)
    except phonenumbers.NumberParseException:
        raise InvalidInput(field, "must be a telephone number") from None
    # By its length, not by the ranges given out today: those change more often than libraries.
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise InvalidInput(field, "is no number that can be dialled from anywhere")
    return phone_number(field, phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def phone_digits(field: str, value: str) -> str:
    """The last digits of a number, to search by."""
    if not _DIGITS.fullmatch(value):
        raise InvalidInput(field, "must have 3 to 15 digits")
    return value


def identifier(field: str, value: str) -> str:
    """An id that another program made up: visible ASCII."""
    if not _ID.fullmatch(value):
        raise InvalidInput(field, "must have 1 to 128 visible ASCII characters")
    return value


def instant(field: str, value: datetime) -> datetime:
    """An aware datetime, as UTC."""
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidInput(field, "must have a UTC offset")
    if value.year not in _YEARS:
        raise InvalidInput(field, f"must be in the years {_YEARS[0]} to {_YEARS[-1]}")
    return value.astimezone(UTC)


def calendar_day(field: str, value: date) -> date:
    """A date that arithmetic can be done with."""
    if value.year not in _YEARS:
        raise InvalidInput(field, f"must be in the years {_YEARS[0]} to {_YEARS[-1]}")
    return value


def _storable(value: str, allowed: tuple[str, ...]) -> bool:
    """No control characters (Cc) and no surrogates (Cs), which PostgreSQL's text can't hold or nobody can read."""
    return all(mark in allowed or unicodedata.category(mark) not in ("Cc", "Cs") for mark in value)


def whole_number(field: str, value: int, least: int, most: int) -> int:
    """A number that is whole and in its bounds; JSON's true and false are ints to Python."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInput(field, "must be a whole number")
    if not least <= value <= most:
        raise InvalidInput(field, f"must be between {least} and {most}")
    return value


def switch(field: str, value: bool) -> bool:  # noqa: FBT001 - the value is what is checked
    """True or false and nothing that is taken for it."""
    if not isinstance(value, bool):
        raise InvalidInput(field, "must be true or false")
    return value


def choice(field: str, value: str, allowed: Collection[str]) -> str:
    """One of a few words."""
    if value not in allowed:
        raise InvalidInput(field, f"must be one of {', '.join(allowed)}")
    return value


def day_range(first: date, last: date, most_days: int) -> None:
    """Two dates in order, named `first_day` and `last_day`, that span at most so many days."""
    calendar_day("first_day", first)
    calendar_day("last_day", last)
    if last < first:
        raise InvalidInput("last_day", "must not be before first_day")
    if (last - first).days >= most_days:
        raise InvalidInput("last_day", f"must be at most {most_days - 1} days after first_day")


def row_id(field: str, value: int) -> int:
    """An id of one of our rows, or what could be one."""
    return whole_number(field, value, 1, 2**63 - 1)


def row_id_or_none(field: str, value: int | None) -> int | None:
    """The same, where none need be given."""
    return None if value is None else row_id(field, value)
