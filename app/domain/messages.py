"""What callers leave for the receptionist."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be stored. `caller_number` is E.164 or None; `call_id` is the call that it was left in."""

    business_id: int
    body: str = field(repr=False)
    caller_name: str = field(repr=False, default="")
    caller_number: str | None = field(repr=False, default=None)
    call_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A stored message. Instants carry the offset of `timezone`, the business's. `handled_by` is an actor."""

    id: int
    body: str = field(repr=False)
    caller_name: str = field(repr=False)
    caller_number: str | None = field(repr=False)
    call_id: int | None
    created_at: datetime
    handled_at: datetime | None
    handled_by: str | None
    timezone: str
    version: int

    @property
    def handled(self) -> bool:
        """Whether somebody has seen to it."""
        return self.handled_at is not None
