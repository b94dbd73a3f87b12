"""What decides when a business can be booked, as it is stored: one frozen shape a table."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

MOST_TYPE_RESOURCES = 1000

WindowTexts = tuple[tuple[str, str], ...]
"""Open hours of a day as they are written: ("09:00", "17:00"). None at all: closed."""


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """The slot policy of a business, or (`resource_id`) the one that a resource has instead.

    `policy` has every key of `SlotPolicy.to_dict` but `timezone`, which is the business's, and `date_overrides`.
    """

    resource_id: int | None
    policy: Mapping[str, Any]
    timezone: str
    version: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DateOverrideDetails:
    """The hours of one local date, for the business or for one resource. `name` says why.

    `imported`: it came with a country's holidays, and nobody has changed it since.
    """

    id: int
    resource_id: int | None
    day: date
    windows: WindowTexts
    name: str
    imported: bool


@dataclass(frozen=True, slots=True)
class HolidayWish:
    """Which holidays to import: those of the business's country (or a part of it) on these dates.

    `eve_windows`: the hours of the days before, where holidays begin in the evening: [] closes them, None leaves
    them as they are. Eves on weekdays on which the business is closed are left out: an override would open them.
    """

    first_day: date
    last_day: date
    eve_windows: Sequence[Sequence[str]] | None = None
    subdivision: str | None = None
    dry_run: bool = False


class ImportOutcome(enum.StrEnum):
    """What an import did to a date. KEPT: somebody has set that date by hand."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class ImportedDay:
    """A holiday or the eve of one. `windows` and `name` are the import's, also where the date was KEPT."""

    day: date
    name: str
    windows: WindowTexts
    outcome: ImportOutcome


@dataclass(frozen=True, slots=True)
class HolidayImport:
    """What an import did, or with `dry_run` would do, in the order of the dates."""

    country: str
    subdivision: str | None
    dry_run: bool
    days: tuple[ImportedDay, ...]


@dataclass(frozen=True, slots=True)
class ResourceDetails:
    """Who or what is booked. One that is not active takes no new appointments."""

    id: int
    name: str
    active: bool
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ChangedResource(ResourceDetails):
    """A resource after a change, and how many active appointments it has from now on: they stay."""

    future_appointments: int


@dataclass(frozen=True, slots=True)
class AppointmentTypeDetails:
    """A kind of appointment. Buffers that are None are the policy's; no `resource_ids`: all resources take it."""

    id: int
    name: str
    duration_min: int
    buffer_before_min: int | None
    buffer_after_min: int | None
    resource_ids: tuple[int, ...]
    active: bool
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BlockDetails:
    """Busy time without a customer, of one resource or (`resource_id` None) of all. Instants are local."""

    id: int
    resource_id: int | None
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewBlock(BlockDetails):
    """A block that was just made, and the active appointments in its time: they stay."""

    overlapping_appointments: tuple[int, ...]
