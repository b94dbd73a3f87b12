"""When a business can be booked: its zone, its rules, and the one lock of its calendar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.availability import SlotPolicy
from app.domain.slot_policy import DAY_MIN
from app.errors import InvalidState, NotFound
from app.models import (
    AppointmentType,
    AppointmentTypeResource,
    Business,
    Calendar,
    DateOverride,
    Resource,
    SlotPolicyRow,
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What is to be placed, as far as the policy does not say it: None is the policy's.

    `resources` may take it (None: all). `leave_out` is the appointment that is being moved: it is in nobody's way.
    """

    duration_min: int | None = None
    buffer_before_min: int | None = None
    buffer_after_min: int | None = None
    resources: frozenset[int] | None = None
    leave_out: int | None = None

    def applied_to(self, policy: SlotPolicy) -> SlotPolicy | None:
        """The policy for this shape; its step stays. None: with these buffers it would not fit into a day."""
        shaped = replace(
            policy,
            slot_size_min=policy.slot_size_min if self.duration_min is None else self.duration_min,
            buffer_before_min=policy.buffer_before_min
            if self.buffer_before_min is None
            else self.buffer_before_min,
            buffer_after_min=policy.buffer_after_min if self.buffer_after_min is None else self.buffer_after_min,
        )
        footprint = shaped.slot_size_min + shaped.buffer_before_min + shaped.buffer_after_min
        return shaped if footprint <= DAY_MIN else None


AS_THE_POLICY_SAYS = Shape()


@dataclass(frozen=True, slots=True)
class Bookable:
    """A resource that can take what is asked for, and the policy that holds for it then."""

    resource_id: int
    policy: SlotPolicy


@dataclass(frozen=True)
class Rules:
    """When each resource of a business can be booked, as far as no appointment is in the way.

    `owners`: whose policy each active resource has; None is the business's. `leave_out`: as in `Shape`.
    """

    business_id: int
    zone: ZoneInfo
    bookables: tuple[Bookable, ...]
    owners: Mapping[int, int | None] = field(default_factory=dict)
    leave_out: int | None = None

    def day_of(self, moment: datetime) -> date:
        """The business's local date of an instant."""
        return moment.astimezone(self.zone).date()

    def only(self, resource_id: int | None) -> Rules:
        """The rules of one resource; None: of all. Raises NotFound."""
        if resource_id is None:
            return self
        wished = tuple(bookable for bookable in self.bookables if bookable.resource_id == resource_id)
        if not wished:
            raise NotFound("no such resource, or it does not take this")
        return replace(self, bookables=wished)


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


def country_of(session: Session, business_id: int) -> str:
    """The country in which the business's customers dial (ISO 3166); raises NotFound."""
    country = session.scalars(select(Business.country).where(Business.id == business_id)).one_or_none()
    if country is None:
        raise NotFound("no such business")
    return country


def read_shape(session: Session, business_id: int, appointment_type_id: int | None) -> Shape:
    """The shape of an appointment type. Raises NotFound; InvalidState if it is no longer given."""
    if appointment_type_id is None:
        return AS_THE_POLICY_SAYS
    row = session.get(AppointmentType, (business_id, appointment_type_id))
    if row is None:
        raise NotFound("no such appointment type")
    if not row.active:
        raise InvalidState("appointments of this type are no longer given")
    return Shape(
        duration_min=row.duration_min,
        buffer_before_min=row.buffer_before_min,
        buffer_after_min=row.buffer_after_min,
        resources=resources_of_type(session, business_id, appointment_type_id),
    )


def resources_of_type(session: Session, business_id: int, appointment_type_id: int) -> frozenset[int] | None:
    """The resources that take a type; None: all."""
    listed = session.scalars(
        select(AppointmentTypeResource.resource_id).where(
            AppointmentTypeResource.business_id == business_id,
            AppointmentTypeResource.appointment_type_id == appointment_type_id,
        )
    )
    return frozenset(listed) or None


def read_rules(
    session: Session,
    business_id: int,
    shape: Shape = AS_THE_POLICY_SAYS,
    trial: Mapping[int | None, dict[str, Any]] | None = None,
) -> Rules:
    """Policies and date overrides of every active resource that can take the shape.

    All overrides, also past ones: open time that never closes has its grid from the last one.
    A resource without any policy can't be booked. `trial` has policies, by owner, that are tried instead of those
    that are stored.
    """
    zone = zone_of(session, business_id)
    policies: dict[int | None, dict[str, Any]] = {}
    for resource_id, policy in session.execute(
        select(SlotPolicyRow.resource_id, SlotPolicyRow.policy).where(SlotPolicyRow.business_id == business_id)
    ):
        policies[resource_id] = policy
    policies.update(trial or {})
    overrides = _read_overrides(session, business_id)
    active = session.scalars(
        select(Resource.id).where(Resource.business_id == business_id, Resource.active).order_by(Resource.id)
    )
    owners: dict[int, int | None] = {}
    shared: dict[int | None, SlotPolicy | None] = {}
    bookables = []
    for resource_id in active:
        owner = resource_id if resource_id in policies else None
        if owner not in policies:
            continue
        owners[resource_id] = owner
        if shape.resources is not None and resource_id not in shape.resources:
            continue
        whose = resource_id if resource_id in overrides else owner
        if whose not in shared:
            dates = {**overrides.get(None, {}), **overrides.get(resource_id, {})}
            given = {**policies[owner], "timezone": zone.key, "date_overrides": dates}
            shared[whose] = shape.applied_to(SlotPolicy.from_dict(given))
        shaped = shared[whose]
        if shaped is not None:
            bookables.append(Bookable(resource_id, shaped))
    return Rules(business_id, zone, tuple(bookables), owners, shape.leave_out)


def _read_overrides(session: Session, business_id: int) -> dict[int | None, dict[str, list[list[str]]]]:
    overrides: dict[int | None, dict[str, list[list[str]]]] = {}
    for resource_id, day, windows in session.execute(
        select(DateOverride.resource_id, DateOverride.day, DateOverride.windows).where(
            DateOverride.business_id == business_id
        )
    ):
        overrides.setdefault(resource_id, {})[day.isoformat()] = windows
    return overrides
