from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, ForeignKeyConstraint, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, DrawnId, Model, TenantKey


class CalendarFeed(Model):
    """A calendar that other programs subscribe to by a secret URL; only its token's SHA-256 is kept."""

    __tablename__ = "calendar_feeds"
    __table_args__ = (
        ForeignKeyConstraint(["business_id", "resource_id"], ["resources.business_id", "resources.id"]),
        UniqueConstraint("token_sha256"),
    )

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    id: Mapped[DrawnId]
    resource_id: Mapped[BigInt | None]
    name: Mapped[str]
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    shows_names: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime]
