"""Busy time without a customer, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import BodyWhole, identifier, instant, remark


class BlockSchema(ma.Schema):
    """Time in which nothing can be booked, of one resource or of all."""

    id = identifier("The block", required=True)
    resource_id = identifier("The resource; null: all", required=True, allow_none=True)
    starts_at = instant("From", required=True)
    ends_at = instant("To, excluded", "2026-11-23T12:00:00+02:00", required=True)
    reason = ma.fields.String(required=True, metadata={"description": "Why", "example": "Dentist"})
    created_at = instant("When it was made", "2026-11-22T08:00:00+02:00", required=True)


class MadeBlockSchema(BlockSchema):
    """A block that was just made."""

    overlapping_appointments = ma.fields.List(
        BodyWhole(metadata={"description": "An appointment", "example": 7, "format": "int64"}),
        required=True,
        metadata={"description": "Active appointments in this time: they stay", "example": [7]},
    )


class NewBlock(ma.Schema):
    """Time to block, at most 366 days."""

    starts_at = instant("From", required=True)
    ends_at = instant("To, excluded", "2026-11-23T12:00:00+02:00", required=True)
    reason = remark("Why", "Dentist")
    resource_id = identifier("Only of this resource; null: of all", allow_none=True)


class BlockFilter(ma.Schema):
    """Which blocks to list."""

    since = instant("Those that end later", data_key="from")
    until = instant("Those that begin earlier", "2026-11-24T00:00:00+02:00", data_key="to")
    resource_id = identifier("Those that hold for this resource: its own and those of all", in_query=True)
