"""Cursor pagination: a cursor says where a page ended, and means nothing to clients."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, wraps
from typing import Any

import marshmallow as ma
from flask import Response

from app.api.fields import Whole
from app.domain.pages import Page, PageRequest, Position
from app.errors import InvalidInput

MOST = 200


class PageQuery(ma.Schema):
    """What every list can be asked."""

    cursor = ma.fields.String(
        validate=ma.validate.Regexp(r"^[A-Za-z0-9_-]{1,200}$"),
        metadata={
            "description": "The `next_cursor` of the page before",
            "example": "MjAyNi0xMS0yMlQwODowMDowMCswMDowMHw3",
        },
    )
    limit = Whole(
        load_default=50,
        validate=ma.validate.Range(1, MOST),
        metadata={"description": "How many to answer at most", "example": 50},
    )


@cache
def query_schema(filters: type[ma.Schema] | None) -> type[ma.Schema]:
    """A list's own filters, and the page."""
    if filters is None:
        return PageQuery
    return type(f"{filters.__name__}Page", (filters, PageQuery), {"__doc__": filters.__doc__})


@cache
def page_schema(item: type[ma.Schema]) -> type[ma.Schema]:
    """The answer of a list."""
    name = item.__name__.removesuffix("Schema")
    cursor = ma.fields.String(
        allow_none=True,
        required=True,
        metadata={"description": "Ask for the next page with it; null: this is the last", "example": None},
    )
    items = ma.fields.List(ma.fields.Nested(item), required=True, metadata={"description": "The page"})
    return type(
        f"{name}ListSchema", (ma.Schema,), {"__doc__": f"A page of {name}.", "items": items, "next_cursor": cursor}
    )


def paged(run: Callable[..., Response], *, keeps_query: bool) -> Callable[..., Response]:
    """The view, with the page in its caller instead of its query."""

    @wraps(run)
    def with_page(*, caller: Any, query: dict[str, Any], **kwargs: Any) -> Response:
        page = PageRequest(query.pop("limit"), _position(query.pop("cursor", None)))
        if keeps_query:
            kwargs["query"] = query
        return run(caller=replace(caller, page=page), **kwargs)

    return with_page


def shown(page: Page[Any]) -> dict[str, Any]:
    """A page as its schema wants it."""
    cursor = None if page.next_after is None else _cursor(page.next_after)
    return {"items": page.items, "next_cursor": cursor}


def _cursor(position: Position) -> str:
    instant, row_id = position
    text = f"{instant.astimezone(UTC).isoformat()}|{row_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode("ascii")
        instant, _, row_id = text.partition("|")
        position = datetime.fromisoformat(instant), int(row_id)
    except (ValueError, binascii.Error):
        raise InvalidInput("cursor", "is not a cursor of this list") from None
    if position[0].tzinfo is None or not 0 <= position[1] < 2**63 or _cursor(position) != cursor:
        raise InvalidInput("cursor", "is not a cursor of this list")
    return position
