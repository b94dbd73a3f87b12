from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, DrawnId, Model, TenantKey


class WebhookDelivery(Model):
    """One event on its way to one endpoint. `attempts`: what each try met, oldest first.

    While a sender tries, `next_attempt_at` is when another may take it over.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        ForeignKeyConstraint(
            ["business_id", "endpoint_id"], ["webhook_endpoints.business_id", "webhook_endpoints.id"]
        ),
        ForeignKeyConstraint(["business_id", "event_id"], ["events.business_id", "events.id"]),
        UniqueConstraint("business_id", "endpoint_id", "event_id"),
        Index(None, "business_id", "created_at", "id"),
        Index("webhook_deliveries_due_idx", "next_attempt_at", postgresql_where=text("state = 'pending'")),
    )

    business_id: Mapped[TenantKey]
    id: Mapped[DrawnId]
    endpoint_id: Mapped[BigInt]
    event_id: Mapped[BigInt]
    state: Mapped[str]
    next_attempt_at: Mapped[datetime | None]
    attempt_count: Mapped[int] = mapped_column(server_default=text("0"))
    attempts: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
