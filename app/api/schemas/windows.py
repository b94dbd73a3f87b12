"""Open hours: a list of windows, each `[opens, closes]` in wall-clock time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from app.domain.slot_policy import MOST_WINDOWS

OPENS = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
CLOSES = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"

_WINDOW = {
    "type": "array",
    "prefixItems": [{"type": "string", "pattern": OPENS}, {"type": "string", "pattern": CLOSES}],
    "minItems": 2,
    "maxItems": 2,
}


class Window(ma.fields.Raw):
    """`["09:00", "17:00"]`. Closing before opening runs into the next day."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"example": ["09:00", "17:00"]}, **kwargs)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> list[str]:
        if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, str) for part in value):
            raise ma.ValidationError("Must be [opens, closes].")
        if not (re.fullmatch(OPENS, value[0]) and re.fullmatch(CLOSES, value[1])):
            raise ma.ValidationError("Must hold times HH:MM; only the second may be 24:00.")
        return value


def described(_: object, field: ma.fields.Field[Any], **__: Any) -> dict[str, Any]:
    """What the OpenAPI document says of a window; from metadata apispec takes no `prefixItems`."""
    return _WINDOW if isinstance(field, Window) else {}


def windows(description: str, example: list[list[str]] | None = None, **kwargs: Any) -> ma.fields.List[Any]:
    """The windows of a day; none: closed."""
    shown = [["09:00", "17:00"]] if example is None else example
    return ma.fields.List(
        Window(),
        validate=ma.validate.Length(max=MOST_WINDOWS),
        metadata={"description": description, "example": shown},
        **kwargs,
    )
