"""Who and what can be booked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.domain.appointments import BLOCKING
from app.domain.calendar_settings import ChangedResource, ResourceDetails
from app.domain.pages import Page, PageRequest
from app.errors import InvalidInput, NotFound
from app.models import Appointment, Resource
from app.services import checks
from app.services.calendars import as_local, lock_calendar, zone_of
from app.services.database import Database
from app.services.rows import check_version, read_page

log = structlog.get_logger(__name__)


class Resources:
    """The resources of every business. They are never deleted: their appointments refer to them."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._db = database
        self._now = now

    def create_resource(self, business_id: int, name: str, actor: str) -> ResourceDetails:
        """Add somebody or something that can be booked from now on. Raises InvalidInput."""
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            details = _details(insert_resource(session, business_id, name), zone_of(session, business_id))
        log.info("resource created", business_id=business_id, resource_id=details.id, actor=actor)
        return details

    def list_resources(
        self, business_id: int, page: PageRequest, *, active: bool | None = None
    ) -> Page[ResourceDetails]:
        """All, or only those that are (not) active; the oldest first."""
        query = select(Resource).where(Resource.business_id == business_id)
        if active is not None:
            query = query.where(Resource.active.is_(active))
        with self._db.reading(business_id) as session:
            zone = zone_of(session, business_id)
            return read_page(
                session,
                query,
                page,
                (Resource.created_at, Resource.id),
                lambda row: (row.created_at, row.id),
                lambda row: _details(row, zone),
            )

    def get_resource(self, business_id: int, resource_id: int) -> ResourceDetails:
        """One resource; raises NotFound."""
        with self._db.reading(business_id) as session:
            return _details(resource_row(session, business_id, resource_id), zone_of(session, business_id))

    def update_resource(
        self,
        business_id: int,
        resource_id: int,
        changes: Mapping[str, Any],
        expected_version: int | None,
        actor: str,
    ) -> ChangedResource:
        """Change `name` or `active`. Appointments of a resource that takes no more new ones stay.

        Raises InvalidInput, StaleVersion, NotFound.
        """
        for key in changes:
            if key not in ("name", "active"):
                raise InvalidInput(key, "is not something of a resource that can be changed")
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            row = resource_row(session, business_id, resource_id)
            check_version(row.version, expected_version)
            if "name" in changes:
                row.name = checks.line("name", changes["name"], 200)
            if "active" in changes:
                row.active = checks.switch("active", changes["active"])
            row.version += 1
            session.flush()
            details = _details(row, zone_of(session, business_id))
            waiting = _count_future(session, business_id, resource_id, self._now())
        log.info("resource changed", business_id=business_id, resource_id=resource_id, actor=actor)
        values = {item.name: getattr(details, item.name) for item in fields(details)}
        return ChangedResource(**values, future_appointments=waiting)


def insert_resource(session: Session, business_id: int, name: str) -> Resource:
    """A new active resource. The caller holds the calendar's lock."""
    row = Resource(business_id=business_id, name=checks.line("name", name, 200))
    session.add(row)
    session.flush()
    return row


def resource_row(session: Session, business_id: int, resource_id: int) -> Resource:
    """The row of a resource, active or not; raises NotFound."""
    row = session.get(Resource, (business_id, checks.row_id("resource_id", resource_id)))
    if row is None:
        raise NotFound("no such resource")
    return row


def _count_future(session: Session, business_id: int, resource_id: int, now: datetime) -> int:
    return session.scalars(
        select(func.count()).where(
            Appointment.business_id == business_id,
            Appointment.starts_at >= now,
            Appointment.resource_id == resource_id,
            Appointment.status.in_(BLOCKING),
            or_(Appointment.expires_at.is_(None), Appointment.expires_at > now),
        )
    ).one()


def _details(row: Resource, zone: ZoneInfo) -> ResourceDetails:
    return ResourceDetails(
        id=row.id, name=row.name, active=row.active, version=row.version, created_at=as_local(row.created_at, zone)
    )
