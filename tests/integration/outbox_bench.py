"""What the tests of webhooks share: a sender on the test's clock, and events for it to send."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, text

from app.adapters.wakeups import Wakeups
from app.adapters.webhook_client import HttpWebhookClient, WebhookClient
from app.domain.events import EventType
from app.domain.pages import PageRequest
from app.domain.webhooks import LENIENT, DeliveryDetails, EndpointWithSecret, NewEndpoint
from app.outbox.sender import Pace, Sender
from app.services import Services
from app.services.database import Database
from app.services.events import OUTBOX_CHANNEL, message_event
from tests.factories import SomeBusiness, as_tenant

EVERY_TYPE = tuple(EventType)


@dataclass(frozen=True)
class Bench:
    """A business with an outbox."""

    services: Services
    engine: Engine
    database_url: str
    business: SomeBusiness
    now: Callable[[], datetime]

    def endpoint(self, url: str, **changes: Any) -> EndpointWithSecret:
        """An endpoint for everything."""
        new = NewEndpoint(url, **{"event_types": EVERY_TYPE, **changes})
        return self.services.webhooks.create_endpoint(self.business.id, new)

    def happen(self, times: int = 1) -> None:
        """Callers leave messages."""
        for number in range(times):
            with Database(self.engine).tenant(self.business.id) as session:
                message_id = session.execute(
                    text(
                        "INSERT INTO messages (business_id, body, created_at) VALUES (:id, 'x', :now) RETURNING id"
                    ),
                    {"id": self.business.id, "now": self.now()},
                ).scalar_one()
                message_event(
                    session,
                    self.business.id,
                    message_id,
                    call_id=None,
                    caller_name=f"דנה {number}",
                    caller_number="+972521234567",
                    body="Call me «back»",
                    now=self.now(),
                )

    def deliveries(self) -> list[DeliveryDetails]:
        """All of the business, the oldest first."""
        page = self.services.deliveries.list_deliveries(self.business.id, PageRequest(200))
        found = [self.services.deliveries.get_delivery(self.business.id, item.id) for item in page.items]
        return sorted(found, key=lambda delivery: delivery.id)

    @contextlib.contextmanager
    def sender(self, client: WebhookClient | None = None, **pace: Any) -> Iterator[Sender]:
        """A sender, drained at the end."""
        wakeups = Wakeups(self.database_url, OUTBOX_CHANNEL)
        sender = Sender(
            self.services.outbox,
            client or HttpWebhookClient(LENIENT, 10, now=self.now),
            wakeups,
            Pace(**{"threads": 4, "per_endpoint": 2, **pace}),
            self.now,
            jitter=lambda: 0.0,
        )
        try:
            yield sender
        finally:
            sender.stop()
            assert sender.drain(30)
            wakeups.close()

    def clear(self) -> None:
        """Leave nothing for the next test's sender: it looks across businesses."""
        with as_tenant(self.engine, self.business.id) as connection:
            connection.execute(
                text(
                    "UPDATE webhook_deliveries SET state = 'dropped', next_attempt_at = NULL"
                    " WHERE state = 'pending'"
                )
            )
