"""Messages that callers leave for the receptionist."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.messages import Message, NewMessage
from app.domain.pages import Page, PageRequest
from app.errors import InvalidInput, NotFound
from app.models import Message as MessageRow
from app.services import checks
from app.services.calendars import as_local, zone_of
from app.services.database import Database
from app.services.events import message_event
from app.services.rows import check_version, read_page
from app.services.scheduling import utc_now

log = structlog.get_logger(__name__)

LONGEST_BODY = 4000


class Messages:
    """What was left, and who has seen to it."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now

    def leave_message(self, new: NewMessage) -> Message:
        """Store a message and its event; when this returns, they are committed. Raises InvalidInput, NotFound."""
        row = _new_row(new, self._now())
        with self._db.tenant(new.business_id) as session:
            zone = zone_of(session, new.business_id)
            session.add(row)
            session.flush()
            message_event(
                session,
                new.business_id,
                row.id,
                call_id=row.call_id,
                caller_name=row.caller_name,
                caller_number=row.caller_number,
                body=row.body,
                now=row.created_at,
            )
            message = _message(row, zone)
        log.info("message left", business_id=new.business_id, message_id=message.id)
        return message

    def list_messages(
        self, business_id: int, request: PageRequest, *, handled: bool | None = None
    ) -> Page[Message]:
        """Messages, newest first; `handled`: only those that somebody has seen to, or only the others."""
        query = select(MessageRow).where(MessageRow.business_id == business_id)
        if handled is not None:
            query = query.where(MessageRow.handled_at.is_not(None) if handled else MessageRow.handled_at.is_(None))
        with self._db.reading(business_id) as session:
            zone = zone_of(session, business_id)
            return read_page(
                session,
                query,
                request,
                (MessageRow.created_at, MessageRow.id),
                lambda row: (row.created_at, row.id),
                lambda row: _message(row, zone),
                newest_first=True,
            )

    def get_message(self, business_id: int, message_id: int) -> Message:
        """One message. Raises NotFound."""
        with self._db.reading(business_id) as session:
            row = session.get(MessageRow, (business_id, message_id))
            if row is None:
                raise NotFound("no such message")
            return _message(row, zone_of(session, business_id))

    def set_handled(
        self,
        business_id: int,
        message_id: int,
        *,
        handled: bool,
        actor: str,
        expected_version: int | None = None,
    ) -> Message:
        """Somebody has seen to it, or it is open again. Who was first stays. Raises NotFound, StaleVersion."""
        with self._db.tenant(business_id) as session:
            row = session.get(MessageRow, (business_id, message_id), with_for_update={"key_share": True})
            if row is None:
                raise NotFound("no such message")
            check_version(row.version, expected_version)
            if handled != (row.handled_at is not None):
                row.handled_at = self._now() if handled else None
                row.handled_by = actor if handled else None
                row.version += 1
            return _message(row, zone_of(session, business_id))


def messages_of(session: Session, business_id: int, message_ids: list[int]) -> list[Message]:
    """These messages, oldest first."""
    zone = zone_of(session, business_id)
    rows = session.scalars(
        select(MessageRow)
        .where(MessageRow.business_id == business_id, MessageRow.id.in_(message_ids))
        .order_by(MessageRow.created_at, MessageRow.id)
    )
    return [_message(row, zone) for row in rows]


def _new_row(new: NewMessage, now: datetime) -> MessageRow:
    body = checks.prose("body", new.body, LONGEST_BODY).strip()
    if not body:
        raise InvalidInput("body", "must not be empty")
    number = new.caller_number
    return MessageRow(
        business_id=new.business_id,
        body=body,
        caller_name=checks.line("caller_name", new.caller_name, 200, shortest=0),
        caller_number=None if number is None else checks.phone_number("caller_number", number),
        call_id=new.call_id,
        created_at=now,
        version=1,
    )


def _message(row: MessageRow, zone: ZoneInfo) -> Message:
    return Message(
        id=row.id,
        body=row.body,
        caller_name=row.caller_name,
        caller_number=row.caller_number,
        call_id=row.call_id,
        created_at=as_local(row.created_at, zone),
        handled_at=row.handled_at and as_local(row.handled_at, zone),
        handled_by=row.handled_by,
        timezone=zone.key,
        version=row.version,
    )
