"""What erasing does to rows. Each function works in the caller's transaction and says how much it changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from app.domain.appointments import TRANSITIONS, Action, ChangeStatus, Source
from app.domain.privacy import ERASED, Erasure
from app.domain.transcripts import without_words
from app.models import Call, CallEvent, Event, IdempotencyKey, Message
from app.services.appointment_rows import Customer, Doer, lock_row, record, set_customer, touch
from app.services.calendar_writes import Writing
from app.services.changing import change_status
from app.services.customer_records import Records

# One statement for all rows: a transaction must not take a round trip for each line of a timeline.
_REPLACE_DATA = text(
    """
    UPDATE call_events e SET data = given.data
    FROM (
        SELECT unnest(CAST(:calls AS bigint[])) AS call_id, unnest(CAST(:seqs AS integer[])) AS seq,
            CAST(unnest(CAST(:datas AS text[])) AS jsonb) AS data
    ) given
    WHERE e.business_id = :business_id AND e.call_id = given.call_id AND e.seq = given.seq
    """
)


def erase_records(writing: Writing, found: Records, source: Source, actor: str) -> Erasure:
    """Take the customer out of these rows. The caller holds the calendar's lock."""
    session, business_id, now = writing.session, writing.business_id, writing.now
    cancelled = sum(
        _erase_appointment(writing, row_id, Doer(source, actor), source) for row_id in found.appointments
    )
    erase_words(session, business_id, found.calls, now)
    session.execute(
        update(Call)
        .where(Call.business_id == business_id, Call.id.in_(found.calls))
        .values(caller_number=None)
        .execution_options(synchronize_session=False)
    )
    events = empty_events(
        session,
        business_id,
        or_(
            Event.appointment_id.in_(found.appointments),
            Event.call_id.in_(found.calls),
            Event.message_row_id.in_(found.messages),
        ),
        now,
    )
    _delete_messages(session, business_id, found.messages)
    return Erasure(
        appointments=len(found.appointments),
        cancelled=cancelled,
        calls=len(found.calls),
        messages=len(found.messages),
        events=events,
    )


def erase_words(session: Session, business_id: int, call_ids: Sequence[int], now: datetime) -> None:
    """Take what was said out of the timelines of these calls, and let no more in.

    The calls come first: who appends to a timeline locks its call, and so either is done or sees the mark.
    """
    session.execute(
        update(Call)
        .where(Call.business_id == business_id, Call.id.in_(call_ids))
        .values(transcript_erased_at=func.coalesce(Call.transcript_erased_at, now))
        .execution_options(synchronize_session=False)
    )
    lines = session.execute(
        select(CallEvent.call_id, CallEvent.seq, CallEvent.kind, CallEvent.data).where(
            CallEvent.business_id == business_id, CallEvent.call_id.in_(call_ids)
        )
    ).all()
    left = [(line, without_words(line.kind, line.data)) for line in lines]
    changed = [(line, data) for line, data in left if data != line.data]
    if changed:
        session.execute(
            _REPLACE_DATA,
            {
                "business_id": business_id,
                "calls": [line.call_id for line, _ in changed],
                "seqs": [line.seq for line, _ in changed],
                "datas": [json.dumps(data) for _, data in changed],
            },
        )


def empty_events(session: Session, business_id: int, which: ColumnElement[bool], now: datetime) -> int:
    """Leave nothing but ids in the payloads of these events; deliveries that are under way carry that."""
    bare = func.jsonb_build_object(
        "type",
        Event.type,
        "timestamp",
        Event.payload["timestamp"],
        "business_id",
        Event.business_id,
        "data",
        func.jsonb_build_object("id", Event.payload["data"]["id"], ERASED, True),  # noqa: FBT003 - a JSON value
    )
    emptied = session.scalars(
        update(Event)
        .where(Event.business_id == business_id, Event.emptied_at.is_(None), which)
        .values(payload=bare, emptied_at=now)
        .returning(Event.id)
        .execution_options(synchronize_session=False)
    )
    return len(emptied.all())


def shows_number(phone: str) -> ColumnElement[bool]:
    """Events whose payload names this number."""
    data = Event.payload["data"]
    return or_(*(data[name].astext == phone for name in ("customer_phone", "caller_number")))


def forget_answers(session: Session, business_id: int, phone: str) -> int:
    """Delete the answers kept for Idempotency-Keys that show this number."""
    told = func.strpos(IdempotencyKey.body, phone) > 0
    gone = session.scalars(
        delete(IdempotencyKey)
        .where(IdempotencyKey.business_id == business_id, told)
        .returning(IdempotencyKey.key)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())


def _erase_appointment(writing: Writing, appointment_id: int, doer: Doer, source: Source) -> bool:
    """Whether it had to be cancelled: nobody may be expected under no name."""
    row = lock_row(writing.session, writing.business_id, appointment_id)
    coming = row.status in TRANSITIONS[Action.CANCEL].sources and row.starts_at > writing.now
    if coming:
        command = ChangeStatus(writing.business_id, row.id, source, doer.actor, reason=ERASED)
        change_status(writing, command, Action.CANCEL)
    elif row.cancel_reason is not None:
        row.cancel_reason = ERASED
    set_customer(row, Customer(ERASED if row.customer_name else "", None, ""))
    # The hash is of what was asked, name and number included.
    row.idempotency_key = None
    row.idempotency_sha256 = None
    touch(row, writing.now)
    record(writing.session, row, "erased", writing.now, doer)
    return coming


def _delete_messages(session: Session, business_id: int, message_ids: Sequence[int]) -> None:
    session.execute(
        update(Event)
        .where(Event.business_id == business_id, Event.message_row_id.in_(message_ids))
        .values(message_row_id=None)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        delete(Message)
        .where(Message.business_id == business_id, Message.id.in_(message_ids))
        .execution_options(synchronize_session=False)
    )
