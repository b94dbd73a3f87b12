"""What every service does with rows: give a page of them, and compare the version that a caller saw."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import InstrumentedAttribute

from app.domain.pages import Page, PageRequest, Position
from app.errors import InvalidInput, StaleVersion

LONGEST_PAGE = 200

R = TypeVar("R")
T = TypeVar("T")


def read_page(
    session: Session,
    query: Select[R],
    request: PageRequest,
    order: tuple[InstrumentedAttribute[datetime] | ColumnElement[datetime], InstrumentedAttribute[int]],
    position: Callable[[R], Position],
    details: Callable[[R], T],
    *,
    newest_first: bool = False,
) -> Page[T]:
    """The rows of `query` after the request's position, ordered by an instant and an id, downwards for
    `newest_first`.

    `position` is the instant and id of a row, `details` what leaves the service. One row more than asked for
    tells whether there is a next page.
    """
    check_limit(request)
    if request.after is not None:
        row, end = tuple_(*order), tuple_(*map(literal, request.after))
        query = query.where(row < end if newest_first else row > end)
    ordered = query.order_by(*(column.desc() if newest_first else column for column in order))
    rows = session.scalars(ordered.limit(request.limit + 1)).all()
    shown = rows[: request.limit]
    more = position(shown[-1]) if len(rows) > request.limit else None
    return Page(tuple(map(details, shown)), more)


def check_limit(request: PageRequest) -> None:
    """Raise InvalidInput for a page that is too long, or empty."""
    if not 1 <= request.limit <= LONGEST_PAGE:
        raise InvalidInput("limit", f"must be between 1 and {LONGEST_PAGE}")


def check_version(found: int, expected: int | None) -> None:
    """Raise StaleVersion if somebody has changed the row since; None: the caller does not care."""
    if expected is not None and found != expected:
        raise StaleVersion(f"version {found} is stored, {expected} was expected")
