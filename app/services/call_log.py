"""Calls for reading: lists with filters, and one call with its timeline and the appointments it made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, exists, select
from sqlalchemy.orm import Session

from app.domain.appointments import Status
from app.domain.calls import CallFilter, CallRecord, CallState, CallSummary, TimelineEntry
from app.domain.pages import Page, PageRequest
from app.errors import InvalidInput, NotFound
from app.models import Appointment, Call, CallEvent
from app.services import checks
from app.services.calendars import as_local, zone_of
from app.services.database import Database
from app.services.rows import read_page

_LAST_DIGITS = re.compile(r"[0-9]{2,15}")
_NEVER_BOOKED = (Status.HELD, Status.EXPIRED)
_INSTANTS = ("created_at", "started_at", "ended_at", "transcript_erased_at")
_SAME = ("id", "call_sid", "end_reason", "called_number", "caller_number", "stream_count", "duration_ms")


class CallLog:
    """What was stored of a business's calls."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def list_calls(self, business_id: int, wanted: CallFilter, request: PageRequest) -> Page[CallSummary]:
        """The calls that the filter lets through, newest first. Raises InvalidInput, NotFound."""
        conditions = _conditions(wanted)
        with self._db.reading(business_id) as session:
            zone = zone_of(session, business_id)
            page = read_page(
                session,
                select(Call).where(Call.business_id == business_id, *conditions),
                request,
                (Call.created_at, Call.id),
                lambda row: (row.created_at, row.id),
                lambda row: row,
                newest_first=True,
            )
            made = appointments_of_calls(session, business_id, [call.id for call in page.items])
            items = tuple(CallSummary(**_values(call, zone, made.get(call.id, ()))) for call in page.items)
            return Page(items, page.next_after)

    def get_call(self, business_id: int, call_id: int) -> CallRecord:
        """One call with its timeline. Raises NotFound."""
        with self._db.reading(business_id) as session:
            call = session.get(Call, (business_id, call_id))
            if call is None:
                raise NotFound("no such call")
            return records_of(session, business_id, [call])[0]


def records_of(session: Session, business_id: int, calls: Sequence[Call]) -> list[CallRecord]:
    """The calls with their timelines, in the same order."""
    zone = zone_of(session, business_id)
    ids = [call.id for call in calls]
    made = appointments_of_calls(session, business_id, ids)
    timelines: dict[int, list[TimelineEntry]] = {}
    for call_id, *entry in session.execute(
        select(CallEvent.call_id, CallEvent.at_ms, CallEvent.kind, CallEvent.data)
        .where(CallEvent.business_id == business_id, CallEvent.call_id.in_(ids))
        .order_by(CallEvent.call_id, CallEvent.seq)
    ):
        timelines.setdefault(call_id, []).append(TimelineEntry(*entry))
    return [
        CallRecord(
            **_values(call, zone, made.get(call.id, ())),
            timeline=tuple(timelines.get(call.id, ())),
        )
        for call in calls
    ]


def appointments_of_calls(
    session: Session, business_id: int, call_ids: Sequence[int]
) -> dict[int, tuple[int, ...]]:
    """The ids of the appointments that each call made, whatever has become of them since."""
    if not call_ids:
        return {}
    made: dict[int, tuple[int, ...]] = {}
    for call_id, appointment_id in session.execute(
        select(Appointment.call_id, Appointment.id)
        .where(
            Appointment.business_id == business_id,
            Appointment.call_id.in_(call_ids),
            Appointment.status.not_in(_NEVER_BOOKED),
        )
        .order_by(Appointment.id)
    ):
        if call_id is not None:
            made[call_id] = (*made.get(call_id, ()), appointment_id)
    return made


def _conditions(wanted: CallFilter) -> list[ColumnElement[bool]]:
    """Under row security only what is leakproof uses an index: = and < on columns, no LIKE."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.from_at is not None:
        conditions.append(Call.created_at >= checks.instant("from", wanted.from_at))
    if wanted.to_at is not None:
        conditions.append(Call.created_at < checks.instant("to", wanted.to_at))
    if wanted.state is not None:
        conditions.append(Call.state == wanted.state)
    if wanted.caller is not None:
        conditions.append(Call.caller_number == checks.phone_number("caller", wanted.caller))
    if wanted.caller_ends_with is not None:
        conditions.append(_ends_with(wanted.caller_ends_with))
    if wanted.booked is not None:
        made = exists().where(
            Appointment.business_id == Call.business_id,
            Appointment.call_id == Call.id,
            Appointment.status.not_in(_NEVER_BOOKED),
        )
        conditions.append(made if wanted.booked else ~made)
    return conditions


def _ends_with(digits: str) -> ColumnElement[bool]:
    if not _LAST_DIGITS.fullmatch(digits):
        raise InvalidInput("caller_ends_with", "must be 2 to 15 digits")
    first = digits[::-1]
    after = first[:-1] + chr(ord(first[-1]) + 1)
    return and_(Call.caller_reversed >= first, Call.caller_reversed < after)


def _values(call: Call, zone: ZoneInfo, appointment_ids: tuple[int, ...]) -> dict[str, Any]:
    values = {name: getattr(call, name) for name in _SAME}
    for name in _INSTANTS:
        at = getattr(call, name)
        values[name] = at and as_local(at, zone)
    return {
        **values,
        "state": CallState(call.state),
        "barge_ins": call.barge_in_count,
        "timezone": zone.key,
        "appointment_ids": appointment_ids,
    }
