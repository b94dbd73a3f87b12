"""Customers' data: exported and erased on request, and forgotten when its time is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.appointments import Source
from app.domain.privacy import CustomerExport, Erasure, ExportedAppointment
from app.errors import MoedError, NotFound
from app.models import Appointment, Business, Call, Event
from app.services import checks
from app.services.appointment_lists import history_of
from app.services.appointment_rows import details_of
from app.services.calendar_writes import Writing
from app.services.calendars import as_local, country_of, lock_calendar, zone_of
from app.services.call_log import records_of
from app.services.customer_records import records_under
from app.services.database import Database
from app.services.erasing import empty_events, erase_records, erase_words, forget_answers, shows_number
from app.services.messages import messages_of
from app.services.scheduling import utc_now

log = structlog.get_logger(__name__)

AT_ONCE = 20
"""Calls and appointments of one transaction: it holds the calendar, and must end within the statement timeout."""

EVENTS_AT_ONCE = 500


class Privacy:
    """What is known of a business's customers. Numbers are E.164, or as they are dialled in its country."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now

    def export_customer(self, business_id: int, phone: str) -> CustomerExport:
        """All that is stored under a number. Raises InvalidInput, NotFound."""
        with self._db.reading(business_id) as session:
            zone = zone_of(session, business_id)
            number = checks.local_phone_number("phone", phone, country_of(session, business_id))
            found = records_under(session, business_id, number)
            calls = session.scalars(
                select(Call).where(Call.business_id == business_id, Call.id.in_(found.calls)).order_by(Call.id)
            ).all()
            return CustomerExport(
                phone=number,
                exported_at=as_local(self._now(), zone),
                timezone=zone.key,
                appointments=_exported(session, business_id, found.appointments),
                calls=tuple(records_of(session, business_id, calls)),
                messages=tuple(messages_of(session, business_id, found.messages)),
            )

    def erase_customer(self, business_id: int, phone: str, source: Source, actor: str) -> Erasure:
        """Erase all that is stored under a number; appointments to come are cancelled first.

        In transactions of a bounded size: what an interruption leaves, the same request again erases. Raises
        InvalidInput, NotFound, CalendarUnavailable.
        """
        with self._db.reading(business_id) as session:
            number = checks.local_phone_number("phone", phone, country_of(session, business_id))
        erased = Erasure()
        while some := self._erase_some(business_id, number, source, actor):
            erased += some
        with self._db.tenant(business_id) as session:
            # What was told of an appointment while it had this number.
            events = empty_events(session, business_id, shows_number(number), self._now())
            answers = forget_answers(session, business_id, number)
        erased += Erasure(events=events, stored_answers=answers)
        log.info("customer erased", business_id=business_id, actor=actor, **_counts(erased))
        return erased

    def purge_transcripts(self, business_id: int) -> int:
        """Forget what was said in calls older than the business keeps it, and the events of that time; how many.

        Kinds, times and measures of a timeline stay. Raises NotFound.
        """
        now = self._now()
        with self._db.reading(business_id) as session:
            days = session.execute(
                select(Business.transcript_retention_days).where(Business.id == business_id)
            ).one_or_none()
        if days is None:
            raise NotFound("no such business")
        if days[0] is None:
            return 0
        before, purged = now - timedelta(days=days[0]), 0
        for purge, most in ((_purge_calls, AT_ONCE), (_purge_events, EVENTS_AT_ONCE)):
            more = True
            while more:
                with self._db.tenant(business_id) as session:
                    count = purge(session, business_id, before, now)
                purged += count
                more = count == most
        return purged

    def purge_everywhere(self) -> int:
        """`purge_transcripts` of every business, for the housekeeper; one that fails does not stop the rest."""
        with self._db.system() as session:
            tenants = session.scalars(select(func.all_tenants())).all()
        purged = 0
        for business_id in tenants:
            try:
                purged += self.purge_transcripts(business_id)
            except MoedError as error:
                log.warning("transcripts not purged", business_id=business_id, code=error.code)
        return purged

    def _erase_some(self, business_id: int, number: str, source: Source, actor: str) -> Erasure | None:
        with self._db.tenant(business_id) as session:
            next_number = lock_calendar(session, business_id)
            found = records_under(session, business_id, number, AT_ONCE)
            if not found:
                return None
            zone = zone_of(session, business_id)
            writing = Writing(session, business_id, next_number, self._now(), zone)
            return erase_records(writing, found, source, actor)


def _exported(session: Session, business_id: int, ids: list[int]) -> tuple[ExportedAppointment, ...]:
    zone = zone_of(session, business_id)
    rows = session.scalars(
        select(Appointment)
        .where(Appointment.business_id == business_id, Appointment.id.in_(ids))
        .order_by(Appointment.starts_at, Appointment.id)
    )
    return tuple(
        ExportedAppointment(details_of(row, zone), history_of(session, business_id, row.id, zone)) for row in rows
    )


def _purge_calls(session: Session, business_id: int, before: datetime, now: datetime) -> int:
    """A call lasts less than a day, so when it came in is old enough an answer. `before` is some days ago."""
    old = (
        select(Call.id)
        .where(Call.business_id == business_id, Call.created_at < before, Call.transcript_erased_at.is_(None))
        .order_by(Call.created_at)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True, key_share=True)
    )
    ids = session.scalars(old).all()
    erase_words(session, business_id, ids, now)
    return len(ids)


def _purge_events(session: Session, business_id: int, before: datetime, now: datetime) -> int:
    old = (
        select(Event.id)
        .where(Event.business_id == business_id, Event.created_at < before, Event.emptied_at.is_(None))
        .limit(EVENTS_AT_ONCE)
        .with_for_update(skip_locked=True, key_share=True)
    )
    return empty_events(session, business_id, Event.id.in_(session.scalars(old).all()), now)


def _counts(erased: Erasure) -> dict[str, int]:
    names = ("appointments", "cancelled", "calls", "messages", "events", "stored_answers")
    return {name: getattr(erased, name) for name in names}
