"""The tables, one a file. Rows never leave `app.services`."""

from app.models.appointment import Appointment
from app.models.appointment_change import AppointmentChange
from app.models.base import db
from app.models.business import Business
from app.models.business_phone_number import BusinessPhoneNumber
from app.models.calendar import Calendar
from app.models.call import Call
from app.models.call_event import CallEvent
from app.models.date_override import DateOverride
from app.models.media_token import MediaToken
from app.models.resource import Resource
from app.models.slot_policy import SlotPolicyRow

__all__ = [
    "Appointment",
    "AppointmentChange",
    "Business",
    "BusinessPhoneNumber",
    "Calendar",
    "Call",
    "CallEvent",
    "DateOverride",
    "MediaToken",
    "Resource",
    "SlotPolicyRow",
    "db",
]
