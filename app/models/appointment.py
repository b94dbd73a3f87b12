from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, LargeBinary, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, DrawnId, Model, TenantKey

_ACTIVE = text("status IN ('held', 'pending', 'confirmed')")
_BLOCKS = text("status IN ('held', 'pending', 'confirmed') AND NOT overbooked")


class Appointment(Model):
    """A booked time. `footprint` is its time with its buffers: what no other may overlap on that resource.

    `name_key` and `phone_reversed` are what searches compare (`app.domain.customers`).
    """

    __tablename__ = "appointments"
    __table_args__ = (
        ForeignKeyConstraint(["business_id", "resource_id"], ["resources.business_id", "resources.id"]),
        ForeignKeyConstraint(["business_id", "call_id"], ["calls.business_id", "calls.id"]),
        UniqueConstraint("business_id", "number"),
        UniqueConstraint("business_id", "idempotency_key"),
        ForeignKeyConstraint(
            ["business_id", "appointment_type_id"], ["appointment_types.business_id", "appointment_types.id"]
        ),
        Index(None, "business_id", "starts_at"),
        Index("appointments_blocking_idx", "business_id", "starts_at", postgresql_where=_ACTIVE),
        Index("appointments_held_idx", "business_id", "expires_at", postgresql_where=text("status = 'held'")),
        Index(None, "business_id", "name_key", "starts_at"),
        Index(None, "business_id", "phone_reversed", "starts_at"),
        Index(None, "business_id", "call_id", postgresql_where=text("call_id IS NOT NULL")),
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
    appointment_type_id: Mapped[BigInt | None]
    idempotency_key: Mapped[str | None]
    idempotency_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    customer_name: Mapped[str]
    customer_phone: Mapped[str | None]
    notes: Mapped[str] = mapped_column(server_default=text("''"))
    name_key: Mapped[str] = mapped_column(Text(collation="C"), server_default=text("''"))
    phone_reversed: Mapped[str | None] = mapped_column(Text(collation="C"))
    cancel_reason: Mapped[str | None]
    is_test: Mapped[bool] = mapped_column(server_default=text("false"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    confirmed_to_caller_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
