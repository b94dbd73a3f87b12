"""Deliveries as a business sees them: what was sent where, what came back, and once more, please."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.pages import Page, PageRequest
from app.domain.webhooks import Attempt, Delivery, DeliveryDetails, DeliveryState
from app.errors import InvalidState, NotFound
from app.models import Event, WebhookDelivery, WebhookEndpoint
from app.services.calendars import as_local, zone_of
from app.services.database import Database
from app.services.events import OUTBOX_CHANNEL
from app.services.rows import read_page
from app.services.scheduling import utc_now


class Deliveries:
    """The deliveries of each business, for as long as they are kept."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now

    def list_deliveries(
        self,
        business_id: int,
        page: PageRequest,
        endpoint_id: int | None = None,
        state: DeliveryState | None = None,
    ) -> Page[Delivery]:
        """Newest first; of one endpoint or in one state, if asked. An endpoint that is not there has none."""
        wanted = select(WebhookDelivery).where(WebhookDelivery.business_id == business_id)
        if endpoint_id is not None:
            wanted = wanted.where(WebhookDelivery.endpoint_id == endpoint_id)
        if state is not None:
            wanted = wanted.where(WebhookDelivery.state == state)
        with self._db.reading(business_id) as session:
            zone = zone_of(session, business_id)
            found: Page[WebhookDelivery] = read_page(
                session,
                wanted,
                page,
                (WebhookDelivery.created_at, WebhookDelivery.id),
                lambda row: (row.created_at, row.id),
                lambda row: row,
                newest_first=True,
            )
            events = _events_of(session, business_id, [row.event_id for row in found.items])
            return Page(tuple(_summary(row, events[row.event_id], zone) for row in found.items), found.next_after)

    def get_delivery(self, business_id: int, delivery_id: int) -> DeliveryDetails:
        """One delivery, with what is sent and every attempt. Raises NotFound."""
        with self._db.reading(business_id) as session:
            row = session.get(WebhookDelivery, (business_id, delivery_id))
            return _details(session, row, zone_of(session, business_id))

    def replay_delivery(self, business_id: int, delivery_id: int) -> DeliveryDetails:
        """Send it again, from the first attempt, with the same message id and body.

        Raises NotFound; InvalidState while it is on its way, or when its endpoint is disabled or deleted.
        """
        with self._db.tenant(business_id) as session:
            row = session.get(WebhookDelivery, (business_id, delivery_id), with_for_update=True)
            if row is None:
                raise NotFound("no such delivery")
            if row.state == DeliveryState.PENDING:
                raise InvalidState("the delivery is on its way")
            endpoint = session.get(WebhookEndpoint, (business_id, row.endpoint_id))
            if endpoint is None or endpoint.deleted_at is not None or not endpoint.enabled:
                raise InvalidState("the endpoint is disabled or deleted")
            row.state = DeliveryState.PENDING
            row.next_attempt_at = self._now()
            row.attempt_count = 0
            row.delivered_at = None
            session.execute(select(func.pg_notify(OUTBOX_CHANNEL, "")))
            return _details(session, row, zone_of(session, business_id))


def _events_of(session: Session, business_id: int, ids: list[int]) -> dict[int, Event]:
    found = session.scalars(select(Event).where(Event.business_id == business_id, Event.id.in_(ids)))
    return {event.id: event for event in found}


def _details(session: Session, row: WebhookDelivery | None, zone: ZoneInfo) -> DeliveryDetails:
    if row is None:
        raise NotFound("no such delivery")
    event = session.get_one(Event, (row.business_id, row.event_id))
    attempts = tuple(
        Attempt(
            as_local(datetime.fromisoformat(attempt["at"]), zone),
            attempt["status"],
            attempt["error"],
            attempt["duration_ms"],
        )
        for attempt in row.attempts
    )
    return DeliveryDetails(**asdict(_summary(row, event, zone)), attempts=attempts, payload=event.payload)


def _summary(row: WebhookDelivery, event: Event, zone: ZoneInfo) -> Delivery:
    return Delivery(
        id=row.id,
        endpoint_id=row.endpoint_id,
        message_id=event.message_id,
        type=event.type,
        state=DeliveryState(row.state),
        attempt_count=row.attempt_count,
        next_attempt_at=None if row.next_attempt_at is None else as_local(row.next_attempt_at, zone),
        delivered_at=None if row.delivered_at is None else as_local(row.delivered_at, zone),
        created_at=as_local(row.created_at, zone),
    )
