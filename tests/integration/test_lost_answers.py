"""A link that breaks around COMMIT, and a server that is gone: what the services say then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, create_engine, text

from app.domain.appointments import FindSlots
from app.domain.calls import CallClosing, CallState
from app.errors import CalendarUnavailable, OutcomeUnknown
from app.services import Services, build_services
from app.services.database import engine_options
from app.settings import load_settings
from tests.factories import (
    MONDAY,
    Clock,
    SomeBusiness,
    as_tenant,
    booking,
    change_of,
    confirming,
    holding,
    incoming_call,
    local,
    moving,
)
from tests.integration.flaky_link import Break, FlakyLink, flaky_link

TEN = local(MONDAY, "10:00")


@pytest.fixture
def link(database_url: str) -> Iterator[FlakyLink]:
    """The link between the services of a test and its database."""
    with flaky_link(database_url) as link:
        yield link


@pytest.fixture
def remote_engine(link: FlakyLink) -> Iterator[Engine]:
    """Two connections over the link."""
    engine = create_engine(load_settings({"DATABASE_URL": link.url}).database_url, **engine_options(2))
    yield engine
    engine.dispose()


@pytest.fixture
def remote(remote_engine: Engine, clock: Clock) -> Services:
    """Services that reach the database over the link."""
    return build_services(remote_engine, clock)


def count_rows(engine: Engine, business: SomeBusiness) -> int:
    with as_tenant(engine, business.id) as connection:
        return connection.execute(text("SELECT count(*) FROM appointments")).scalar_one()


def test_a_commit_whose_answer_is_lost_is_read_back(
    link: FlakyLink, remote: Services, business: SomeBusiness, engine: Engine
) -> None:
    """The row is there, so the details are: its line of the audit trail is found, under the lock."""
    link.breaks = Break.AFTER_COMMIT
    details = remote.scheduling.book_appointment(booking(business, TEN, idempotency_key="CA1:call_1"))
    assert details == remote.scheduling.get_appointment(business.id, details.id)
    assert count_rows(engine, business) == 1


def test_a_commit_that_never_arrived_has_written_nothing(
    link: FlakyLink, remote: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Nothing is there once the calendar is locked, so nothing was booked, and it can be tried again."""
    command = booking(business, TEN, idempotency_key="CA1:call_1")
    link.breaks = Break.BEFORE_COMMIT
    with pytest.raises(CalendarUnavailable):
        remote.scheduling.book_appointment(command)
    assert count_rows(engine, business) == 0
    remote.scheduling.book_appointment(command)
    assert count_rows(engine, business) == 1


@pytest.mark.parametrize(("how", "rows"), [(Break.AFTER_COMMIT, 1), (Break.BEFORE_COMMIT, 0)])
def test_an_outcome_that_can_t_be_read_back_is_unknown(
    link: FlakyLink, remote: Services, business: SomeBusiness, engine: Engine, how: Break, rows: int
) -> None:
    """The server can't be reached any more: it may or may not be written, and nobody pretends to know."""
    link.breaks, link.refuses_after_break = how, True
    with pytest.raises(OutcomeUnknown):
        remote.scheduling.book_appointment(booking(business, TEN, idempotency_key="CA1:call_1"))
    with as_tenant(engine, business.id) as connection:
        # The broken transaction ends by itself; taking its lock waits for that.
        connection.execute(text("SELECT next_number FROM calendars FOR NO KEY UPDATE")).one()
        assert connection.execute(text("SELECT count(*) FROM appointments")).scalar_one() == rows


def test_without_a_key_a_lost_answer_is_read_back_too(
    link: FlakyLink, remote: Services, business: SomeBusiness, engine: Engine
) -> None:
    """The line of the audit trail has an id of its own."""
    link.breaks = Break.AFTER_COMMIT
    details = remote.scheduling.book_appointment(booking(business, TEN))
    assert details == remote.scheduling.get_appointment(business.id, details.id)
    assert count_rows(engine, business) == 1


