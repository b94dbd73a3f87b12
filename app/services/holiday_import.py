"""From a country's public holidays to date overrides of a business."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.adapters.public_holidays import EVES_OF, eves, public_holidays
from app.domain.calendar_settings import HolidayImport, HolidayWish, ImportedDay, ImportOutcome
from app.domain.slot_policy import WEEKDAYS, parse_windows
from app.errors import InvalidInput, NotFound
from app.models import Business, DateOverride, SlotPolicyRow
from app.services import checks

MOST_DAYS = 3 * 366


def import_holidays(session: Session, business_id: int, wish: HolidayWish) -> HolidayImport:
    """Write the overrides, but not for `dry_run`. The caller holds the calendar's lock if they are written."""
    checks.day_range(wish.first_day, wish.last_day, MOST_DAYS)
    business = session.get(Business, business_id)
    if business is None:
        raise NotFound("no such business")
    present = {
        row.day: row
        for row in session.scalars(
            select(DateOverride).where(
                DateOverride.business_id == business_id,
                DateOverride.resource_id.is_(None),
                DateOverride.day >= wish.first_day,
                DateOverride.day <= wish.last_day,
            )
        )
    }
    days = []
    for day, name, windows in _wanted(session, business, wish):
        row = present.get(day)
        outcome = _outcome(row, name, windows)
        days.append(ImportedDay(day, name, tuple((opens, closes) for opens, closes in windows), outcome))
        if wish.dry_run or outcome in (ImportOutcome.UNCHANGED, ImportOutcome.KEPT):
            continue
        if row is None:
            row = DateOverride(business_id=business_id, day=day)
            session.add(row)
        row.windows, row.name, row.imported = windows, name, True
    session.flush()
    return HolidayImport(business.country, wish.subdivision, wish.dry_run, tuple(days))


def _wanted(
    session: Session, business: Business, wish: HolidayWish
) -> Iterator[tuple[date, str, list[list[str]]]]:
    """Each date with its name and hours, in order. One day more is asked for: its eve is in the range."""
    last = wish.last_day + timedelta(days=1)
    closed = public_holidays(business.country, wish.subdivision, wish.first_day, last, business.language)
    found: dict[date, tuple[str, list[list[str]]]] = {day: (name, []) for day, name in closed.items()}
    if wish.eve_windows is not None:
        if business.country not in EVES_OF:
            raise InvalidInput("eve_windows", f"is for businesses in {', '.join(EVES_OF)}")
        windows = parse_windows("eve_windows", wish.eve_windows)
        open_weekdays = _open_weekdays(session, business.id)
        for eve, name in eves(closed, business.language):
            if eve.weekday() in open_weekdays:
                found[eve] = name, windows
    for day in sorted(found):
        if wish.first_day <= day <= wish.last_day:
            yield day, *found[day]


def _open_weekdays(session: Session, business_id: int) -> set[int]:
    """The weekdays that the business's own policy opens, Monday 0; all where it has none."""
    policy = session.scalars(
        select(SlotPolicyRow.policy).where(
            SlotPolicyRow.business_id == business_id, SlotPolicyRow.resource_id.is_(None)
        )
    ).one_or_none()
    if policy is None:
        return set(range(7))
    return {number for number, weekday in enumerate(WEEKDAYS) if policy["weekly_hours"].get(weekday)}


def _outcome(row: DateOverride | None, name: str, windows: list[list[str]]) -> ImportOutcome:
    if row is None:
        return ImportOutcome.ADDED
    if not row.imported:
        return ImportOutcome.KEPT
    return ImportOutcome.UNCHANGED if (row.windows, row.name) == (windows, name) else ImportOutcome.UPDATED
