"""Dates with other hours than their weekday's."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas.date_overrides import (
    DateOverrideFilter,
    DateOverrideSchema,
    DateOverridesSchema,
    HolidayImportSchema,
    HolidayWish,
    NewDateOverrides,
)
from app.domain import calendar_settings as domain
from app.domain.pages import Page

blueprint = section(
    "Date overrides", "Dates with other hours than their weekday's: closures, special hours, holidays."
)


@operation(
    blueprint,
    "GET",
    "/date-overrides",
    scope="date-overrides:read",
    summary="List date overrides",
    query=DateOverrideFilter,
    page_of=DateOverrideSchema,
)
def list_date_overrides(caller: Caller, query: dict[str, Any]) -> Page[domain.DateOverrideDetails]:
    """By date."""
    return services().date_overrides.list_overrides(caller.business_id, caller.page, **query)


@operation(
    blueprint,
    "POST",
    "/date-overrides",
    scope="date-overrides:write",
    summary="Set the hours of a date or a range of dates",
    description="What was set for these dates before is replaced.",
    body=NewDateOverrides,
    answer=DateOverridesSchema,
    problems=(404,),
)
def create_date_overrides(
    caller: Caller, body: dict[str, Any]
) -> dict[str, tuple[domain.DateOverrideDetails, ...]]:
    """Appointments stay."""
    wished = {"last_day": body["first_day"], **body}
    return {"items": services().date_overrides.set_overrides(caller.business_id, actor=caller.actor, **wished)}


@operation(
    blueprint,
    "DELETE",
    "/date-overrides/<id:date_override_id>",
    scope="date-overrides:write",
    summary="Let the weekday's hours hold on a date again",
    problems=(404,),
)
def delete_date_override(caller: Caller, date_override_id: int) -> None:
    """It is gone."""
    services().date_overrides.delete_override(caller.business_id, date_override_id, caller.actor)


@operation(
    blueprint,
    "POST",
    "/date-overrides/import-holidays",
    scope="date-overrides:write",
    summary="Close the business on its country's public holidays",
    description="Dates that somebody has set by hand are kept as they are. Doing it again changes nothing.",
    body=HolidayWish,
    answer=HolidayImportSchema,
    status=200,
)
def import_holidays(caller: Caller, body: dict[str, Any]) -> domain.HolidayImport:
    """With `dry_run` nothing is written."""
    wish = domain.HolidayWish(**body)
    return services().date_overrides.import_holidays(caller.business_id, wish, caller.actor)
