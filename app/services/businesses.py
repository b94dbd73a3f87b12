"""Businesses and when they can be booked: what seeding and the settings pages need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.availability import SlotPolicy
from app.domain.calls import BusinessProfile, CallGoal
from app.errors import InvalidInput, NotFound, PolicyError
from app.models import Business, BusinessPhoneNumber, Calendar, DateOverride, Resource, SlotPolicyRow
from app.services import checks
from app.services.calendars import lock_calendar, zone_of
from app.services.database import Database

FIRST_NUMBER = 1001
"""Appointments are numbered from here in every business: short, and never a lone digit on the phone."""

LANGUAGES = ("he", "en")

_KEPT_ELSEWHERE = ("timezone", "date_overrides")


@dataclass(frozen=True, slots=True)
class NewBusiness:
    """A business to be made, all of it or nothing.

    Phone numbers are E.164, resources are names, the policy is `Businesses.set_slot_policy`'s.
    """

    name: str
    timezone: str
    language: str
    call_goal: CallGoal = CallGoal.APPOINTMENT
    phone_numbers: Sequence[str] = field(default=(), repr=False)
    greeting: str = ""
    instructions: str = ""
    voice: str = "marin"
    barge_in_enabled: bool = True
    barge_in_after_greeting: bool = False
    silence_timeout_ms: int = 10_000
    max_call_minutes: int = 20
    resources: Sequence[str] = ()
    slot_policy: Mapping[str, Any] | None = None


class Businesses:
    """Tenants, their resources and slot policies."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create_business(self, new: NewBusiness) -> int:
        """Make a business and its calendar; its id. It can be booked once it has a resource and a slot policy.

        Raises InvalidInput, also for a phone number that another business has.
        """
        _check(new)
        values = {item.name: getattr(new, item.name) for item in fields(BusinessProfile) if item.name != "id"}
        with self._db.new_tenant() as (session, business_id):
            session.add(Business(id=business_id, **values))
            session.flush()
            session.add(Calendar(business_id=business_id, next_number=FIRST_NUMBER))
            for number in new.phone_numbers:
                _add_phone_number(session, business_id, number)
            for name in new.resources:
                _add_resource(session, business_id, name)
            if new.slot_policy is not None:
                _set_policy(session, business_id, new.slot_policy, None)
        return business_id

    def get_profile(self, business_id: int) -> BusinessProfile:
        """What a call needs to know of its business. Raises NotFound."""
        with self._db.reading(business_id) as session:
            return profile_of(session, business_id)

    def find_by_phone_number(self, phone_number: str) -> int | None:
        """The id of the business that has this number (E.164)."""
        with self._db.system() as session:
            return business_of_number(session, phone_number)

    def add_resource(self, business_id: int, name: str) -> int:
        """Add somebody or something that can be booked; its id."""
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            return _add_resource(session, business_id, name)

    def set_slot_policy(self, business_id: int, policy: Mapping[str, Any], resource_id: int | None = None) -> None:
        """Replace the policy of a business, or give a resource its own.

        `policy` has the keys of `SlotPolicy.from_dict` but `timezone`, which is the business's, and
        `date_overrides` (`set_date_override`). Raises PolicyError, NotFound.
        """
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            _set_policy(session, business_id, policy, resource_id)

    def set_date_override(
        self,
        business_id: int,
        day: date,
        windows: Sequence[Sequence[str]] | None,
        resource_id: int | None = None,
    ) -> None:
        """Replace the hours of one local date by `windows` ([] = closed), for all resources or for one.

        None takes the override away. A resource's own wins over the business's. Raises PolicyError, NotFound.
        """
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            session.execute(
                delete(DateOverride).where(
                    DateOverride.business_id == business_id,
                    DateOverride.day == day,
                    DateOverride.resource_id.is_not_distinct_from(resource_id),
                )
            )
            if windows is None:
                return
            _check_windows(zone_of(session, business_id), day, windows)
            session.add(
                DateOverride(
                    business_id=business_id,
                    resource_id=resource_id,
                    day=day,
                    windows=[list(window) for window in windows],
                )
            )


def business_of_number(session: Session, phone_number: str) -> int | None:
    """The business that has this number, whichever tenant it is."""
    found: int | None = session.scalars(select(func.business_of_number(phone_number))).one()
    return found


def profile_of(session: Session, business_id: int) -> BusinessProfile:
    """The profile of the transaction's business; raises NotFound."""
    row = session.get(Business, business_id)
    if row is None:
        raise NotFound("no such business")
    values = {item.name: getattr(row, item.name) for item in fields(BusinessProfile)}
    return BusinessProfile(**{**values, "call_goal": CallGoal(row.call_goal)})


def _add_resource(session: Session, business_id: int, name: str) -> int:
    resource = Resource(business_id=business_id, name=checks.line("name", name, 200))
    session.add(resource)
    session.flush()
    return resource.id


def _set_policy(session: Session, business_id: int, policy: Mapping[str, Any], resource_id: int | None) -> None:
    for key in _KEPT_ELSEWHERE:
        if key in policy:
            raise PolicyError(key, "is not part of the stored policy")
    checked = SlotPolicy.from_dict({**policy, "timezone": zone_of(session, business_id).key}).to_dict()
    stored = {key: value for key, value in checked.items() if key not in _KEPT_ELSEWHERE}
    session.execute(
        delete(SlotPolicyRow).where(
            SlotPolicyRow.business_id == business_id,
            SlotPolicyRow.resource_id.is_not_distinct_from(resource_id),
        )
    )
    session.add(SlotPolicyRow(business_id=business_id, resource_id=resource_id, policy=stored))


def _add_phone_number(session: Session, business_id: int, phone_number: str) -> None:
    """Row security hides another tenant's row, so only the unique constraint knows; it answers with no row."""
    added = session.execute(
        insert(BusinessPhoneNumber)
        .values(business_id=business_id, phone_number=phone_number)
        .on_conflict_do_nothing(index_elements=["phone_number"])
        .returning(BusinessPhoneNumber.phone_number)
    ).one_or_none()
    if added is None:
        raise InvalidInput("phone_numbers", "one of them belongs to a business already")


def _check(new: NewBusiness) -> None:
    checks.line("name", new.name, 200)
    checks.prose("greeting", new.greeting, 2000)
    checks.prose("instructions", new.instructions, 20_000)
    checks.line("voice", new.voice, 100)
    for number in new.phone_numbers:
        checks.phone_number("phone_numbers", number)
    if new.language not in LANGUAGES:
        raise InvalidInput("language", f"must be one of {', '.join(LANGUAGES)}")
    if not 1000 <= new.silence_timeout_ms <= 120_000:
        raise InvalidInput("silence_timeout_ms", "must be between 1000 and 120000")
    if not 1 <= new.max_call_minutes <= 55:
        raise InvalidInput("max_call_minutes", "must be between 1 and 55")
    _policy_of(new.timezone, {})


def _check_windows(zone: ZoneInfo, day: date, windows: Sequence[Sequence[str]]) -> None:
    _policy_of(zone.key, {day.isoformat(): windows})


def _policy_of(timezone: str, date_overrides: Mapping[str, Any]) -> SlotPolicy:
    """A policy that checks only these two keys."""
    rest = {"weekly_hours": {}, "slot_size_min": 30}
    return SlotPolicy.from_dict({**rest, "timezone": timezone, "date_overrides": date_overrides})
