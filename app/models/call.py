from __future__ import annotations

from datetime import datetime

from sqlalchemy import Computed, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, DrawnId, Model, TenantKey


class Call(Model):
    """One phone call. It may have several media streams, one after another.

    `transcript_erased_at`: since when its timeline holds no words, and may get none.
    """

    __tablename__ = "calls"
    __table_args__ = (
        UniqueConstraint("business_id", "call_sid"),
        Index(None, "call_sid"),
        Index(None, "business_id", "created_at", "id"),
        Index(None, "business_id", "caller_number"),
        Index(None, "business_id", "caller_reversed"),
        Index(
            "calls_transcripts_idx",
            "business_id",
            "created_at",
            postgresql_where=text("transcript_erased_at IS NULL"),
        ),
    )

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    id: Mapped[DrawnId]
    call_sid: Mapped[str]
    stream_sid: Mapped[str | None]
    called_number: Mapped[str]
    caller_number: Mapped[str | None]
    state: Mapped[str]
    end_reason: Mapped[str | None]
    stream_count: Mapped[int] = mapped_column(server_default=text("0"))
    reconnect_count: Mapped[int] = mapped_column(server_default=text("0"))
    event_count: Mapped[int] = mapped_column(server_default=text("0"))
    barge_in_count: Mapped[int] = mapped_column(server_default=text("0"))
    duration_ms: Mapped[BigInt] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    transcript_erased_at: Mapped[datetime | None]
    caller_reversed: Mapped[str | None] = mapped_column(Text(collation="C"), Computed("reverse(caller_number)"))
