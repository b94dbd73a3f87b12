from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Identity, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Model


class Business(Model):
    """A tenant. Its own id is its tenant key."""

    __tablename__ = "businesses"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str]
    timezone: Mapped[str]
    language: Mapped[str]
    call_goal: Mapped[str]
    greeting: Mapped[str]
    instructions: Mapped[str]
    voice: Mapped[str]
    barge_in_enabled: Mapped[bool]
    barge_in_after_greeting: Mapped[bool]
    silence_timeout_ms: Mapped[int]
    max_call_minutes: Mapped[int]
    country: Mapped[str] = mapped_column(server_default=text("'IL'"))
    transcripts_kept: Mapped[bool] = mapped_column(server_default=text("true"))
    transcript_retention_days: Mapped[int | None]
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
