"""The sender's side of deliveries: what is due, whose turn it is, what came of it. No transaction spans a send.

A claim moves `next_attempt_at` to the end of a lease. A sender that dies leaves a delivery that is due again
when its lease ends; nothing is lost, and the receiver may see the same message id twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.webhooks import (
    GONE,
    Answer,
    ClaimedDelivery,
    DeliveryState,
    DueDelivery,
    next_attempt_at,
)
from app.models import Event, WebhookDelivery, WebhookEndpoint
from app.services.database import Database
from app.services.scheduling import utc_now
from app.services.webhooks import drop_pending

log = structlog.get_logger(__name__)

MOST_ATTEMPTS_KEPT = 50
"""Of one delivery, however often it is replayed."""


class Outbox:
    """What the sender process does to the database."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now

    def list_due(self, horizon: timedelta, most: int, busy: Sequence[int] = ()) -> list[DueDelivery]:
        """What is due, or will be within the horizon, of every business: the longest due first.

        `busy`: endpoints whose deliveries are left out.
        """
        due = func.due_deliveries(self._now() + horizon, most, list(busy)).table_valued(
            "business_id", "delivery_id", "endpoint_id", "next_attempt_at"
        )
        with self._db.system() as session:
            rows = session.execute(select(due).order_by(due.c.next_attempt_at)).all()
        return [DueDelivery(*row) for row in rows]

    def claim(self, business_id: int, delivery_id: int, lease_s: float) -> ClaimedDelivery | None:
        """Take a delivery for `lease_s`, which must outlast the attempt. None: another sender has it.

        None too when nothing is to be sent any more; a disabled or deleted endpoint's is dropped.
        """
        now = self._now()
        with self._db.tenant(business_id) as session:
            row = _locked_if_free(session, business_id, delivery_id, now)
            if row is None:
                return None
            endpoint = session.get_one(WebhookEndpoint, (business_id, row.endpoint_id))
            if not endpoint.enabled or endpoint.deleted_at is not None:
                row.state, row.next_attempt_at = DeliveryState.DROPPED, None
                return None
            row.next_attempt_at = now + timedelta(seconds=lease_s)
            event = session.get_one(Event, (business_id, row.event_id))
            return ClaimedDelivery(
                business_id=business_id,
                delivery_id=row.id,
                leased_until=row.next_attempt_at,
                message_id=event.message_id,
                url=endpoint.url,
                secrets=_secrets_of(endpoint, now),
                body=_body_of(event.payload),
            )

    def record(
        self, claimed: ClaimedDelivery, answer: Answer, began_at: datetime, duration_ms: int, jitter: float
    ) -> None:
        """Keep what an attempt met, and when the next one is. A success counts even when the lease is over.

        A failure that comes after its lease is written down and decides nothing: another sender has taken over.
        """
        with self._db.tenant(claimed.business_id) as session:
            if answer.status == GONE:
                _disable(session, claimed)
            row = session.get(WebhookDelivery, (claimed.business_id, claimed.delivery_id), with_for_update=True)
            if row is None:
                return
            attempt = {
                "at": began_at.isoformat(),
                "status": answer.status,
                "error": _word_for(answer),
                "duration_ms": duration_ms,
            }
            row.attempts = [*row.attempts, attempt][-MOST_ATTEMPTS_KEPT:]
            if row.state != DeliveryState.PENDING:
                return
            if answer.succeeded:
                row.attempt_count += 1
                row.state, row.next_attempt_at = DeliveryState.DELIVERED, None
                row.delivered_at = self._now()
            elif row.next_attempt_at == claimed.leased_until:
                row.attempt_count += 1
                row.next_attempt_at = next_attempt_at(row.attempt_count, answer, self._now(), jitter)
                if row.next_attempt_at is None:
                    row.state = DeliveryState.FAILED


def _locked_if_free(session: Session, business_id: int, delivery_id: int, now: datetime) -> WebhookDelivery | None:
    """The row, if it is due and no other sender is at it at this moment."""
    return session.scalars(
        select(WebhookDelivery)
        .where(
            WebhookDelivery.business_id == business_id,
            WebhookDelivery.id == delivery_id,
            WebhookDelivery.state == DeliveryState.PENDING,
            WebhookDelivery.next_attempt_at <= now,
        )
        .with_for_update(skip_locked=True)
    ).one_or_none()


def _disable(session: Session, claimed: ClaimedDelivery) -> None:
    """The receiver wants no more: 410 (Standard Webhooks, "Delivery success and failure").

    The endpoint is locked before the delivery, as in `Webhooks`. If its URL was changed meanwhile, the answer
    is about another one.
    """
    endpoint_id = select(WebhookDelivery.endpoint_id).where(
        WebhookDelivery.business_id == claimed.business_id, WebhookDelivery.id == claimed.delivery_id
    )
    endpoint = session.scalars(
        select(WebhookEndpoint)
        .where(
            WebhookEndpoint.business_id == claimed.business_id,
            WebhookEndpoint.id.in_(endpoint_id),
            WebhookEndpoint.enabled,
            WebhookEndpoint.url == claimed.url,
        )
        .with_for_update(key_share=True)
    ).one_or_none()
    if endpoint is not None:
        endpoint.enabled, endpoint.disabled_reason = False, "gone"
        endpoint.version += 1
        drop_pending(session, endpoint)
        log.info("webhook endpoint is gone", business_id=claimed.business_id, endpoint_id=endpoint.id)


def _secrets_of(endpoint: WebhookEndpoint, now: datetime) -> tuple[str, ...]:
    older, until = endpoint.previous_secret, endpoint.previous_secret_until
    if older is None or until is None or until <= now:
        return (endpoint.secret,)
    return (endpoint.secret, older)


def _body_of(payload: dict[str, Any]) -> str:
    """The same text in every attempt: jsonb gives its keys in one order."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def _word_for(answer: Answer) -> str | None:
    """Why an attempt failed; None: it did not."""
    if answer.succeeded:
        return None
    if answer.error is not None:
        return answer.error
    if answer.status == GONE:
        return "gone"
    return "redirect" if answer.status is not None and 300 <= answer.status < 400 else "bad_status"
