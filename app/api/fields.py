"""The kinds of values that bodies and queries hold. What a JSON Schema can say of them, it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import marshmallow as ma
from werkzeug.routing import BaseConverter

LARGEST_ID = 10**18 - 1
"""Of what a bigint holds, as much as a pattern can say: werkzeug answers 405 where a converter refuses."""

LINE = re.compile(r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$")
"""One line with something to read in it."""

REMARK = re.compile(r"^[^\x00-\x1f\x7f-\x9f]*$")
"""One line that may be empty."""

PROSE = re.compile(r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")
"""Text of any number of lines, without other control characters."""

E164 = r"^\+[1-9][0-9]{6,14}$"
WALL_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


class IdConverter(BaseConverter):
    """`<id:…>` in a path: a positive whole number, in its one spelling."""

    regex = "[1-9][0-9]{0,17}"

    def to_python(self, value: str) -> int:
        """The id."""
        return int(value)


class Whole(ma.fields.Integer):
    """A whole number. JSON's 5.0 is one (JSON Schema 2020-12, 6.1.1 "integer"); "5" is not, but in a query."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,20}", value):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class BodyWhole(Whole):
    """A whole number in a body, where a text is none."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, str):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Flag(ma.fields.Boolean):
    """true or false, and nothing that only looks like it."""

    truthy = {True, "true"}  # noqa: RUF012 - as in marshmallow
    falsy = {False, "false"}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, bool) and value not in ("true", "false"):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class BodyFlag(Flag):
    """true or false in a body, where "true" is a text."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, str):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Instant(ma.fields.AwareDateTime):
    """An RFC 3339 date and time with its offset; answers carry the business's."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="iso", **kwargs)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> datetime:
        if not isinstance(value, str) or not _RFC3339.fullmatch(value):
            raise self.make_error("invalid", input=value, obj_type="RFC 3339 date and time with an offset")
        return super()._deserialize(value.upper(), attr, data, **kwargs)


class Day(ma.fields.Date):
    """A local date, YYYY-MM-DD."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            raise self.make_error("invalid", input=value, obj_type="date")
        return super()._deserialize(value, attr, data, **kwargs)


def identifier(description: str, *, in_query: bool = False, **kwargs: Any) -> Whole:
    """An id of ours."""
    kind = Whole if in_query else BodyWhole
    return kind(
        validate=ma.validate.Range(1, LARGEST_ID),
        metadata={"description": description, "example": 7, "format": "int64"},
        **kwargs,
    )


def line(description: str, example: str, longest: int = 200, **kwargs: Any) -> ma.fields.String:
    """One line of text; spaces around it are dropped."""
    return ma.fields.String(
        validate=[ma.validate.Length(1, longest), ma.validate.Regexp(LINE)],
        metadata={"description": description, "example": example},
        **kwargs,
    )


def remark(description: str, example: str, longest: int = 200, **kwargs: Any) -> ma.fields.String:
    """One line of text that may be empty; spaces around it are dropped."""
    return ma.fields.String(
        validate=[ma.validate.Length(0, longest), ma.validate.Regexp(REMARK)],
        metadata={"description": description, "example": example},
        **kwargs,
    )


def prose(description: str, example: str, longest: int = 2000, **kwargs: Any) -> ma.fields.String:
    """Text that may be empty and may have several lines."""
    return ma.fields.String(
        validate=[ma.validate.Length(0, longest), ma.validate.Regexp(PROSE)],
        metadata={"description": description, "example": example},
        **kwargs,
    )


def phone_number(description: str, **kwargs: Any) -> ma.fields.String:
    """A telephone number in E.164."""
    return ma.fields.String(
        validate=ma.validate.Regexp(E164),
        metadata={"description": f"{description} (E.164)", "example": "+972521234567"},
        **kwargs,
    )


def instant(description: str, example: str = "2026-11-23T10:00:00+02:00", **kwargs: Any) -> Instant:
    """A date and time with an offset."""
    return Instant(metadata={"description": description, "example": example}, **kwargs)


def day(description: str, example: str = "2026-11-23", **kwargs: Any) -> Day:
    """A local date of the business."""
    return Day(metadata={"description": description, "example": example}, **kwargs)


def version() -> Whole:
    """The version in an answer; its ETag is the same number in quotes."""
    return Whole(required=True, metadata={"description": "Rises on each change; the ETag", "example": 1})


def zone_name() -> ma.fields.String:
    """The business's zone in an answer."""
    return ma.fields.String(
        required=True, metadata={"description": "The business's IANA zone", "example": "Asia/Jerusalem"}
    )