@pytest.mark.parametrize("how", [Break.AFTER_COMMIT, Break.BEFORE_COMMIT])
@pytest.mark.parametrize("action", ["move", "cancel", "confirm"])
def test_a_change_whose_answer_is_lost_is_read_back_or_was_never_made(
    link: FlakyLink, remote: Services, business: SomeBusiness, action: str, how: Break
) -> None:
    """The same for whatever changes an appointment; what was not written can be tried again."""
    calendar = remote.scheduling
    held = calendar.hold_slot(holding(business, TEN))
    if action == "confirm":
        before, attempt = held, lambda: calendar.confirm_hold(confirming(held))
    else:
        before = calendar.confirm_hold(confirming(held))
        noon = moving(before, local(MONDAY, "12:00"))
        attempt = {
            "move": lambda: calendar.reschedule_appointment(noon),
            "cancel": lambda: calendar.cancel_appointment(change_of(before)),
        }[action]
    link.breaks = how
    if how is Break.AFTER_COMMIT:
        after = attempt()
        assert after.version == before.version + 1
        assert after == calendar.get_appointment(business.id, before.id)
    else:
        with pytest.raises(CalendarUnavailable):
            attempt()
        assert calendar.get_appointment(business.id, before.id) == before
        assert attempt().version == before.version + 1


def test_a_change_that_can_t_be_read_back_is_unknown(
    link: FlakyLink, remote: Services, business: SomeBusiness
) -> None:
    """Nobody pretends to know whether it was moved."""
    before = remote.scheduling.book_appointment(booking(business, TEN))
    link.breaks, link.refuses_after_break = Break.AFTER_COMMIT, True
    with pytest.raises(OutcomeUnknown):
        remote.scheduling.reschedule_appointment(moving(before, local(MONDAY, "12:00")))


def test_a_lost_answer_to_another_write_is_unknown(
    link: FlakyLink, remote: Services, business: SomeBusiness
) -> None:
    """Every service says so, not only the one that can read back."""
    call = remote.calls.accept_call(incoming_call(business))
    link.breaks = Break.AFTER_COMMIT
    with pytest.raises(OutcomeUnknown):
        remote.calls.finish_stream(business.id, call.call_id, CallClosing(CallState.ENDED, "goodbye", 0, 10))
    assert remote.calls.get_call(business.id, call.call_id).state is CallState.ENDED


def test_connections_that_died_fail_nobody_once_the_server_is_back(
    link: FlakyLink, remote: Services, business: SomeBusiness
) -> None:
    """The pool holds dead connections; the next booking gets a live one."""
    remote.scheduling.find_slots(FindSlots(business.id))
    link.refuses = True
    link.cut()
    with pytest.raises(CalendarUnavailable):
        remote.scheduling.book_appointment(booking(business, TEN))
    link.refuses = False
    remote.scheduling.book_appointment(booking(business, TEN))


def test_a_connection_that_dies_in_a_transaction_has_written_nothing(
    link: FlakyLink, remote_engine: Engine, remote: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Cut between the lock and the insert: unavailable, and the next one books under the first number."""

    def cut_under_the_lock() -> datetime:
        link.cut()
        return clock.now

    with pytest.raises(CalendarUnavailable):
        build_services(remote_engine, cut_under_the_lock).scheduling.book_appointment(booking(business, TEN))
    assert remote.scheduling.book_appointment(booking(business, TEN)).number == 1001


def test_a_server_that_is_down_makes_every_service_unavailable(business: SomeBusiness) -> None:
    """Reads and writes alike, at once."""
    with flaky_link("postgresql://nobody@127.0.0.1/nothing") as link:
        link.refuses = True
        engine = create_engine(load_settings({"DATABASE_URL": link.url}).database_url, **engine_options(2))
        services = build_services(engine, lambda: datetime(2026, 11, 22, tzinfo=UTC))
        attempts = [
            lambda: services.scheduling.find_slots(FindSlots(business.id)),
            lambda: services.scheduling.book_appointment(booking(business, TEN)),
            lambda: services.businesses.get_profile(business.id),
            lambda: services.calls.accept_call(incoming_call(business)),
            lambda: services.calls.open_stream("token", "CA1", "MZ1"),
            lambda: services.calls.after_stream("CA1"),
        ]
        for attempt in attempts:
            with pytest.raises(CalendarUnavailable):
                attempt()
        assert services.readiness.database_problems() == ["the database does not answer"]
