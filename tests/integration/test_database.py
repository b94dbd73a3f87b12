"""The unit of work: deadlines, killed greenlets, and which driver error becomes what."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from app.errors import CalendarUnavailable, NotFound, OutcomeUnknown, SlotTaken
from app.models import Resource
from app.services import Services
from app.services.database import Database, engine_options
from app.services.scheduling import Scheduling
from app.settings import load_settings
from tests.factories import MONDAY, Clock, SomeBusiness, booking, insert_appointment, local

TEN = local(MONDAY, "10:00")


@pytest.fixture
def lone_engine(database_url: str) -> Iterator[Engine]:
    """A pool of one connection: who comes next gets the same, if it was given back."""
    engine = create_engine(load_settings({"DATABASE_URL": database_url}).database_url, **engine_options(1))
    yield engine
    engine.dispose()


@pytest.fixture
def database(lone_engine: Engine) -> Database:
    """The unit of work on that connection."""
    return Database(lone_engine)


def backend(session: Session) -> int:
    return session.scalars(text("SELECT pg_backend_pid()")).one()


def add_room(session: Session, business: SomeBusiness) -> None:
    session.add(Resource(business_id=business.id, name="Room 2"))
    session.flush()


def count_rooms(session: Session) -> int:
    return session.scalars(text("SELECT count(*) FROM resources")).one()


@pytest.mark.parametrize("interruption", [gevent.Timeout, gevent.GreenletExit, KeyboardInterrupt])
def test_an_interrupted_transaction_gives_no_connection_back(
    database: Database, business: SomeBusiness, interruption: type[BaseException]
) -> None:
    """It may be in the middle of a message: it is closed, nothing is written, and the interruption goes on."""
    used = []

    def work() -> None:
        with database.tenant(business.id) as session:
            used.append(backend(session))
            add_room(session, business)
            raise interruption

    with pytest.raises(interruption):
        work()
    with database.reading(business.id) as session:
        assert backend(session) not in used
        assert count_rooms(session) == 1


def test_an_error_gives_the_connection_back(database: Database, business: SomeBusiness) -> None:
    """Rolled back, and the same connection serves the next."""
    used = []

    def work() -> None:
        with database.tenant(business.id) as session:
            used.append(backend(session))
            add_room(session, business)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with database.reading(business.id) as session:
        assert backend(session) in used
        assert count_rooms(session) == 1


def test_a_deadline_during_commit_leaves_the_outcome_unknown(
    lone_engine: Engine, database: Database, business: SomeBusiness, clock: Clock
) -> None:
    """Nobody reads back, because the caller's time is up; and the connection is closed."""
    with database.reading(business.id) as session:
        used = backend(session)
    commits = []

    def too_late(_: object) -> None:
        commits.append("commit")
        raise gevent.Timeout

    event.listen(lone_engine, "commit", too_late)
    command = booking(business, TEN, idempotency_key="CA1:call_1")
    with pytest.raises(OutcomeUnknown):
        Scheduling(database, clock).book_appointment(command)
    assert commits == ["commit"]
    with database.reading(business.id) as session:
        assert backend(session) != used


def test_a_slow_statement_is_cut_off_by_the_server(database: Database, business: SomeBusiness) -> None:
    """statement_timeout is 2 s; the connection stays good."""
    used = []

    def work() -> None:
        with database.tenant(business.id) as session:
            used.append(backend(session))
            session.execute(text("SELECT pg_sleep(30)"))

    with pytest.raises(CalendarUnavailable):
        work()
    with database.reading(business.id) as session:
        assert backend(session) in used


def test_a_transaction_that_the_server_ended_is_unavailable(
    database: Database, business: SomeBusiness, engine: Engine
) -> None:
    """As in a restart (57P01)."""

    def work() -> None:
        with database.tenant(business.id) as session, engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend(session)})
            session.execute(text("SELECT 1"))

    with pytest.raises(CalendarUnavailable):
        work()


def test_every_transaction_runs_with_the_settings_that_bound_it(
    database: Database, business: SomeBusiness
) -> None:
    """Whatever the server's own defaults are."""
    expected = {
        "statement_timeout": "2s",
        "lock_timeout": "1800ms",
        "idle_in_transaction_session_timeout": "5s",
        "TimeZone": "UTC",
        "client_encoding": "UTF8",
        "transaction_isolation": "read committed",
        "application_name": "moed",
    }
    with database.reading(business.id) as session:
        found = {name: session.scalars(text(f"SHOW {name}")).one() for name in expected}
    assert found == expected


def test_the_tenant_ends_with_its_transaction(database: Database, business: SomeBusiness) -> None:
    """The next user of the connection starts with none."""
    with database.tenant(business.id) as session:
        used = backend(session)
    with database.system() as session:
        assert backend(session) == used
        assert session.scalars(text("SELECT count(*) FROM businesses")).one() == 0


def test_a_reading_transaction_writes_nothing(database: Database, business: SomeBusiness) -> None:
    """It is rolled back."""
    with database.reading(business.id) as session:
        add_room(session, business)
    with database.reading(business.id) as session:
        assert count_rooms(session) == 1


def test_an_overlap_that_only_the_constraint_saw_is_the_conflict_asked_for(
    database: Database, services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """23P01 as SlotTaken, without the values of the row in its text."""
    services.scheduling.book_appointment(booking(business, TEN))
    other = insert_appointment(engine, business, local(MONDAY, "11:00"))
    move = text(
        "UPDATE appointments SET starts_at = :at, ends_at = :at + interval '30 min',"
        " footprint = tstzrange(:at, :at + interval '30 min') WHERE id = :id"
    )
    with pytest.raises(SlotTaken) as caught, database.tenant(business.id, conflict=SlotTaken) as session:
        session.execute(move, {"at": TEN, "id": other})
    assert str(caught.value) == "somebody else was writing (SQLSTATE 23P01)"
    assert "Dana" not in str(caught.value.__cause__)


def test_a_reference_to_another_tenant_s_row_is_not_found(database: Database, business: SomeBusiness) -> None:
    """A foreign key that does not hold (23503)."""
    with pytest.raises(NotFound), database.tenant(business.id) as session:
        session.execute(
            text("INSERT INTO slot_policies (business_id, resource_id, policy) VALUES (:id, 0, '{}')"),
            {"id": business.id},
        )


def test_our_own_faults_stay_what_they_are(database: Database, business: SomeBusiness) -> None:
    """A broken statement or a broken CHECK is no reason to tell a caller that the calendar is away."""
    with pytest.raises(ProgrammingError), database.tenant(business.id) as session:
        session.execute(text("SELECT nonsense"))
    with pytest.raises(IntegrityError), database.tenant(business.id) as session:
        session.execute(text("UPDATE businesses SET language = 'tlh'"))
