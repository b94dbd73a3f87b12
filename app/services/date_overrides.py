"""Dates with other hours than their weekday's: closures, special hours, holidays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import structlog
from sqlalchemy import DateTime, Select, cast, or_, select
from sqlalchemy.orm import Session

from app.domain.calendar_settings import DateOverrideDetails, HolidayImport, HolidayWish, WindowTexts
from app.domain.pages import Page, PageRequest
from app.domain.slot_policy import parse_override
from app.errors import NotFound
from app.models import DateOverride
from app.services import checks
from app.services.calendars import lock_calendar, zone_of
from app.services.database import Database
from app.services.holiday_import import import_holidays
from app.services.resources import resource_row
from app.services.rows import read_page

log = structlog.get_logger(__name__)

MOST_DAYS = 366

Windows = Sequence[Sequence[str]]
"""Open hours as they are written: [["09:00", "12:00"]]; [] is closed."""


class DateOverrides:
    """The date overrides of every business. A resource's own wins over the business's."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def list_overrides(
        self,
        business_id: int,
        page: PageRequest,
        first_day: date | None = None,
        last_day: date | None = None,
        resource_id: int | None = None,
    ) -> Page[DateOverrideDetails]:
        """Overrides of these dates, by date. With a resource: its own and the business's."""
        query = select(DateOverride).where(DateOverride.business_id == business_id)
        if first_day is not None:
            query = query.where(DateOverride.day >= first_day)
        if last_day is not None:
            query = query.where(DateOverride.day <= last_day)
        if resource_id is not None:
            own = DateOverride.resource_id == checks.row_id("resource_id", resource_id)
            query = query.where(or_(DateOverride.resource_id.is_(None), own))
        # The session's time zone is UTC.
        order = (cast(DateOverride.day, DateTime(timezone=True)), DateOverride.id)
        with self._db.reading(business_id) as session:
            zone_of(session, business_id)
            return read_page(
                session,
                query,
                page,
                order,
                lambda row: (datetime.combine(row.day, time(), UTC), row.id),
                _details,
            )

    def set_overrides(
        self,
        business_id: int,
        first_day: date,
        last_day: date,
        windows: Windows,
        actor: str,
        name: str = "",
        resource_id: int | None = None,
    ) -> tuple[DateOverrideDetails, ...]:
        """Replace the hours of each of these local dates, at most 366, for all resources or for one.

        Raises InvalidInput, PolicyError (naming the window), NotFound.
        """
        checks.day_range(first_day, last_day, MOST_DAYS)
        days = [first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1)]
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            rows = write_overrides(session, business_id, days, windows, resource_id, name)
            details = tuple(map(_details, rows))
        log.info("date overrides set", business_id=business_id, count=len(details), actor=actor)
        return details

    def delete_override(self, business_id: int, override_id: int, actor: str) -> None:
        """Let the weekday's hours hold on its date again. Raises NotFound."""
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            row = session.get(DateOverride, (business_id, checks.row_id("date_override_id", override_id)))
            if row is None:
                raise NotFound("no such date override")
            session.delete(row)
        log.info("date override deleted", business_id=business_id, date_override_id=override_id, actor=actor)

    def import_holidays(self, business_id: int, wish: HolidayWish, actor: str) -> HolidayImport:
        """Close the business on the public holidays of its country. Dates set by hand are left as they are.

        Raises InvalidInput, PolicyError, NotFound.
        """
        if wish.dry_run:
            with self._db.reading(business_id) as session:
                return import_holidays(session, business_id, wish)
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            answer = import_holidays(session, business_id, wish)
        log.info("holidays imported", business_id=business_id, country=answer.country, actor=actor)
        return answer


def write_overrides(
    session: Session,
    business_id: int,
    days: Sequence[date],
    windows: Windows,
    resource_id: int | None,
    name: str = "",
) -> list[DateOverride]:
    """Set dates by hand, given in order. The caller holds the calendar's lock.

    Raises PolicyError, InvalidInput, NotFound.
    """
    stored = [parse_override(day, windows) for day in days]
    name = checks.line("name", name, 200, shortest=0)
    if resource_id is not None:
        resource_row(session, business_id, resource_id)
    present = {row.day: row for row in session.scalars(_of_dates(business_id, days[0], days[-1], resource_id))}
    rows = []
    for day, hours in zip(days, stored, strict=True):
        row = present.get(day) or DateOverride(business_id=business_id, resource_id=resource_id, day=day)
        row.windows, row.name, row.imported = hours, name, False
        session.add(row)
        rows.append(row)
    session.flush()
    return rows


def remove_override(session: Session, business_id: int, day: date, resource_id: int | None) -> None:
    """Take one date's override away, if there is one. The caller holds the calendar's lock."""
    for row in session.scalars(_of_dates(business_id, day, day, resource_id)):
        session.delete(row)


def check_overrides(session: Session, business_id: int) -> None:
    """Raise PolicyError if a stored override breaks a rule."""
    rows = session.execute(
        select(DateOverride.day, DateOverride.windows).where(DateOverride.business_id == business_id)
    )
    for day, windows in rows:
        parse_override(day, windows)


def _of_dates(business_id: int, first_day: date, last_day: date, resource_id: int | None) -> Select[DateOverride]:
    return select(DateOverride).where(
        DateOverride.business_id == business_id,
        DateOverride.day >= first_day,
        DateOverride.day <= last_day,
        DateOverride.resource_id.is_not_distinct_from(resource_id),
    )


def _details(row: DateOverride) -> DateOverrideDetails:
    windows: WindowTexts = tuple((opens, closes) for opens, closes in row.windows)
    return DateOverrideDetails(
        id=row.id, resource_id=row.resource_id, day=row.day, windows=windows, name=row.name, imported=row.imported
    )
