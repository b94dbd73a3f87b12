"""Long lists, a page at a time. Every list has a stable order: an instant, then the id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")

Position = tuple[datetime, int]
"""Where a page ends: the last row's instant and id."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`limit` rows (1 to 200) after a position; None: from the beginning."""

    limit: int = 50
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows, and where the next page begins; None: there is none."""

    items: tuple[T, ...]
    next_after: Position | None
