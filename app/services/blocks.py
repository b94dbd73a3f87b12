"""Busy time without a customer: holidays of a person, a room under repair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.domain.appointments import BLOCKING
from app.domain.calendar_settings import BlockDetails, NewBlock
from app.domain.pages import Page, PageRequest
from app.errors import InvalidInput, NotFound
from app.models import Appointment, Block
from app.services import checks
from app.services.busy_times import LONGEST_FOOTPRINT
from app.services.calendars import as_local, lock_calendar, zone_of
from app.services.database import Database
from app.services.resources import resource_row
from app.services.rows import read_page

log = structlog.get_logger(__name__)

LONGEST_BLOCK = timedelta(days=366)


class Blocks:
    """The blocks of every business. Instants in answers carry the business's offset."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._db = database
        self._now = now

    def create_block(
        self,
        business_id: int,
        starts_at: datetime,
        ends_at: datetime,
        actor: str,
        reason: str = "",
        resource_id: int | None = None,
    ) -> NewBlock:
        """Block `[starts_at, ends_at)`, at most 366 days, for one resource or for all, those to come included.

        Appointments in that time stay; the answer names the active ones. Raises InvalidInput, NotFound.
        """
        starts_at, ends_at = checks.instant("starts_at", starts_at), checks.instant("ends_at", ends_at)
        if ends_at <= starts_at:
            raise InvalidInput("ends_at", "must be after starts_at")
        if ends_at - starts_at > LONGEST_BLOCK:
            raise InvalidInput("ends_at", f"must be at most {LONGEST_BLOCK.days} days after starts_at")
        reason = checks.line("reason", reason, 200, shortest=0)
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            if resource_id is not None:
                resource_row(session, business_id, resource_id)
            row = Block(
                business_id=business_id,
                resource_id=resource_id,
                starts_at=starts_at,
                ends_at=ends_at,
                reason=reason,
                created_at=self._now(),
            )
            session.add(row)
            session.flush()
            details = _details(row, zone_of(session, business_id))
            overlapping = _overlapping(session, row, self._now())
        log.info("block created", business_id=business_id, block_id=details.id, actor=actor)
        values = {item.name: getattr(details, item.name) for item in fields(details)}
        return NewBlock(**values, overlapping_appointments=overlapping)

    def list_blocks(
        self,
        business_id: int,
        page: PageRequest,
        since: datetime | None = None,
        until: datetime | None = None,
        resource_id: int | None = None,
    ) -> Page[BlockDetails]:
        """Blocks that touch `[since, until)`, by their beginning. With a resource: its own and those of all."""
        query = select(Block).where(Block.business_id == business_id)
        if since is not None:
            query = query.where(Block.ends_at > checks.instant("from", since))
        if until is not None:
            query = query.where(Block.starts_at < checks.instant("to", until))
        if resource_id is not None:
            own = Block.resource_id == checks.row_id("resource_id", resource_id)
            query = query.where(or_(Block.resource_id.is_(None), own))
        with self._db.reading(business_id) as session:
            zone = zone_of(session, business_id)
            return read_page(
                session,
                query,
                page,
                (Block.starts_at, Block.id),
                lambda row: (row.starts_at, row.id),
                lambda row: _details(row, zone),
            )

    def get_block(self, business_id: int, block_id: int) -> BlockDetails:
        """One block; raises NotFound."""
        with self._db.reading(business_id) as session:
            return _details(_row(session, business_id, block_id), zone_of(session, business_id))

    def delete_block(self, business_id: int, block_id: int, actor: str) -> None:
        """Open its time again. Raises NotFound."""
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            session.delete(_row(session, business_id, block_id))
        log.info("block deleted", business_id=business_id, block_id=block_id, actor=actor)


def _row(session: Session, business_id: int, block_id: int) -> Block:
    row = session.get(Block, (business_id, checks.row_id("block_id", block_id)))
    if row is None:
        raise NotFound("no such block")
    return row


def _overlapping(session: Session, block: Block, now: datetime) -> tuple[int, ...]:
    """The active appointments in a block's time, without their buffers, in order of time."""
    query = select(Appointment.id).where(
        Appointment.business_id == block.business_id,
        Appointment.starts_at > block.starts_at - LONGEST_FOOTPRINT,
        Appointment.starts_at < block.ends_at,
        Appointment.ends_at > block.starts_at,
        Appointment.status.in_(BLOCKING),
        or_(Appointment.expires_at.is_(None), Appointment.expires_at > now),
    )
    if block.resource_id is not None:
        query = query.where(Appointment.resource_id == block.resource_id)
    return tuple(session.scalars(query.order_by(Appointment.starts_at, Appointment.id)))


def _details(row: Block, zone: ZoneInfo) -> BlockDetails:
    return BlockDetails(
        id=row.id,
        resource_id=row.resource_id,
        starts_at=as_local(row.starts_at, zone),
        ends_at=as_local(row.ends_at, zone),
        reason=row.reason,
        created_at=as_local(row.created_at, zone),
    )
