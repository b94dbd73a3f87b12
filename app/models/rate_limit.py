from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Model


class RateLimit(Model):
    """How often somebody asked in the current window. Of no tenant: `bucket` is a SHA-256 of who asks."""

    __tablename__ = "rate_limits"

    bucket: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    window_starts_at: Mapped[datetime]
    count: Mapped[int]
