"""The tables, one a file. Rows never leave `app.services`."""

from app.models.api_key import ApiKey
from app.models.appointment import Appointment
from app.models.appointment_change import AppointmentChange
from app.models.appointment_type import AppointmentType
from app.models.appointment_type_resource import AppointmentTypeResource
from app.models.base import db
from app.models.block import Block
from app.models.business import Business
from app.models.business_phone_number import BusinessPhoneNumber
from app.models.calendar import Calendar
from app.models.calendar_feed import CalendarFeed
from app.models.call import Call
from app.models.call_event import CallEvent
from app.models.date_override import DateOverride
from app.models.event import Event
from app.models.idempotency_key import IdempotencyKey
from app.models.media_token import MediaToken
from app.models.message import Message
from app.models.rate_limit import RateLimit
from app.models.resource import Resource
from app.models.slot_policy import SlotPolicyRow
from app.models.user import User
from app.models.user_session import UserSession
from app.models.webhook_delivery import WebhookDelivery
from app.models.webhook_endpoint import WebhookEndpoint

__all__ = [
    "ApiKey",
    "Appointment",
    "AppointmentChange",
    "AppointmentType",
    "AppointmentTypeResource",
    "Block",
    "Business",
    "BusinessPhoneNumber",
    "Calendar",
    "CalendarFeed",
    "Call",
    "CallEvent",
    "DateOverride",
    "Event",
    "IdempotencyKey",
    "MediaToken",
    "Message",
    "RateLimit",
    "Resource",
    "SlotPolicyRow",
    "User",
    "UserSession",
    "WebhookDelivery",
    "WebhookEndpoint",
    "db",
]
