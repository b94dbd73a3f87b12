"""A business's calendar as `app.domain.availability` wants it, read in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.domain.appointments import BLOCKING
from app.domain.availability import REFUSALS, Busy, Refusal, SlotPolicy, explain
from app.errors import NotFound
from app.models import Appointment, Business, Calendar, DateOverride, Resource, SlotPolicyRow

# When the resources refuse for different reasons, the one that is nearest to a "yes" is told.
_NEAREST_FIRST = (
    "taken",
    "buffer",
    "daily_limit",
    "min_notice",
    "past",
    "break",
    "off_grid",
    "outside_hours",
    "closed_date",
    "beyond_window",
)

# A footprint is at most a day long (a CHECK of the table), so nothing that began earlier reaches in.
LONGEST_FOOTPRINT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Bookable:
    """An active resource and the policy that holds for it. `owner`: whose policy; None is the business's."""

    resource_id: int
    policy: SlotPolicy
    owner: int | None


@dataclass(frozen=True)
class Rules:
    """When each resource of a business can be booked, as far as no appointment is in the way."""

    business_id: int
    zone: ZoneInfo
    bookables: tuple[Bookable, ...]

    def day_of(self, moment: datetime) -> date:
        """The business's local date of an instant."""
        return moment.astimezone(self.zone).date()


@dataclass(frozen=True)
class BusyTimes:
    """The rows that block some days of a business: (resource_id, Busy)."""

    rules: Rules
    rows: Sequence[tuple[int, Busy]]

    def of(self, bookable: Bookable) -> list[Busy]:
        """What `explain` needs to know about one resource.

        Rows of other resources under the same daily limit come with zero length: they count, and block nothing.
        """
        own = [busy for resource_id, busy in self.rows if resource_id == bookable.resource_id]
        if bookable.policy.daily_limit is None:
            return own
        sharing = {
            other.resource_id
            for other in self.rules.bookables
            if other.owner == bookable.owner and other.resource_id != bookable.resource_id
        }
        return own + [
            Busy(busy.starts_at, busy.starts_at) for resource_id, busy in self.rows if resource_id in sharing
        ]

    def by_preference(self, day: date) -> list[Bookable]:
        """The resources in the order in which they are given work: least busy that day, then lowest id."""
        return sorted(self.rules.bookables, key=lambda b: self.preference(b.resource_id, day))

    def preference(self, resource_id: int, day: date) -> tuple[int, int]:
        """The less, the sooner a resource is given work of that day."""
        return self._load[resource_id, day], resource_id

    @cached_property
    def _load(self) -> Counter[tuple[int, date]]:
        return Counter((resource_id, self.rules.day_of(busy.starts_at)) for resource_id, busy in self.rows)


def decide(
    candidates: Sequence[Bookable], busy: BusyTimes, starts_at: datetime, now: datetime
) -> Bookable | Refusal:
    """The first of `candidates` that can take a start, or why none can."""
    refusals = []
    for bookable in candidates:
        refusal = explain(bookable.policy, busy.of(bookable), starts_at, now)
        if refusal is None:
            return bookable
        refusals.append(refusal)
    return nearest(refusals)


def nearest(refusals: Sequence[Refusal]) -> Refusal:
    """The refusal to tell. Where nothing can be booked at all, nobody is ever in."""
    if not refusals:
        return Refusal("outside_hours", REFUSALS["outside_hours"])
    return min(refusals, key=lambda refusal: _NEAREST_FIRST.index(refusal.code))


def as_local(moment: datetime, zone: tzinfo) -> datetime:
    """`moment` in `zone`, with a fixed offset: two times of one ZoneInfo compare by wall clock (PEP 495)."""
    local = moment.astimezone(zone)
    return local.astimezone(timezone(local.utcoffset() or timedelta()))


def lock_calendar(session: Session, business_id: int) -> int:
    """Wait for every other writer of this calendar, and shut it until the transaction ends. The next number.

    The only lock of scheduling, and alone in its statement: what is read after it is what the others left.
    """
    number = session.scalars(
        select(Calendar.next_number)
        .where(Calendar.business_id == business_id)
        .with_for_update(key_share=True)  # FOR NO KEY UPDATE: rows that refer to the business can be written
    ).one_or_none()
    if number is None:
        raise NotFound("no such business")
    return number


def zone_of(session: Session, business_id: int) -> ZoneInfo:
    """The business's zone; raises NotFound."""
    name = session.scalars(select(Business.timezone).where(Business.id == business_id)).one_or_none()
    if name is None:
        raise NotFound("no such business")
    return ZoneInfo(name)


def read_rules(session: Session, business_id: int) -> Rules:
    """Policies and date overrides of every active resource.

    All overrides, also past ones: open time that never closes has its grid from the last one.
    A resource without any policy can't be booked.
    """
    zone = zone_of(session, business_id)
    policies: dict[int | None, dict[str, Any]] = {}
    for resource_id, policy in session.execute(
        select(SlotPolicyRow.resource_id, SlotPolicyRow.policy).where(SlotPolicyRow.business_id == business_id)
    ):
        policies[resource_id] = policy
    overrides: dict[int | None, dict[str, list[list[str]]]] = {}
    for resource_id, day, windows in session.execute(
        select(DateOverride.resource_id, DateOverride.day, DateOverride.windows).where(
            DateOverride.business_id == business_id
        )
    ):
        overrides.setdefault(resource_id, {})[day.isoformat()] = windows
    active = session.scalars(
        select(Resource.id).where(Resource.business_id == business_id, Resource.active).order_by(Resource.id)
    )
    bookables = []
    for resource_id in active:
        owner = resource_id if resource_id in policies else None
        if owner not in policies:
            continue
        dates = {**overrides.get(None, {}), **overrides.get(resource_id, {})}
        given = {**policies[owner], "timezone": zone.key, "date_overrides": dates}
        bookables.append(Bookable(resource_id, SlotPolicy.from_dict(given), owner))
    return Rules(business_id, zone, tuple(bookables))


def read_busy(session: Session, rules: Rules, first_day: date, last_day: date, now: datetime) -> BusyTimes:
    """What blocks starts on the local dates `first_day`..`last_day`, with a day to spare at both ends.

    Under row security a range operator can't use the GiST index, so this reads by `starts_at`.
    """
    first = _midnight(rules.zone, first_day - timedelta(days=1))
    last = _midnight(rules.zone, last_day + timedelta(days=3))
    rows = session.execute(
        select(
            Appointment.resource_id,
            Appointment.starts_at,
            Appointment.ends_at,
            Appointment.buffer_before_min,
            Appointment.buffer_after_min,
        ).where(
            Appointment.business_id == rules.business_id,
            Appointment.starts_at >= first - LONGEST_FOOTPRINT,
            Appointment.starts_at < last,
            Appointment.status.in_(BLOCKING),
            or_(Appointment.expires_at.is_(None), Appointment.expires_at > now),
        )
    )
    return BusyTimes(rules, [(row[0], Busy(*row[1:])) for row in rows])


def _midnight(zone: ZoneInfo, day: date) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
