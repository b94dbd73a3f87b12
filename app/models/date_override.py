from __future__ import annotations

from datetime import date

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, DrawnId, Model, TenantKey


class DateOverride(Model):
    """Replaces one local date's hours, for the business or for one resource. No windows: closed.

    `imported`: it came with the holidays, and the next import may replace it.
    """

    __tablename__ = "date_overrides"
    __table_args__ = (
        ForeignKeyConstraint(["business_id", "resource_id"], ["resources.business_id", "resources.id"]),
        UniqueConstraint("business_id", "resource_id", "day"),
        Index(
            "date_overrides_of_business_idx",
            "business_id",
            "day",
            unique=True,
            postgresql_where=text("resource_id IS NULL"),
        ),
    )

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    id: Mapped[DrawnId]
    resource_id: Mapped[BigInt | None]
    day: Mapped[date]
    windows: Mapped[list[list[str]]]
    name: Mapped[str] = mapped_column(server_default=text("''"))
    imported: Mapped[bool] = mapped_column(server_default=text("false"))
