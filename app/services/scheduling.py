"""The calendar, as every front door sees it: finding free starts, booking them, changing what is booked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.appointments import (
    Action,
    AppointmentChange,
    AppointmentDetails,
    AppointmentFilter,
    Availability,
    BookAppointment,
    ChangeStatus,
    ConfirmHold,
    FindAvailability,
    FindSlots,
    FreeSlot,
    HoldSlot,
    RescheduleAppointment,
    SlotSearch,
    Source,
    Status,
    UpdateDetails,
)
from app.domain.pages import Page, PageRequest
from app.errors import InvalidInput, MoedError, SlotTaken, SlotUnavailable
from app.models import Appointment
from app.services import booking, changing, checks
from app.services.appointment_lists import AppointmentLists
from app.services.appointment_rows import Doer, find_row, lock_row, record, touch
from app.services.calendar_writes import CalendarWrites, Writing, Written
from app.services.calendars import Rules, Shape, as_local, lock_calendar, read_rules, read_shape, zone_of
from app.services.database import Database
from app.services.slot_search import SlotFinder

log = structlog.get_logger(__name__)

MOST_OFFERS = 100
MOST_DAYS = 31


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


class Scheduling:
    """The calendar of every business. Instants in answers carry the business's offset.

    Every change raises NotFound, CalendarUnavailable (nothing written) and OutcomeUnknown (nobody can say); those
    of one appointment also StaleVersion, if its version is not the one that was expected, and InvalidState, if
    `app.domain.appointments.TRANSITIONS` has no such change. When a change returns, it is committed.
    """

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now
        self._writes = CalendarWrites(database, now)
        self._lists = AppointmentLists(database)

    def find_slots(self, wish: FindSlots) -> SlotSearch:
        """Free starts for a wish, or why there is none and what else is free.

        No day: the next free starts (at that time of day, if one is given). A day: that day's first, or the next
        after it. A day and a time: that start first, then the nearest of the day, then later ones.
        Raises InvalidInput, NotFound, InvalidState (the type is no longer given), CalendarUnavailable.
        """
        _check_wish(wish)
        with self._db.reading(wish.business_id) as session:
            shape = read_shape(session, wish.business_id, wish.appointment_type_id)
            return self._finder(session, wish.business_id, shape).search(wish)

    def list_availability(self, wanted: FindAvailability) -> Availability:
        """Every free start of each date, or why it has none. Raises as `find_slots` does."""
        _check_days(wanted)
        with self._db.reading(wanted.business_id) as session:
            shape = read_shape(session, wanted.business_id, wanted.appointment_type_id)
            finder = self._finder(session, wanted.business_id, shape, wanted.resource_id)
            return Availability(finder.timezone, finder.by_day(wanted.first_day, wanted.last_day))

    def book_appointment(self, command: BookAppointment) -> AppointmentDetails:
        """Book a start.

        Raises SlotTaken or SlotRefused (both with alternatives), InvalidInput, IdempotencyConflict; InvalidState
        if the type is no longer given.
        """
        checked = booking.checked_booking(command)
        if not checked.overbook:
            self._look(checked)
        details = self._place(checked, lambda writing: booking.book(writing, checked))
        log.info("appointment booked", business_id=details.business_id, appointment_id=details.id)
        return details

    def hold_slot(self, command: HoldSlot) -> AppointmentDetails:
        """Keep a start for some minutes. Raises what booking raises."""
        checked = booking.checked_hold(command)
        self._look(checked)
        return self._place(checked, lambda writing: booking.hold(writing, checked))

    def confirm_hold(self, command: ConfirmHold) -> AppointmentDetails:
        """Turn a hold into an appointment. Raises InvalidInput; InvalidState also if its place is lost."""
        return self._writes.run(command.business_id, lambda writing: changing.confirm_hold(writing, command))

    def release_hold(self, command: ChangeStatus) -> AppointmentDetails:
        """Give up a hold. One that has ended already stays as it is."""
        return self._change(command, Action.RELEASE_HOLD)

    def reschedule_appointment(self, command: RescheduleAppointment) -> AppointmentDetails:
        """Move an appointment. Raises SlotTaken or SlotRefused (both with alternatives), InvalidInput."""
        checked = changing.checked_move(command)
        return self._place(checked, lambda writing: changing.reschedule(writing, checked))

    def cancel_appointment(self, command: ChangeStatus) -> AppointmentDetails:
        """Cancel an appointment; its place is free. A cancelled one stays as it is."""
        return self._change(command, Action.CANCEL)

    def mark_no_show(self, command: ChangeStatus) -> AppointmentDetails:
        """Note that nobody came. Only once it has begun."""
        return self._change(command, Action.NO_SHOW)

    def complete_appointment(self, command: ChangeStatus) -> AppointmentDetails:
        """Note that it took place. Only once it has begun."""
        return self._change(command, Action.COMPLETE)

    def update_details(self, command: UpdateDetails) -> AppointmentDetails:
        """Correct what is known of the customer. Raises InvalidInput."""
        checked = changing.checked_details(command)
        return self._writes.run(command.business_id, lambda writing: changing.update_details(writing, checked))

    def get_appointment(self, business_id: int, appointment_id: int) -> AppointmentDetails:
        """One appointment as it is now; raises NotFound."""
        return self._lists.get(business_id, appointment_id)

    def list_appointments(
        self, business_id: int, wanted: AppointmentFilter, page: PageRequest
    ) -> Page[AppointmentDetails]:
        """Appointments by start and id. Raises InvalidInput, NotFound (no such business)."""
        return self._lists.page(business_id, wanted, page)

    def get_history(self, business_id: int, appointment_id: int) -> tuple[AppointmentChange, ...]:
        """All that was ever done to an appointment, in order; raises NotFound."""
        return self._lists.history(business_id, appointment_id)

    def mark_confirmed_to_caller(self, business_id: int, appointment_id: int) -> None:
        """The caller has heard the appointment's number. The first time counts. Raises NotFound."""
        with self._db.tenant(business_id) as session:
            row = lock_row(session, business_id, appointment_id)
            if row.confirmed_to_caller_at is None:
                row.confirmed_to_caller_at = self._now()
                touch(row, row.confirmed_to_caller_at)
                by_call = Doer(Source.VOICE, None if row.call_id is None else f"call:{row.call_id}")
                record(session, row, "confirmed_to_caller", row.confirmed_to_caller_at, by_call)

    def expire_holds(self) -> int:
        """Note that the overdue holds of all businesses have ended; how many. Nothing waits for it."""
        with self._db.system() as session:
            tenants = session.scalars(select(func.all_tenants())).all()
        return sum(map(self._expire_holds_of, tenants))

    def _expire_holds_of(self, business_id: int) -> int:
        overdue = select(Appointment).where(
            Appointment.business_id == business_id,
            Appointment.status == Status.HELD,
            Appointment.expires_at <= self._now(),
        )
        with self._db.reading(business_id) as session:
            if session.scalars(overdue.limit(1)).one_or_none() is None:
                return 0  # the common case leaves the calendar alone
        with self._db.tenant(business_id) as session:
            number = lock_calendar(session, business_id)
            writing = Writing(session, business_id, number, self._now(), zone_of(session, business_id))
            rows = session.scalars(overdue).all()
            for row in rows:
                booking.expire(writing, row)
            return len(rows)

    def _change(self, command: ChangeStatus, action: Action) -> AppointmentDetails:
        checked = changing.checked_change(command)
        return self._writes.run(
            command.business_id, lambda writing: changing.change_status(writing, checked, action)
        )

    def _look(self, command: BookAppointment | HoldSlot) -> None:
        """Raise what would be raised under the lock, without waiting for it.

        Of a crowd that wants one start only those queue for the calendar who come before somebody has it. What
        repeats a booking goes on, to be answered with it: so the key is looked for after the place.
        """
        with self._db.reading(command.business_id) as session:
            shape = _shape_of(session, command)
            rules = read_rules(session, command.business_id, shape)
            refusal = booking.refusal_of(session, rules, command, self._now())
            if refusal is None or booking.find_made_before(session, command) is not None:
                return
            finder = SlotFinder(session, rules, self._now())
            refusal.alternatives = finder.search(_wish_near(rules, command)).offers
        raise refusal

    def _place(
        self,
        command: BookAppointment | HoldSlot | RescheduleAppointment,
        work: Callable[[Writing], Written],
    ) -> AppointmentDetails:
        try:
            return self._writes.run(command.business_id, work, SlotTaken)
        except SlotUnavailable as refusal:
            # Only now, with the lock released: others need not wait for the search.
            refusal.alternatives = self._alternatives_to(command)
            raise

    def _alternatives_to(
        self, command: BookAppointment | HoldSlot | RescheduleAppointment
    ) -> tuple[FreeSlot, ...]:
        """Free starts near a refused one; none if the database is gone by now: the refusal itself stands."""
        try:
            with self._db.reading(command.business_id) as session:
                rules = read_rules(session, command.business_id, _shape_of(session, command))
                return SlotFinder(session, rules, self._now()).search(_wish_near(rules, command)).offers
        except MoedError as error:
            log.warning("no alternatives", code=error.code)
            return ()

    def _finder(
        self, session: Session, business_id: int, shape: Shape, resource_id: int | None = None
    ) -> SlotFinder:
        rules = read_rules(session, business_id, shape).only(resource_id)
        return SlotFinder(session, rules, self._now())


