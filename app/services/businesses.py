"""Businesses: what seeding, the operator and the settings page need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date
from typing import Any

import phonenumbers
import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.availability import SlotPolicy
from app.domain.businesses import (
    LANGUAGES,
    MAX_CALL_MINUTES,
    MOST_PHONE_NUMBERS,
    RETENTION_DAYS,
    SILENCE_TIMEOUT_MS,
    BusinessDetails,
    NewBusiness,
)
from app.domain.calls import BusinessProfile, CallGoal
from app.domain.pages import Page, PageRequest
from app.errors import AlreadyExists, InvalidInput, NotFound
from app.models import Business, BusinessPhoneNumber, Calendar
from app.services import checks
from app.services.calendars import as_local, lock_calendar, zone_of
from app.services.database import Database
from app.services.date_overrides import check_overrides, remove_override, write_overrides
from app.services.policies import check_policies, write_policy
from app.services.resources import insert_resource
from app.services.rows import check_limit, check_version

__all__ = ["Businesses", "NewBusiness", "business_of_number", "insert_business", "profile_of"]

log = structlog.get_logger(__name__)

FIRST_NUMBER = 1001
"""Appointments are numbered from here in every business: short, and never a lone digit on the phone."""

COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""ISO 3166 codes of the countries that have a telephone network."""


class Businesses:
    """Tenants. Their resources, policies and date overrides have services of their own."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create_business(self, new: NewBusiness) -> int:
        """Make a business and its calendar; its id. It can be booked once it has a resource and a slot policy.

        Raises InvalidInput, and AlreadyExists for a phone number that another business has.
        """
        with self._db.new_tenant() as (session, business_id):
            insert_business(session, business_id, new)
        return business_id

    def list_businesses(self, page: PageRequest) -> Page[BusinessDetails]:
        """The operator's list of all tenants: a lookup function names them, each is read as itself."""
        check_limit(page)
        moment, last_id = page.after or (None, None)
        with self._db.system() as session:
            ids = session.scalars(select(func.tenants_after(moment, last_id, page.limit + 1))).all()
        items = tuple(self.get_business(business_id) for business_id in ids[: page.limit])
        more = (items[-1].created_at, items[-1].id) if len(ids) > page.limit else None
        return Page(items, more)

    def get_business(self, business_id: int) -> BusinessDetails:
        """A business with all its settings; raises NotFound."""
        with self._db.reading(business_id) as session:
            return _details(session, _row(session, business_id))

    def update_business(
        self, business_id: int, changes: Mapping[str, Any], expected_version: int | None, actor: str
    ) -> BusinessDetails:
        """Change any of the fields of `NewBusiness` but `resources` and `slot_policy`.

        `phone_numbers` replaces them all. A new time zone moves the opening hours of the days to come, and no
        appointment. Raises InvalidInput, StaleVersion, NotFound, AlreadyExists (another business has a number).
        """
        values = _checked(changes)
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            row = _row(session, business_id)
            check_version(row.version, expected_version)
            phone_numbers = values.pop("phone_numbers", None)
            for name, value in values.items():
                setattr(row, name, value)
            row.version += 1
            session.flush()
            if phone_numbers is not None:
                _replace_phone_numbers(session, business_id, phone_numbers)
            if "timezone" in values:
                check_policies(session, business_id)
                check_overrides(session, business_id)
            details = _details(session, row)
        log.info("business changed", business_id=business_id, actor=actor, fields=sorted(changes))
        return details

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
            return insert_resource(session, business_id, name).id

    def set_slot_policy(self, business_id: int, policy: Mapping[str, Any], resource_id: int | None = None) -> None:
        """`SlotPolicies.put_policy` for seeding: whatever was there before."""
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            write_policy(session, business_id, policy, resource_id)

    def set_date_override(
        self,
        business_id: int,
        day: date,
        windows: Sequence[Sequence[str]] | None,
        resource_id: int | None = None,
    ) -> None:
        """`DateOverrides.set_overrides` of one day, for seeding. None takes the override away."""
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            if windows is None:
                remove_override(session, business_id, day, resource_id)
            else:
                write_overrides(session, business_id, [day], windows, resource_id)


def insert_business(session: Session, business_id: int, new: NewBusiness) -> None:
    """Write a new business into its own transaction. Raises what `create_business` does."""
    given = {item.name: getattr(new, item.name) for item in fields(NewBusiness)}
    values = _checked({key: value for key, value in given.items() if key in _CHECKS})
    phone_numbers = values.pop("phone_numbers")
    session.add(Business(id=business_id, **values))
    session.flush()
    session.add(Calendar(business_id=business_id, next_number=FIRST_NUMBER))
    _add_phone_numbers(session, business_id, phone_numbers)
    for name in new.resources:
        insert_resource(session, business_id, name)
    if new.slot_policy is not None:
        write_policy(session, business_id, new.slot_policy, None)


