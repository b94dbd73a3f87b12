"""Every change of what is booked: one transaction under the calendar's lock, and what became of its COMMIT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from gevent import Timeout
from sqlalchemy.orm import Session

from app.domain.appointments import AppointmentDetails
from app.errors import CalendarUnavailable, MoedError, OutcomeUnknown
from app.models import AppointmentChange
from app.services.calendars import lock_calendar, zone_of
from app.services.database import Database


@dataclass(frozen=True, slots=True)
class Writing:
    """A transaction that holds a calendar. `number` is the next appointment's, `now` its one instant."""

    session: Session
    business_id: int
    number: int
    now: datetime
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction leaves, and the line that it wrote to the audit trail; None: there was nothing to do."""

    details: AppointmentDetails
    change: AppointmentChange | None = None


class CalendarWrites:
    """Runs changes of calendars."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._db = database
        self._now = now

    def run(
        self,
        business_id: int,
        work: Callable[[Writing], Written],
        conflict: Callable[[str], MoedError] = CalendarUnavailable,
    ) -> AppointmentDetails:
        """Do `work` under the lock; when this returns, it is committed.

        Raises what `work` raises, `conflict` for somebody else's conflicting write, CalendarUnavailable (nothing
        written), OutcomeUnknown (nobody can say).
        """
        written = None
        try:
            with self._db.tenant(business_id, conflict=conflict) as session:
                number = lock_calendar(session, business_id)
                written = work(Writing(session, business_id, number, self._now(), zone_of(session, business_id)))
        except OutcomeUnknown as lost:
            if isinstance(lost.__cause__, Timeout) or written is None:
                raise  # the caller's time is up: no time to read back
            self._read_back(business_id, written)
        return written.details

    def _read_back(self, business_id: int, written: Written) -> None:
        """Raise unless the COMMIT whose answer was lost has been done.

        Once the calendar is locked the lost transaction has ended, one way or the other: it held that lock. Its
        line of the audit trail has an id that no other transaction can have drawn.
        """
        if written.change is None:
            return
        try:
            with self._db.tenant(business_id) as session:
                lock_calendar(session, business_id)
                done = session.get(AppointmentChange, (business_id, written.change.id)) is not None
        except (MoedError, Timeout) as error:
            raise OutcomeUnknown("the answer to COMMIT was lost and could not be read back") from error
        if not done:
            raise CalendarUnavailable("the connection broke before COMMIT: nothing was written")
