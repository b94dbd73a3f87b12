"""What is stored under a telephone number: exported on request, erased on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.domain.appointments import AppointmentChange, AppointmentDetails
from app.domain.calls import CallRecord
from app.domain.messages import Message

ERASED = "erased"
"""Stands where a name was, and says why an appointment was cancelled."""


@dataclass(frozen=True, slots=True)
class ExportedAppointment:
    """An appointment with all that was ever done to it."""

    appointment: AppointmentDetails
    history: tuple[AppointmentChange, ...]


@dataclass(frozen=True, slots=True)
class CustomerExport:
    """All that is stored under a number (E.164). Instants carry the offset of `timezone`, the business's."""

    phone: str = field(repr=False)
    exported_at: datetime
    timezone: str
    appointments: tuple[ExportedAppointment, ...] = field(repr=False)
    calls: tuple[CallRecord, ...] = field(repr=False)
    messages: tuple[Message, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Erasure:
    """How much was erased. `cancelled` of the appointments were still to come."""

    appointments: int = 0
    cancelled: int = 0
    calls: int = 0
    messages: int = 0
    events: int = 0
    stored_answers: int = 0

    def __add__(self, other: Erasure) -> Erasure:
        """Both together."""
        return Erasure(
            self.appointments + other.appointments,
            self.cancelled + other.cancelled,
            self.calls + other.calls,
            self.messages + other.messages,
            self.events + other.events,
            self.stored_answers + other.stored_answers,
        )
