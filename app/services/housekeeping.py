"""What tidies up by the clock: rows that nobody will ask for again. Each is done a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, delete, exists, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.domain.access import OPERATOR
from app.domain.webhooks import DeliveryState
from app.errors import MoedError
from app.models import Event, IdempotencyKey, MediaToken, UserSession, WebhookDelivery
from app.services.database import Database
from app.services.idempotency import KEPT_FOR
from app.services.scheduling import utc_now

log = structlog.get_logger(__name__)

TOKENS_KEPT = timedelta(hours=1)
EVENTS_KEPT = timedelta(days=30)

MOST_FAILURES = 3

AT_ONCE = 1000
"""Rows of one transaction: it must end within the statement timeout."""


class Housekeeping:
    """Deletes what is over, in one business after another; each method says how many rows."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now

    def forget_answers(self) -> int:
        """Answers that were kept for an Idempotency-Key."""
        over = IdempotencyKey.created_at <= self._now() - KEPT_FOR
        return self._delete(IdempotencyKey, (IdempotencyKey.owner, IdempotencyKey.key), over)

    def forget_sessions(self) -> int:
        """Sessions that have expired."""
        return self._delete(UserSession, (UserSession.token_sha256,), UserSession.expires_at <= self._now())

    def forget_media_tokens(self) -> int:
        """Tokens that were used or never will be."""
        over = MediaToken.expires_at < self._now() - TOKENS_KEPT
        return self._delete(MediaToken, (MediaToken.token_sha256,), over)

    def forget_events(self) -> int:
        """Events with their deliveries, unless one is being replayed."""
        before = self._now() - EVENTS_KEPT
        old = select(Event.id).where(
            Event.business_id == WebhookDelivery.business_id,
            Event.id == WebhookDelivery.event_id,
            Event.created_at < before,
        )
        done = WebhookDelivery.state != DeliveryState.PENDING
        count = self._delete(WebhookDelivery, (WebhookDelivery.id,), exists(old), done)
        left = select(WebhookDelivery.id).where(
            WebhookDelivery.business_id == Event.business_id, WebhookDelivery.event_id == Event.id
        )
        return count + self._delete(Event, (Event.id,), Event.created_at < before, ~exists(left))

    def _delete(
        self, model: Any, key: tuple[InstrumentedAttribute[Any], ...], *conditions: ColumnElement[bool]
    ) -> int:
        """In every business. One that fails does not stop the rest; several do: then it is the database."""
        count = failures = 0
        for business_id in self._tenants():
            try:
                count += self._delete_of(business_id, model, key, conditions)
            except MoedError as error:
                failures += 1
                log.warning("not tidied", business_id=business_id, code=error.code)
                if failures == MOST_FAILURES:
                    raise
        return count

    def _delete_of(
        self,
        business_id: int,
        model: Any,
        key: tuple[InstrumentedAttribute[Any], ...],
        conditions: tuple[ColumnElement[bool], ...],
    ) -> int:
        count = 0
        while True:
            with self._db.tenant(business_id) as session:
                deleted = _delete_some(session, model, key, (model.business_id == business_id, *conditions))
            count += deleted
            if deleted < AT_ONCE:
                return count

    def _tenants(self) -> Iterator[int]:
        with self._db.system() as session:
            tenants = session.scalars(select(func.all_tenants())).all()
        yield OPERATOR
        yield from tenants


def _delete_some(
    session: Session,
    model: Any,
    key: tuple[InstrumentedAttribute[Any], ...],
    conditions: tuple[ColumnElement[bool], ...],
) -> int:
    some = select(*key).where(*conditions).limit(AT_ONCE).with_for_update(skip_locked=True)
    statement = delete(model).where(conditions[0], tuple_(*key).in_(some)).returning(key[0])
    return len(session.execute(statement.execution_options(synchronize_session=False)).all())
