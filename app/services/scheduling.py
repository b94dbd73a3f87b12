"""Finding free starts and booking them. Every front door comes through here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from gevent import Timeout
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from app.domain.appointments import (
    AppointmentDetails,
    BookAppointment,
    FindSlots,
    FreeSlot,
    SlotSearch,
    Source,
    Status,
)
from app.domain.availability import Refusal
from app.errors import (
    CalendarUnavailable,
    IdempotencyConflict,
    InvalidInput,
    MoedError,
    NotFound,
    OutcomeUnknown,
    SlotRefused,
    SlotTaken,
    SlotUnavailable,
)
from app.models import Appointment, AppointmentChange, Calendar
from app.services import checks
from app.services.calendars import (
    LONGEST_FOOTPRINT,
    Bookable,
    Rules,
    as_local,
    decide,
    lock_calendar,
    read_busy,
    read_rules,
    zone_of,
)
from app.services.database import Database
from app.services.slot_search import SlotFinder

log = structlog.get_logger(__name__)

MOST_OFFERS = 100


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


class Scheduling:
    """The calendar of every business. Instants in answers carry the business's offset."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now

    def find_slots(self, wish: FindSlots) -> SlotSearch:
        """Free starts for a wish, or why there is none and what else is free.

        No day: the next free starts (at that time of day, if one is given). A day: that day's first, or the next
        after it. A day and a time: that start first, then the nearest of the day, then later ones.
        Raises InvalidInput, NotFound, CalendarUnavailable.
        """
        _check_wish(wish)
        with self._db.reading(wish.business_id) as session:
            return SlotFinder(session, wish.business_id, self._now()).search(wish)

    def book_appointment(self, command: BookAppointment) -> AppointmentDetails:
        """Book a start; when this returns, the row is committed.

        Raises SlotTaken or SlotRefused (both with alternatives), InvalidInput, NotFound, IdempotencyConflict,
        CalendarUnavailable (nothing written), OutcomeUnknown (nobody can say).
        """
        command = _checked(command)
        try:
            with self._db.tenant(command.business_id, conflict=SlotTaken) as session:
                details = self._book(session, command)
        except SlotUnavailable as refusal:
            # Only now, with the lock released: others need not wait for the search.
            refusal.alternatives = self._alternatives_to(command)
            raise
        except OutcomeUnknown as lost:
            if isinstance(lost.__cause__, Timeout):
                raise  # the caller's time is up: no time to read back
            details = self._read_back(command)
        log.info("appointment booked", business_id=details.business_id, appointment_id=details.id)
        return details

    def get_appointment(self, business_id: int, appointment_id: int) -> AppointmentDetails:
        """One appointment as it is now; raises NotFound."""
        with self._db.reading(business_id) as session:
            row = session.get(Appointment, (business_id, appointment_id))
            if row is None:
                raise NotFound("no such appointment")
            return _details(row, zone_of(session, business_id))

    def mark_confirmed_to_caller(self, business_id: int, appointment_id: int) -> None:
        """The caller has heard the appointment's number. The first time counts. Raises NotFound."""
        with self._db.tenant(business_id) as session:
            row = session.get(Appointment, (business_id, appointment_id), with_for_update={"key_share": True})
            if row is None:
                raise NotFound("no such appointment")
            if row.confirmed_to_caller_at is None:
                row.confirmed_to_caller_at = self._now()
                _record(session, row, "confirmed_to_caller", row.confirmed_to_caller_at)

    def _book(self, session: Session, command: BookAppointment) -> AppointmentDetails:
        number = lock_calendar(session, command.business_id)
        earlier = _find_by_key(session, command)
        if earlier is not None:
            return _details(earlier, zone_of(session, command.business_id))
        now = self._now()
        rules = read_rules(session, command.business_id)
        _expire_holds(session, command, now)
        row = _new_row(command, _choose(session, rules, command, now), number, now)
        session.add(row)
        session.execute(
            update(Calendar)
            .where(Calendar.business_id == command.business_id)
            .values(next_number=Calendar.next_number + 1)
        )
        session.flush()
        _record(session, row, "booked", now)
        return _details(row, rules.zone)

    def _read_back(self, command: BookAppointment) -> AppointmentDetails:
        """What became of a COMMIT whose answer was lost.

        Once the calendar is locked the lost transaction has ended, one way or the other: it held that lock.
        """
        if command.idempotency_key is None:
            raise OutcomeUnknown("the answer to COMMIT was lost, and there is no key to look for")
        try:
            with self._db.tenant(command.business_id) as session:
                lock_calendar(session, command.business_id)
                row = _find_by_key(session, command)
                details = None if row is None else _details(row, zone_of(session, command.business_id))
        except (CalendarUnavailable, Timeout) as error:
            raise OutcomeUnknown("the answer to COMMIT was lost and could not be read back") from error
        if details is None:
            raise CalendarUnavailable("the connection broke before COMMIT: nothing was written")
        return details

    def _alternatives_to(self, command: BookAppointment) -> tuple[FreeSlot, ...]:
        """Free starts near a refused one; none if the database is gone by now: the refusal itself stands."""
        try:
            with self._db.reading(command.business_id) as session:
                wanted = as_local(command.starts_at, zone_of(session, command.business_id))
                wish = FindSlots(command.business_id, wanted.date(), wanted.time())
                return SlotFinder(session, command.business_id, self._now()).search(wish).offers
        except MoedError as error:
            log.warning("no alternatives", code=error.code)
            return ()


