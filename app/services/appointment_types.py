"""Kinds of appointments, each with its own length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.domain.calendar_settings import MOST_TYPE_RESOURCES, AppointmentTypeDetails
from app.domain.pages import Page, PageRequest
from app.domain.slot_policy import DAY_MIN
from app.errors import InvalidInput, NotFound
from app.models import AppointmentType, AppointmentTypeResource
from app.services import checks
from app.services.calendars import as_local, lock_calendar, zone_of
from app.services.database import Database
from app.services.footprints import some_type_is_too_long
from app.services.resources import resource_row
from app.services.rows import check_version, read_page

log = structlog.get_logger(__name__)


class AppointmentTypes:
    """The appointment types of every business. One that is deactivated can't be booked any more, and stays."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create_type(self, business_id: int, values: Mapping[str, Any], actor: str) -> AppointmentTypeDetails:
        """Make a type; `values` are fields of AppointmentTypeDetails, `name` and `duration_min` are required.

        Raises InvalidInput, also when it would exceed 24 hours with its buffers, and NotFound for a resource.
        """
        for key in ("name", "duration_min"):
            if key not in values:
                raise InvalidInput(key, "is required")
        checked = _checked(values)
        resource_ids = checked.pop("resource_ids", ())
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            row = AppointmentType(business_id=business_id, **checked)
            session.add(row)
            session.flush()
            details = _finish(session, row, resource_ids)
        log.info("appointment type created", business_id=business_id, type_id=details.id, actor=actor)
        return details

    def list_types(
        self, business_id: int, page: PageRequest, *, active: bool | None = None
    ) -> Page[AppointmentTypeDetails]:
        """All, or only those that are (not) active; the oldest first."""
        query = select(AppointmentType).where(AppointmentType.business_id == business_id)
        if active is not None:
            query = query.where(AppointmentType.active.is_(active))
        with self._db.reading(business_id) as session:
            zone, taken_by = zone_of(session, business_id), _resources_of_types(session, business_id)
            return read_page(
                session,
                query,
                page,
                (AppointmentType.created_at, AppointmentType.id),
                lambda row: (row.created_at, row.id),
                lambda row: _details(row, taken_by.get(row.id, ()), zone),
            )

    def get_type(self, business_id: int, type_id: int) -> AppointmentTypeDetails:
        """One type; raises NotFound."""
        with self._db.reading(business_id) as session:
            return _read_back(session, _row(session, business_id, type_id))

    def update_type(
        self, business_id: int, type_id: int, changes: Mapping[str, Any], expected_version: int | None, actor: str
    ) -> AppointmentTypeDetails:
        """Change any of the fields that `create_type` takes; `resource_ids` replaces them all.

        Appointments that were booked keep their length. Raises InvalidInput, StaleVersion, NotFound.
        """
        checked = _checked(changes)
        resource_ids = checked.pop("resource_ids", None)
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            row = _row(session, business_id, type_id)
            check_version(row.version, expected_version)
            for name, value in checked.items():
                setattr(row, name, value)
            row.version += 1
            session.flush()
            details = _finish(session, row, resource_ids)
        log.info("appointment type changed", business_id=business_id, type_id=type_id, actor=actor)
        return details


def _finish(session: Session, row: AppointmentType, resource_ids: Sequence[int] | None) -> AppointmentTypeDetails:
    """Set which resources take the type (None: as before), and see whether it fits into a day."""
    if resource_ids is not None:
        own = AppointmentTypeResource.appointment_type_id == row.id
        session.execute(
            delete(AppointmentTypeResource).where(AppointmentTypeResource.business_id == row.business_id, own)
        )
        for resource_id in resource_ids:
            resource_row(session, row.business_id, resource_id)
            session.add(
                AppointmentTypeResource(
                    business_id=row.business_id, appointment_type_id=row.id, resource_id=resource_id
                )
            )
        session.flush()
    if some_type_is_too_long(session, row.business_id):
        raise InvalidInput("duration_min", f"must not exceed {DAY_MIN} together with the buffers")
    return _read_back(session, row)


def _row(session: Session, business_id: int, type_id: int) -> AppointmentType:
    row = session.get(AppointmentType, (business_id, checks.row_id("appointment_type_id", type_id)))
    if row is None:
        raise NotFound("no such appointment type")
    return row


def _resources_of_types(session: Session, business_id: int) -> dict[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}
    rows = session.execute(
        select(AppointmentTypeResource.appointment_type_id, AppointmentTypeResource.resource_id)
        .where(AppointmentTypeResource.business_id == business_id)
        .order_by(AppointmentTypeResource.resource_id)
    )
    for type_id, resource_id in rows:
        found[type_id] = (*found.get(type_id, ()), resource_id)
    return found


def _read_back(session: Session, row: AppointmentType) -> AppointmentTypeDetails:
    taken_by = _resources_of_types(session, row.business_id)
    return _details(row, taken_by.get(row.id, ()), zone_of(session, row.business_id))


def _details(row: AppointmentType, resource_ids: tuple[int, ...], zone: ZoneInfo) -> AppointmentTypeDetails:
    return AppointmentTypeDetails(
        id=row.id,
        name=row.name,
        duration_min=row.duration_min,
        buffer_before_min=row.buffer_before_min,
        buffer_after_min=row.buffer_after_min,
        resource_ids=resource_ids,
        active=row.active,
        version=row.version,
        created_at=as_local(row.created_at, zone),
    )


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    for key in values:
        if key not in _CHECKS:
            raise InvalidInput(key, "is not something of an appointment type that can be set")
    return {key: _CHECKS[key](key, value) for key, value in values.items()}


def _buffer(field: str, value: int | None) -> int | None:
    return None if value is None else checks.whole_number(field, value, 0, DAY_MIN)


def _resource_ids(field: str, value: Sequence[int]) -> list[int]:
    if len(value) > MOST_TYPE_RESOURCES:
        raise InvalidInput(field, f"must be at most {MOST_TYPE_RESOURCES}")
    return sorted({checks.row_id(field, resource_id) for resource_id in value})


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "name": lambda field, value: checks.line(field, value, 200),
    "duration_min": lambda field, value: checks.whole_number(field, value, 1, DAY_MIN),
    "buffer_before_min": _buffer,
    "buffer_after_min": _buffer,
    "resource_ids": _resource_ids,
    "active": checks.switch,
}
