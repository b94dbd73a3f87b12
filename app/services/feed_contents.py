"""What stands in a calendar feed: appointments and blocks around today."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.domain.appointments import Status
from app.domain.feeds import FeedContents, FeedEvent
from app.models import Appointment, Block, Business, CalendarFeed, Resource

DAYS_BACK = 60
DAYS_AHEAD = 400

# A hold is nobody's appointment yet, and may never be one; those that expired or were released never were.
_SHOWN: Mapping[str, str] = {
    Status.PENDING: "TENTATIVE",
    Status.CONFIRMED: "CONFIRMED",
    Status.COMPLETED: "CONFIRMED",
    Status.NO_SHOW: "CONFIRMED",
    Status.CANCELLED: "CANCELLED",
}
_WORDS = {"en": ("Appointment", "Busy"), "he": ("תור", "תפוס")}
_UIDS = uuid.UUID("9d1f5b1e-3c55-5f0c-8a39-6f6d6f656431")


@dataclass(frozen=True)
class _View:
    """One reading of a feed. `names`: of resources, by id, where they are shown."""

    session: Session
    feed: CalendarFeed
    business: Business
    begins_at: datetime
    ends_at: datetime
    names: Mapping[int, str]

    def uid(self, kind: str, row_id: int) -> str:
        """The same in every feed of the business, and no other installation's."""
        born = self.business.created_at.astimezone(UTC).isoformat()
        return str(uuid.uuid5(_UIDS, f"{self.business.id} {born} {kind} {row_id}"))

    def location(self, resource_id: int | None) -> str:
        return self.names.get(resource_id, "") if resource_id is not None else ""


def read_contents(session: Session, feed: CalendarFeed, now: datetime) -> FeedContents:
    """The feed's contents now. The window moves at the business's midnight, so that most readings are alike."""
    business = session.scalars(select(Business).where(Business.id == feed.business_id)).one()
    zone = ZoneInfo(business.timezone)
    today = now.astimezone(zone).date()
    first, last = today - timedelta(days=DAYS_BACK), today + timedelta(days=DAYS_AHEAD)
    view = _View(
        session=session,
        feed=feed,
        business=business,
        begins_at=_midnight(zone, first),
        ends_at=_midnight(zone, last + timedelta(days=1)),
        names=_resource_names(session, feed) if feed.shows_names else {},
    )
    events = sorted([*_appointments(view), *_blocks(view)], key=lambda event: (event.starts_at, event.uid))
    return FeedContents(feed.name, zone, first.year, last.year + 1, tuple(events))


def _appointments(view: _View) -> Iterator[FeedEvent]:
    query = select(
        Appointment.id,
        Appointment.number,
        Appointment.version,
        Appointment.starts_at,
        Appointment.ends_at,
        Appointment.updated_at,
        Appointment.status,
        Appointment.customer_name,
        Appointment.resource_id,
    ).where(
        Appointment.business_id == view.feed.business_id,
        Appointment.starts_at >= view.begins_at,
        Appointment.starts_at < view.ends_at,
        Appointment.status.in_(_SHOWN),
        Appointment.customer_name != "",
        ~Appointment.is_test,
    )
    if view.feed.resource_id is not None:
        query = query.where(Appointment.resource_id == view.feed.resource_id)
    word = _WORDS.get(view.business.language, _WORDS["en"])[0]
    for row in view.session.execute(query):
        summary = f"{word} {row.number}"
        yield FeedEvent(
            uid=view.uid("appointment", row.id),
            sequence=row.version - 1,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            changed_at=row.updated_at,
            status=_SHOWN[row.status],
            summary=f"{summary}: {row.customer_name}" if view.feed.shows_names else summary,
            location=view.location(row.resource_id),
        )


def _blocks(view: _View) -> Iterator[FeedEvent]:
    query = select(Block).where(
        Block.business_id == view.feed.business_id,
        Block.ends_at > view.begins_at,
        Block.starts_at < view.ends_at,
    )
    if view.feed.resource_id is not None:
        query = query.where(or_(Block.resource_id.is_(None), Block.resource_id == view.feed.resource_id))
    busy = _WORDS.get(view.business.language, _WORDS["en"])[1]
    for row in view.session.scalars(query):
        yield FeedEvent(
            uid=view.uid("block", row.id),
            sequence=0,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            changed_at=row.created_at,
            status=None,
            summary=(row.reason if view.feed.shows_names else "") or busy,
            location=view.location(row.resource_id),
        )


def _resource_names(session: Session, feed: CalendarFeed) -> dict[int, str]:
    rows = session.scalars(select(Resource).where(Resource.business_id == feed.business_id))
    return {row.id: row.name for row in rows}


def _midnight(zone: ZoneInfo, day: date) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