def _shape_of(session: Session, command: BookAppointment | HoldSlot | RescheduleAppointment) -> Shape:
    if isinstance(command, RescheduleAppointment):
        return changing.shape_of(session, find_row(session, command.business_id, command.appointment_id))
    return read_shape(session, command.business_id, command.appointment_type_id)


def _wish_near(rules: Rules, command: BookAppointment | HoldSlot | RescheduleAppointment) -> FindSlots:
    wanted = as_local(command.starts_at, rules.zone)
    return FindSlots(command.business_id, wanted.date(), wanted.time())


def _check_wish(wish: FindSlots) -> None:
    checks.row_id_or_none("appointment_type_id", wish.appointment_type_id)
    if wish.day is not None:
        checks.calendar_day("day", wish.day)
    if wish.at is not None and wish.at.tzinfo is not None:
        raise InvalidInput("at", "must be a wall-clock time without an offset")
    checks.whole_number("limit", wish.limit, 1, MOST_OFFERS)


def _check_days(wanted: FindAvailability) -> None:
    checks.row_id_or_none("appointment_type_id", wanted.appointment_type_id)
    checks.row_id_or_none("resource_id", wanted.resource_id)
    checks.calendar_day("from", wanted.first_day)
    checks.calendar_day("to", wanted.last_day)
    if not 0 <= (wanted.last_day - wanted.first_day).days < MOST_DAYS:
        raise InvalidInput("to", f"must be the first day or one of the {MOST_DAYS - 1} after it")
