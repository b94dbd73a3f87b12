"""Calendar feeds: made and removed by the business, read by whoever knows the secret URL."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import gevent
import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.adapters import ical
from app.domain.feeds import CalendarFeed, CreatedFeed, FeedContents, FeedFile, NewFeed
from app.domain.pages import Page, PageRequest
from app.errors import InvalidState, NotFound
from app.models import CalendarFeed as FeedRow
from app.services import checks
from app.services.calendars import as_local, zone_of
from app.services.database import Database
from app.services.feed_contents import read_contents
from app.services.rows import read_page
from app.services.scheduling import utc_now

log = structlog.get_logger(__name__)

MOST_FEEDS = 100


class CalendarFeeds:
    """The feeds of every business."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now

    def create_feed(self, new: NewFeed) -> CreatedFeed:
        """Make a feed; its token is not stored and never told again.

        Raises InvalidInput, NotFound (no such business or resource), InvalidState (too many feeds).
        """
        token = secrets.token_urlsafe(32)
        row = FeedRow(
            business_id=new.business_id,
            resource_id=new.resource_id,
            name=checks.line("name", new.name, 200),
            token_sha256=_sha256(token),
            shows_names=new.shows_names,
            created_at=self._now(),
        )
        with self._db.tenant(new.business_id) as session:
            zone = zone_of(session, new.business_id)
            count = select(func.count()).select_from(FeedRow).where(FeedRow.business_id == new.business_id)
            if session.scalars(count).one() >= MOST_FEEDS:
                raise InvalidState(f"a business has at most {MOST_FEEDS} calendar feeds")
            session.add(row)
            session.flush()
            feed = CreatedFeed(**_values(row, zone), token=token)
        log.info("calendar feed created", business_id=new.business_id, feed_id=feed.id)
        return feed

    def list_feeds(self, business_id: int, request: PageRequest) -> Page[CalendarFeed]:
        """The feeds of a business, oldest first. Raises InvalidInput, NotFound."""
        with self._db.reading(business_id) as session:
            zone = zone_of(session, business_id)
            return read_page(
                session,
                select(FeedRow).where(FeedRow.business_id == business_id),
                request,
                (FeedRow.created_at, FeedRow.id),
                lambda row: (row.created_at, row.id),
                lambda row: CalendarFeed(**_values(row, zone)),
            )

    def delete_feed(self, business_id: int, feed_id: int) -> None:
        """From now on its URL leads nowhere. Raises NotFound."""
        with self._db.tenant(business_id) as session:
            gone = session.execute(
                delete(FeedRow)
                .where(FeedRow.business_id == business_id, FeedRow.id == feed_id)
                .returning(FeedRow.id)
            ).one_or_none()
            if gone is None:
                raise NotFound("no such calendar feed")
        log.info("calendar feed deleted", business_id=business_id, feed_id=feed_id)

    def feed_of(self, token: str, known_etags: Collection[str] = ()) -> FeedFile:
        """The file behind a token; without its body if the asker knows this version. Raises NotFound."""
        digest = _sha256(token)
        with self._db.system() as session:
            business_id = session.scalars(select(func.business_of_feed(digest))).one()
        if business_id is None:
            raise NotFound("no such calendar feed")
        with self._db.reading(business_id) as session:
            contents = self._contents(session, business_id, digest)
        etag = _etag(contents)
        changed_at = max((event.changed_at for event in contents.events), default=None)
        # Rendering takes far longer than reading, and a subscriber asks every few minutes. Other requests get
        # their turn in between.
        body = None if etag in known_etags else ical.render(contents, pause=lambda: gevent.sleep(0))
        return FeedFile(etag, changed_at, body)

    def _contents(self, session: Session, business_id: int, digest: bytes) -> FeedContents:
        feed = session.scalars(
            select(FeedRow).where(FeedRow.business_id == business_id, FeedRow.token_sha256 == digest)
        ).one_or_none()
        if feed is None:
            raise NotFound("no such calendar feed")
        return read_contents(session, feed, self._now())


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _etag(contents: FeedContents) -> str:
    """Of what the file says, so that it need not be rendered to be compared."""
    shown = [contents.name, contents.zone.key, contents.first_year, contents.last_year, ical.FORM]
    events = [
        (
            event.uid,
            event.sequence,
            event.starts_at.timestamp(),
            event.ends_at.timestamp(),
            event.changed_at.timestamp(),
            event.status,
            event.summary,
            event.location,
        )
        for event in contents.events
    ]
    return hashlib.sha256(repr((shown, events)).encode()).hexdigest()[:32]


def _values(row: FeedRow, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "resource_id": row.resource_id,
        "shows_names": row.shows_names,
        "created_at": as_local(row.created_at, zone),
        "timezone": zone.key,
    }
