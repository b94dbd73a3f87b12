"""Calendars that other programs subscribe to: the feeds themselves, and what stands in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class NewFeed:
    """A feed to be made, of one resource or (None) of the whole business. `shows_names`: customers' names too."""

    business_id: int
    name: str
    resource_id: int | None = None
    shows_names: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarFeed:
    """A stored feed. `created_at` carries the business's offset."""

    id: int
    name: str
    resource_id: int | None
    shows_names: bool
    created_at: datetime
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedFeed(CalendarFeed):
    """A feed just made. `token` is the secret part of its URL, and is told this once."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One entry. `uid` and `sequence` as in RFC 5545: the same thing keeps its uid, and each change raises the
    other. `status` is None for what is merely busy.
    """

    uid: str
    sequence: int
    starts_at: datetime
    ends_at: datetime
    changed_at: datetime
    status: str | None
    summary: str = field(repr=False)
    location: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class FeedContents:
    """All that a feed says. Instants are aware; `zone` is the one that they are written in."""

    name: str
    zone: ZoneInfo
    first_year: int
    last_year: int
    events: tuple[FeedEvent, ...]


@dataclass(frozen=True, slots=True)
class FeedFile:
    """A feed as it is served. `body` is None where the asker has this very version already."""

    etag: str
    changed_at: datetime | None
    body: bytes | None = field(repr=False)
