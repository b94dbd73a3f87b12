"""What happens in a business that other programs may be told of."""

from __future__ import annotations

import enum


class EventType(enum.StrEnum):
    """The types that a webhook endpoint can subscribe to."""

    APPOINTMENT_CREATED = "appointment.created"
    APPOINTMENT_RESCHEDULED = "appointment.rescheduled"
    APPOINTMENT_CANCELLED = "appointment.cancelled"
    APPOINTMENT_NO_SHOW = "appointment.no_show"
    CALL_COMPLETED = "call.completed"
    MESSAGE_CREATED = "message.created"


TEST_TYPE = "webhook.test"
"""Sent to one endpoint when somebody asks for it; nobody subscribes to it."""
