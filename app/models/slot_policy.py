from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, DrawnId, Model, TenantKey


class SlotPolicyRow(Model):
    """A business's slot policy (`resource_id` null) or the one a resource has instead of it.

    `policy` has the keys of `app.domain.availability.SlotPolicy.from_dict` but `timezone` (the business's)
    and `date_overrides` (their own table).
    """

    __tablename__ = "slot_policies"
    __table_args__ = (
        ForeignKeyConstraint(["business_id", "resource_id"], ["resources.business_id", "resources.id"]),
        UniqueConstraint("business_id", "resource_id"),
        Index(
            "slot_policies_of_business_idx",
            "business_id",
            unique=True,
            postgresql_where=text("resource_id IS NULL"),
        ),
    )

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    id: Mapped[DrawnId]
    resource_id: Mapped[BigInt | None]
    policy: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(server_default=text("1"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
