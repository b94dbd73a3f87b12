"""The use cases: the only code that commits. Web and worker call them with the same commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import Flask
from sqlalchemy import Engine

from app.adapters.passwords import Argon2Hasher, PasswordHasher
from app.domain.webhooks import STRICT, UrlRules
from app.services.api_keys import ApiKeys
from app.services.appointment_types import AppointmentTypes
from app.services.blocks import Blocks
from app.services.businesses import Businesses
from app.services.calendar_feeds import CalendarFeeds
from app.services.call_log import CallLog
from app.services.calls import Calls
from app.services.database import Database
from app.services.date_overrides import DateOverrides
from app.services.deliveries import Deliveries
from app.services.housekeeping import Housekeeping
from app.services.idempotency import Idempotency
from app.services.limits import Limits
from app.services.messages import Messages
from app.services.outbox import Outbox
from app.services.policies import SlotPolicies
from app.services.privacy import Privacy
from app.services.readiness import Readiness
from app.services.resources import Resources
from app.services.scheduling import Scheduling, utc_now
from app.services.sessions import Sessions
from app.services.users import Users
from app.services.webhooks import Webhooks

__all__ = ["Services", "build_services", "services_of"]


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the front doors may call. Safe to share between greenlets and threads."""

    businesses: Businesses
    policies: SlotPolicies
    date_overrides: DateOverrides
    resources: Resources
    appointment_types: AppointmentTypes
    blocks: Blocks
    scheduling: Scheduling
    calls: Calls
    call_log: CallLog
    messages: Messages
    calendar_feeds: CalendarFeeds
    privacy: Privacy
    readiness: Readiness
    api_keys: ApiKeys
    limits: Limits
    sessions: Sessions
    idempotency: Idempotency
    users: Users
    webhooks: Webhooks
    deliveries: Deliveries
    outbox: Outbox
    housekeeping: Housekeeping


def build_services(
    engine: Engine,
    now: Callable[[], datetime] = utc_now,
    hasher: PasswordHasher | None = None,
    webhook_rules: UrlRules = STRICT,
) -> Services:
    """The services on one engine; `now` is the clock, `hasher` is Argon2id if none is given.

    `webhook_rules` say where webhooks may go.
    """
    database = Database(engine)
    limits = Limits(database, now)
    hasher = hasher or Argon2Hasher()
    return Services(
        businesses=Businesses(database),
        policies=SlotPolicies(database, now),
        date_overrides=DateOverrides(database),
        resources=Resources(database, now),
        appointment_types=AppointmentTypes(database),
        blocks=Blocks(database, now),
        scheduling=Scheduling(database, now),
        calls=Calls(database, now),
        call_log=CallLog(database),
        messages=Messages(database, now),
        calendar_feeds=CalendarFeeds(database, now),
        privacy=Privacy(database, now),
        readiness=Readiness(database),
        api_keys=ApiKeys(database, now),
        limits=limits,
        idempotency=Idempotency(database, now),
        sessions=Sessions(database, limits, hasher, now),
        users=Users(database, limits, hasher, now),
        webhooks=Webhooks(database, now, webhook_rules),
        deliveries=Deliveries(database, now),
        outbox=Outbox(database, now),
        housekeeping=Housekeeping(database, now),
    )


def services_of(app: Flask) -> Services:
    """The services that `create_app` made for this app. No request or app context is needed to call them."""
    services: Services = app.extensions["moed"]
    return services