def business_of_number(session: Session, phone_number: str) -> int | None:
    """The business that has this number, whichever tenant it is."""
    found: int | None = session.scalars(select(func.business_of_number(phone_number))).one()
    return found


def profile_of(session: Session, business_id: int) -> BusinessProfile:
    """The profile of the transaction's business; raises NotFound."""
    row = _row(session, business_id)
    values = {item.name: getattr(row, item.name) for item in fields(BusinessProfile)}
    return BusinessProfile(**{**values, "call_goal": CallGoal(row.call_goal)})


def _row(session: Session, business_id: int) -> Business:
    row = session.get(Business, business_id)
    if row is None:
        raise NotFound("no such business")
    return row


def _details(session: Session, row: Business) -> BusinessDetails:
    numbers = session.scalars(
        select(BusinessPhoneNumber.phone_number)
        .where(BusinessPhoneNumber.business_id == row.id)
        .order_by(BusinessPhoneNumber.phone_number)
    ).all()
    apart: dict[str, Any] = {
        "phone_numbers": tuple(numbers),
        "call_goal": CallGoal(row.call_goal),
        "created_at": as_local(row.created_at, zone_of(session, row.id)),
    }
    stored = {item.name: getattr(row, item.name) for item in fields(BusinessDetails) if item.name not in apart}
    return BusinessDetails(**stored, **apart)


def _replace_phone_numbers(session: Session, business_id: int, phone_numbers: Sequence[str]) -> None:
    session.execute(
        delete(BusinessPhoneNumber).where(
            BusinessPhoneNumber.business_id == business_id,
            BusinessPhoneNumber.phone_number.not_in(phone_numbers),
        )
    )
    known = session.scalars(
        select(BusinessPhoneNumber.phone_number).where(BusinessPhoneNumber.business_id == business_id)
    ).all()
    _add_phone_numbers(session, business_id, sorted(set(phone_numbers) - set(known)))


def _add_phone_numbers(session: Session, business_id: int, phone_numbers: Iterable[str]) -> None:
    """Row security hides another tenant's row, so only the unique constraint knows; it answers with no row."""
    for phone_number in phone_numbers:
        added = session.execute(
            insert(BusinessPhoneNumber)
            .values(business_id=business_id, phone_number=phone_number)
            .on_conflict_do_nothing(index_elements=["phone_number"])
            .returning(BusinessPhoneNumber.phone_number)
        ).one_or_none()
        if added is None:
            raise AlreadyExists("phone_numbers", "one of them belongs to another business")


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are stored; raises InvalidInput naming the first that breaks a rule."""
    for key in values:
        if key not in _CHECKS:
            raise InvalidInput(key, "is not a setting of a business")
    return {key: _CHECKS[key](key, value) for key, value in values.items()}


def _timezone(_: str, value: str) -> str:
    return SlotPolicy.from_dict({"weekly_hours": {}, "slot_size_min": 30, "timezone": value}).timezone


def _phone_numbers(field: str, value: Sequence[str]) -> list[str]:
    """Sorted, so that two businesses which want the same ones wait for each other in one order."""
    if len(value) > MOST_PHONE_NUMBERS:
        raise InvalidInput(field, f"must be at most {MOST_PHONE_NUMBERS}")
    return sorted({checks.phone_number(field, number) for number in value})


def _retention(field: str, value: int | None) -> int | None:
    return None if value is None else _within(RETENTION_DAYS)(field, value)


def _within(allowed: range) -> Callable[[str, int], int]:
    return lambda field, value: checks.whole_number(field, value, allowed[0], allowed[-1])


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "name": lambda field, value: checks.line(field, value, 200),
    "timezone": _timezone,
    "country": lambda field, value: checks.choice(field, value, sorted(COUNTRIES)),
    "language": lambda field, value: checks.choice(field, value, LANGUAGES),
    "phone_numbers": _phone_numbers,
    "call_goal": lambda field, value: CallGoal(checks.choice(field, value, list(CallGoal))),
    "greeting": lambda field, value: checks.prose(field, value, 2000),
    "instructions": lambda field, value: checks.prose(field, value, 20_000),
    "voice": lambda field, value: checks.line(field, value, 100),
    "barge_in_enabled": checks.switch,
    "barge_in_after_greeting": checks.switch,
    "silence_timeout_ms": _within(SILENCE_TIMEOUT_MS),
    "max_call_minutes": _within(MAX_CALL_MINUTES),
    "transcripts_kept": checks.switch,
    "transcript_retention_days": _retention,
}
