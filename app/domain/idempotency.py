"""Answers that are given again when the same request comes again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What a request was answered. `body` is text; it may hold personal data."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: str = field(repr=False)
