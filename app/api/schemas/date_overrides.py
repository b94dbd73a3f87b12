"""Dates with hours of their own, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import BodyFlag, day, identifier, line, remark
from app.api.schemas.windows import windows
from app.domain.calendar_settings import ImportOutcome


def name(example: str = "Company outing") -> ma.fields.String:
    """Why the hours are others; may be empty."""
    return ma.fields.String(required=True, metadata={"description": "Why", "example": example})


class DateOverrideSchema(ma.Schema):
    """The hours of one local date. Of the business, or of one resource, whose own wins."""

    id = identifier("The override", required=True)
    resource_id = identifier("The resource; null: the business", required=True, allow_none=True)
    day = day("The local date", required=True)
    windows = windows("Its hours instead of the weekday's; none: closed", required=True)
    name = name()
    imported = BodyFlag(
        required=True,
        metadata={"description": "Came with the holidays; the next import may replace it", "example": False},
    )


class DateOverridesSchema(ma.Schema):
    """What was set, by date."""

    items = ma.fields.List(
        ma.fields.Nested(DateOverrideSchema), required=True, metadata={"description": "One a date"}
    )


class NewDateOverrides(ma.Schema):
    """Hours for one date, or for each of up to 366."""

    first_day = day("The local date, or the first", required=True)
    last_day = day("The last of them; without it there is one", "2026-11-24")
    windows = windows("The hours instead of the weekday's; none: closed", required=True)
    name = remark("Why", "Company outing")
    resource_id = identifier("Only for this resource; null: for all", allow_none=True)


class DateOverrideFilter(ma.Schema):
    """Which date overrides to list."""

    first_day = day("Not before", data_key="from")
    last_day = day("Not after", "2026-11-24", data_key="to")
    resource_id = identifier("Those that hold for this resource: its own and the business's", in_query=True)


class HolidayWish(ma.Schema):
    """Which public holidays to import: those of the business's country."""

    first_day = day("Not before", "2027-01-01", required=True)
    last_day = day("Not after; at most three years", "2027-12-31", required=True)
    eve_windows = windows(
        "Israel: the hours of the days before; none: closed; null: the weekday's",
        [["09:00", "13:00"]],
        allow_none=True,
    )
    subdivision = line("Of a part of the country with holidays of its own", "BY", 50, allow_none=True)
    dry_run = BodyFlag(metadata={"description": "Only tell what would be done", "example": False})


class ImportedDaySchema(ma.Schema):
    """A holiday, or the eve of one."""

    day = day("The local date", "2027-04-22", required=True)
    name = name("Pesach")
    windows = windows("Its hours", [], required=True)
    outcome = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf([outcome.value for outcome in ImportOutcome]),
        metadata={"description": "What was done; kept: somebody has set this date by hand", "example": "added"},
    )


class HolidayImportSchema(ma.Schema):
    """What was done, by date."""

    country = ma.fields.String(required=True, metadata={"description": "Whose holidays", "example": "IL"})
    subdivision = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Which part's", "example": None}
    )
    dry_run = BodyFlag(required=True, metadata={"description": "Nothing was written", "example": False})
    days = ma.fields.List(
        ma.fields.Nested(ImportedDaySchema), required=True, metadata={"description": "Every holiday and eve"}
    )
