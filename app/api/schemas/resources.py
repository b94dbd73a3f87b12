"""Who and what can be booked, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import BodyFlag, Flag, Whole, identifier, instant, line, version


class ResourceSchema(ma.Schema):
    """A person, a chair, a room."""

    id = identifier("The resource", required=True)
    name = line("What it is called", "Dr. Levi", required=True)
    active = BodyFlag(required=True, metadata={"description": "Whether it takes appointments", "example": True})
    version = version()
    created_at = instant("When it was added", "2026-11-22T08:00:00+02:00", required=True)


class ChangedResourceSchema(ResourceSchema):
    """A resource after a change."""

    future_appointments = Whole(
        required=True,
        metadata={"description": "Appointments that it still has; deactivating keeps them", "example": 3},
    )


class NewResource(ma.Schema):
    """A resource to add."""

    name = line("What it is called", "Dr. Levi", required=True)


class ResourceChanges(ma.Schema):
    """What to change; what is left out stays."""

    name = line("What it is called", "Dr. Levi")
    active = BodyFlag(metadata={"description": "Whether it takes appointments", "example": True})


class ResourceFilter(ma.Schema):
    """Which resources to list."""

    active = Flag(
        metadata={"description": "Only those that take appointments, or only the others", "example": True}
    )
