"""What is in the way on some days of a business, and the one decision whether a start can be booked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from app.domain.appointments import BLOCKING
from app.domain.availability import REFUSALS, Busy, Refusal, explain
from app.models import Appointment, Block
from app.services.calendars import Bookable, Rules

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
NEAREST = _NEAREST_FIRST[0]
"""No other refusal is told where a resource has this one."""

# A footprint is at most a day long (a CHECK of the table), so nothing that began earlier reaches in.
LONGEST_FOOTPRINT = timedelta(hours=24)


@dataclass(frozen=True)
class BusyTimes:
    """What blocks some days of a business, by resource."""

    rules: Rules
    rows: Mapping[int, list[Busy]]

    def of(self, bookable: Bookable) -> list[Busy]:
        """What `explain` needs to know about one resource.

        Rows of other resources under the same daily limit come with zero length: they count, and block nothing.
        """
        own = self.rows.get(bookable.resource_id, [])
        if bookable.policy.daily_limit is None:
            return own
        if bookable.resource_id not in self._with_sharing:
            self._with_sharing[bookable.resource_id] = own + self._sharing(bookable)
        return self._with_sharing[bookable.resource_id]

    def _sharing(self, bookable: Bookable) -> list[Busy]:
        owner = self.rules.owners[bookable.resource_id]
        sharing = (
            other for other, whose in self.rules.owners.items() if whose == owner and other != bookable.resource_id
        )
        return [
            Busy(busy.starts_at, busy.starts_at)
            for other in sharing
            for busy in self.rows.get(other, ())
            if busy.counts
        ]

    def by_preference(self, day: date) -> list[Bookable]:
        """The resources in the order in which they are given work: least busy that day, then lowest id."""
        return sorted(self.rules.bookables, key=lambda b: self.preference(b.resource_id, day))

    def preference(self, resource_id: int, day: date) -> tuple[int, int]:
        """The less, the sooner a resource is given work of that day."""
        load = self._load.get(resource_id)
        return 0 if load is None else load[day], resource_id

    def meets(self, bookable: Bookable, starts_at: datetime) -> bool:
        """Whether somebody or something is in the way of a start, its buffers included."""
        policy = bookable.policy
        begin = starts_at - timedelta(minutes=policy.buffer_before_min)
        end = starts_at + timedelta(minutes=policy.slot_size_min + policy.buffer_after_min)
        return any(
            busy.starts_at - timedelta(minutes=busy.buffer_before_min) < end
            and busy.ends_at + timedelta(minutes=busy.buffer_after_min) > begin
            for busy in self.rows.get(bookable.resource_id, ())
        )

    @cached_property
    def _with_sharing(self) -> dict[int, list[Busy]]:
        return {}

    @cached_property
    def _load(self) -> dict[int, Counter[date]]:
        # Most starts come once for each resource, and a zone is slow to ask.
        day_of = cache(self.rules.day_of)
        return {
            resource_id: Counter([day_of(busy.starts_at) for busy in rows if busy.counts])
            for resource_id, rows in self.rows.items()
        }


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


def read_busy(session: Session, rules: Rules, first_day: date, last_day: date, now: datetime) -> BusyTimes:
    """What blocks starts on the local dates `first_day`..`last_day`, and counts towards those days.

    No row farther away is read than a footprint can reach: a day before the first start, and after the last one as
    long as it lasts and a day.
    """
    policies = [bookable.policy for bookable in rules.bookables]
    before = timedelta(minutes=max((policy.buffer_before_min for policy in policies), default=0))
    length = timedelta(minutes=max((p.slot_size_min + p.buffer_after_min for p in policies), default=0))
    first = min(_midnights(rules.zone, first_day)) - before
    last = max(_midnights(rules.zone, last_day + timedelta(days=1))) + length
    rows = _appointments(session, rules, first, last, now)
    for resource_id, busy in _blocks(session, rules, first, last):
        rows.setdefault(resource_id, []).append(busy)
    return BusyTimes(rules, rows)


def _appointments(
    session: Session, rules: Rules, first: datetime, last: datetime, now: datetime
) -> dict[int, list[Busy]]:
    """Under row security a range operator can't use the GiST index, so this reads by `starts_at`.

    Thousands of rows: they come as one row a resource with arrays, which the driver reads in half the time.
    """
    columns = Appointment.__table__.c
    gathered = (columns.starts_at, columns.ends_at, columns.buffer_before_min, columns.buffer_after_min)
    found = session.execute(
        select(columns.resource_id, *(func.array_agg(column, type_=NullType()) for column in gathered))
        .where(
            columns.business_id == rules.business_id,
            columns.starts_at > first - LONGEST_FOOTPRINT,
            columns.starts_at < last + LONGEST_FOOTPRINT,
            columns.status.in_(BLOCKING),
            or_(columns.expires_at.is_(None), columns.expires_at > now),
            *([] if rules.leave_out is None else [columns.id != rules.leave_out]),
        )
        .group_by(columns.resource_id)
    )
    return {resource_id: list(map(Busy, *arrays)) for resource_id, *arrays in found}


def _blocks(session: Session, rules: Rules, first: datetime, last: datetime) -> Iterator[tuple[int, Busy]]:
    """A block may last for weeks; those of all resources come once for each."""
    rows = session.execute(
        select(Block.resource_id, Block.starts_at, Block.ends_at).where(
            Block.business_id == rules.business_id, Block.ends_at > first, Block.starts_at < last
        )
    )
    for blocked, starts_at, ends_at in rows:
        busy = Busy(starts_at, ends_at, counts=False)
        yield from ((resource_id, busy) for resource_id in rules.owners if blocked in (None, resource_id))


def _midnights(zone: ZoneInfo, day: date) -> tuple[datetime, datetime]:
    """The beginning of a local date, twice: where the clock goes back over midnight these differ."""
    return (
        datetime.combine(day, time(fold=0), zone).astimezone(UTC),
        datetime.combine(day, time(fold=1), zone).astimezone(UTC),
    )