def _check_wish(wish: FindSlots) -> None:
    if wish.day is not None:
        checks.calendar_day("day", wish.day)
    if wish.at is not None and wish.at.tzinfo is not None:
        raise InvalidInput("at", "must be a wall-clock time without an offset")
    if not 1 <= wish.limit <= MOST_OFFERS:
        raise InvalidInput("limit", f"must be between 1 and {MOST_OFFERS}")


def _checked(command: BookAppointment) -> BookAppointment:
    """The command with its values trimmed and its start in UTC."""
    phone, key = command.customer_phone, command.idempotency_key
    return replace(
        command,
        starts_at=checks.instant("starts_at", command.starts_at),
        customer_name=checks.line("customer_name", command.customer_name, 200),
        customer_phone=None if phone is None else checks.phone_number("customer_phone", phone),
        notes=checks.prose("notes", command.notes, 2000),
        idempotency_key=None if key is None else checks.identifier("idempotency_key", key),
    )


def _find_by_key(session: Session, command: BookAppointment) -> Appointment | None:
    """The appointment that this very command has made before."""
    if command.idempotency_key is None:
        return None
    row = session.scalars(
        select(Appointment).where(
            Appointment.business_id == command.business_id,
            Appointment.idempotency_key == command.idempotency_key,
        )
    ).one_or_none()
    if row is not None and row.idempotency_sha256 != _fingerprint(command):
        raise IdempotencyConflict("this key has booked something else")
    return row


def _fingerprint(command: BookAppointment) -> bytes:
    """Of the command and not of the row, which may have been moved or corrected since.

    What was not asked for is left out, so that a new optional field does not disown the older keys.
    """
    asked = {name: value for name, value in asdict(command).items() if value is not None}
    asked["starts_at"] = command.starts_at.isoformat()
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()


def _expire_holds(session: Session, command: BookAppointment, now: datetime) -> None:
    """Free what overdue holds still occupy near the wanted start: the EXCLUDE constraint knows no clock."""
    expired = session.scalars(
        select(Appointment).where(
            Appointment.business_id == command.business_id,
            Appointment.starts_at > command.starts_at - 2 * LONGEST_FOOTPRINT,
            Appointment.starts_at < command.starts_at + LONGEST_FOOTPRINT,
            Appointment.status == Status.HELD,
            Appointment.expires_at <= now,
        )
    )
    for hold in expired:
        hold.status = Status.EXPIRED
        hold.expires_at = None
        _record(session, hold, "expired", now)
    session.flush()


def _choose(session: Session, rules: Rules, command: BookAppointment, now: datetime) -> Bookable:
    """The resource that takes the start: the wished one, or else the least busy that is free."""
    day = rules.day_of(command.starts_at)
    busy = read_busy(session, rules, day, day, now)
    candidates = busy.by_preference(day)
    if command.resource_id is not None:
        candidates = [bookable for bookable in candidates if bookable.resource_id == command.resource_id]
        if not candidates:
            raise NotFound("no such resource, or it takes no appointments")
    answer = decide(candidates, busy, command.starts_at, now)
    if isinstance(answer, Refusal):
        raise _refusal_error(answer)
    return answer


def _refusal_error(refusal: Refusal) -> SlotUnavailable:
    if refusal.code == "taken":
        return SlotTaken(refusal.message)
    return SlotRefused(refusal.code, refusal.message)


def _new_row(command: BookAppointment, bookable: Bookable, number: int, now: datetime) -> Appointment:
    policy = bookable.policy
    before, after = policy.buffer_before_min, policy.buffer_after_min
    ends_at = command.starts_at + timedelta(minutes=policy.slot_size_min)
    return Appointment(
        business_id=command.business_id,
        number=number,
        resource_id=bookable.resource_id,
        starts_at=command.starts_at,
        ends_at=ends_at,
        buffer_before_min=before,
        buffer_after_min=after,
        footprint=Range(command.starts_at - timedelta(minutes=before), ends_at + timedelta(minutes=after)),
        status=Status.CONFIRMED,
        source=command.source,
        call_id=command.call_id,
        idempotency_key=command.idempotency_key,
        idempotency_sha256=None if command.idempotency_key is None else _fingerprint(command),
        customer_name=command.customer_name,
        customer_phone=command.customer_phone,
        notes=command.notes,
        created_at=now,
    )


def _record(session: Session, row: Appointment, kind: str, now: datetime) -> None:
    """A line of the audit trail: no personal data."""
    session.add(
        AppointmentChange(
            business_id=row.business_id,
            appointment_id=row.id,
            kind=kind,
            source=row.source,
            data={
                "starts_at": row.starts_at.isoformat(),
                "resource_id": row.resource_id,
                "status": row.status,
                "call_id": row.call_id,
            },
            changed_at=now,
        )
    )


def _details(row: Appointment, zone: ZoneInfo) -> AppointmentDetails:
    return AppointmentDetails(
        id=row.id,
        business_id=row.business_id,
        number=row.number,
        resource_id=row.resource_id,
        starts_at=as_local(row.starts_at, zone),
        ends_at=as_local(row.ends_at, zone),
        status=Status(row.status),
        source=Source(row.source),
        customer_name=row.customer_name,
        customer_phone=row.customer_phone,
        notes=row.notes,
        call_id=row.call_id,
        confirmed_to_caller_at=row.confirmed_to_caller_at and as_local(row.confirmed_to_caller_at, zone),
    )
