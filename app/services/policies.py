"""Slot policies: the business's, and those that resources have instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.appointments import Availability
from app.domain.availability import SlotPolicy
from app.domain.calendar_settings import StoredPolicy
from app.errors import NotFound, PolicyError
from app.models import SlotPolicyRow
from app.services import checks
from app.services.calendars import as_local, lock_calendar, read_rules, zone_of
from app.services.database import Database
from app.services.footprints import some_type_is_too_long
from app.services.resources import resource_row
from app.services.rows import check_version
from app.services.slot_search import SlotFinder

log = structlog.get_logger(__name__)

NOT_YET = 0
"""The version of a policy that is not there: who expects it, wants to make the first one."""

MOST_PREVIEW_DAYS = 31

_KEPT_ELSEWHERE = ("timezone", "date_overrides")


class SlotPolicies:
    """When appointments are given. A policy has the keys of `SlotPolicy.from_dict` but two:

    `timezone` is the business's, `date_overrides` have a service of their own.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._db = database
        self._now = now

    def get_policy(self, business_id: int, resource_id: int | None = None) -> StoredPolicy:
        """The business's policy, or a resource's own. Raises NotFound, also for a resource without its own."""
        with self._db.reading(business_id) as session:
            return _details(_existing(session, business_id, resource_id), zone_of(session, business_id))

    def put_policy(
        self,
        business_id: int,
        policy: Mapping[str, Any],
        expected_version: int | None,
        actor: str,
        resource_id: int | None = None,
    ) -> StoredPolicy:
        """Replace the policy of a business, or give a resource its own. Appointments stay as they are.

        Raises PolicyError naming the field, StaleVersion (also for `NOT_YET` where there is one), NotFound.
        """
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            row = write_policy(session, business_id, policy, resource_id, expected_version)
            details = _details(row, zone_of(session, business_id))
        log.info("slot policy changed", business_id=business_id, resource_id=resource_id, actor=actor)
        return details

    def delete_policy(self, business_id: int, resource_id: int, expected_version: int | None, actor: str) -> None:
        """Let the business's policy hold for a resource that has its own. Raises NotFound, StaleVersion."""
        with self._db.tenant(business_id) as session:
            lock_calendar(session, business_id)
            row = _existing(session, business_id, resource_id)
            check_version(row.version, expected_version)
            session.delete(row)
        log.info("slot policy deleted", business_id=business_id, resource_id=resource_id, actor=actor)

    def preview_policy(
        self,
        business_id: int,
        policy: Mapping[str, Any],
        first_day: date,
        last_day: date,
        resource_id: int | None = None,
    ) -> Availability:
        """What would be free on these dates, at most 31, under a policy that is not stored.

        Of the resources for which it would hold: those without a policy of their own, or the one that is named.
        Raises PolicyError, InvalidInput, NotFound.
        """
        checks.day_range(first_day, last_day, MOST_PREVIEW_DAYS)
        with self._db.reading(business_id) as session:
            zone = zone_of(session, business_id)
            tried = checked_policy(policy, zone.key)
            if resource_id is not None:
                resource_row(session, business_id, resource_id)
            rules = read_rules(session, business_id, trial={resource_id: tried})
            governed = tuple(b for b in rules.bookables if rules.owners[b.resource_id] == resource_id)
            finder = SlotFinder(session, replace(rules, bookables=governed), self._now())
            return Availability(zone.key, finder.by_day(first_day, last_day))


def checked_policy(policy: Mapping[str, Any], timezone: str) -> dict[str, Any]:
    """A policy as it is stored, with every key. Raises PolicyError."""
    for key in _KEPT_ELSEWHERE:
        if key in policy:
            raise PolicyError(key, "is not part of the stored policy")
    checked = SlotPolicy.from_dict({**policy, "timezone": timezone}).to_dict()
    return {key: value for key, value in checked.items() if key not in _KEPT_ELSEWHERE}


def write_policy(
    session: Session,
    business_id: int,
    policy: Mapping[str, Any],
    resource_id: int | None,
    expected_version: int | None = None,
) -> SlotPolicyRow:
    """Store a policy. The caller holds the calendar's lock. Raises PolicyError, NotFound, StaleVersion."""
    stored = checked_policy(policy, zone_of(session, business_id).key)
    if resource_id is not None:
        resource_row(session, business_id, resource_id)
    row = _find(session, business_id, resource_id)
    check_version(NOT_YET if row is None else row.version, expected_version)
    if row is None:
        row = SlotPolicyRow(business_id=business_id, resource_id=resource_id, policy=stored)
        session.add(row)
    else:
        row.policy = stored
        row.version += 1
        row.updated_at = session.scalars(select(func.now())).one()
    session.flush()
    if some_type_is_too_long(session, business_id):
        raise PolicyError("buffer_before_min", "with these buffers an appointment type would exceed 24 hours")
    return row


def check_policies(session: Session, business_id: int) -> None:
    """Raise PolicyError if a stored policy does not hold in the business's zone."""
    zone = zone_of(session, business_id)
    for row in session.scalars(select(SlotPolicyRow).where(SlotPolicyRow.business_id == business_id)):
        SlotPolicy.from_dict({**row.policy, "timezone": zone.key})


def _find(session: Session, business_id: int, resource_id: int | None) -> SlotPolicyRow | None:
    return session.scalars(
        select(SlotPolicyRow).where(
            SlotPolicyRow.business_id == business_id,
            SlotPolicyRow.resource_id.is_not_distinct_from(resource_id),
        )
    ).one_or_none()


def _existing(session: Session, business_id: int, resource_id: int | None) -> SlotPolicyRow:
    if resource_id is not None:
        resource_row(session, business_id, resource_id)
    row = _find(session, business_id, resource_id)
    if row is None:
        raise NotFound("no such slot policy")
    return row


def _details(row: SlotPolicyRow, zone: ZoneInfo) -> StoredPolicy:
    return StoredPolicy(row.resource_id, row.policy, zone.key, row.version, as_local(row.updated_at, zone))
