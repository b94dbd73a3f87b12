from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, DrawnId, Model, TenantKey

_BLOCKS = text("status IN ('held', 'pending', 'confirmed') AND NOT overbooked")


class Appointment(Model):
    """A booked time. `footprint` is its time with its buffers: what no other may overlap on that resource."""

    __tablename__ = "appointments"
    __table_args__ = (
        ForeignKeyConstraint(["business_id", "resource_id"], ["resources.business_id", "resources.id"]),
        ForeignKeyConstraint(["business_id", "call_id"], ["calls.business_id", "calls.id"]),
        UniqueConstraint("business_id", "number"),
        UniqueConstraint("business_id", "idempotency_key"),
        Index(None, "business_id", "starts_at"),
        ExcludeConstraint(
            (func.int8range(text("resource_id"), text("resource_id"), text("'[]'")), "&&"),
            ("footprint", "&&"),
            name="appointments_never_overlap",
            where=_BLOCKS,
        ),
    )

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    id: Mapped[DrawnId]
    number: Mapped[BigInt]
    resource_id: Mapped[BigInt]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    buffer_before_min: Mapped[int]
    buffer_after_min: Mapped[int]
    footprint: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    status: Mapped[str]
    expires_at: Mapped[datetime | None]
    overbooked: Mapped[bool] = mapped_column(server_default=text("false"))
    source: Mapped[str]
    call_id: Mapped[BigInt | None]
    idempotency_key: Mapped[str | None]
    idempotency_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    customer_name: Mapped[str]
    customer_phone: Mapped[str | None]
    notes: Mapped[str] = mapped_column(server_default=text("''"))
    confirmed_to_caller_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
