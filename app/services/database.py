"""The unit of work: one session, one transaction, one tenant. Driver errors are understood only here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from gevent import Timeout
from sqlalchemy import Engine, Function, create_engine, select, text
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import (
    TimeoutError as PoolTimeout,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from app.adapters.fair_gate import FairGate, GateTimeout
from app.errors import CalendarUnavailable, MoedError, NotFound, OutcomeUnknown

log = structlog.get_logger(__name__)

WAIT_FOR_CONNECTION_S = 30
UNPOOLED = 1000
"""How many may work at once where the engine has no pool to count."""

# SQLSTATEs (PostgreSQL, appendix A).
_CONFLICTS = {
    "23P01",  # exclusion_violation: the place is taken, whatever was decided before
    "40P01",  # deadlock_detected
    "40001",  # serialization_failure
    "55P03",  # lock_not_available: waited longer than lock_timeout
}
_FOREIGN_KEY_VIOLATION = "23503"
# After one of these classes the server may or may not have committed: it was told to stop, or the link broke.
_CONNECTION_ENDED = ("57P", "08")

# A transaction that idles is a process that died or a link that broke; until it ends, nobody can book.
_SERVER_SETTINGS = {
    "statement_timeout": "2000",
    # Below statement_timeout, or it would never be the one that fires.
    "lock_timeout": "1800",
    "idle_in_transaction_session_timeout": "5000",
    "timezone": "UTC",
    "default_transaction_isolation": r"read\ committed",
}


def engine_options(pool_size: int) -> dict[str, object]:
    """SQLAlchemy's engine options. Waiting for a connection (30 s) is outside the server's timeouts.

    Pinging costs a round trip, and spares a caller's booking the connections that died with an earlier
    server.
    """
    return {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": WAIT_FOR_CONNECTION_S,
        "pool_pre_ping": True,
        "hide_parameters": True,  # in the texts of exceptions: they are personal data
        "connect_args": {
            "application_name": "moed",
            "client_encoding": "utf8",
            "connect_timeout": 2,
            "options": " ".join(f"-c {name}={value}" for name, value in _SERVER_SETTINGS.items()),
        },
    }


def make_engine(database_url: str, pool_size: int) -> Engine:
    """An engine for a process without a Flask application."""
    return create_engine(database_url, **engine_options(pool_size))


class Database:
    """Opens transactions. Whatever the driver raises in one leaves as a `MoedError`:

    * no answer, no connection, a timeout: `CalendarUnavailable`, nothing was written;
    * a conflict with somebody else's write: the `conflict` that the transaction was opened with;
    * a reference to a row that this tenant has not: `NotFound`;
    * a COMMIT whose answer was lost: `OutcomeUnknown`.

    A `gevent.Timeout` of the caller passes through (nothing was written), but during COMMIT it becomes
    `OutcomeUnknown`. In both cases, and when the greenlet is killed, the connection is closed: it may be in
    the middle of a message.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        places = engine.pool.size() if isinstance(engine.pool, QueuePool) else UNPOOLED
        self._gate = FairGate(places, WAIT_FOR_CONNECTION_S)

    @contextmanager
    def tenant(
        self, business_id: int, conflict: Callable[[str], MoedError] = CalendarUnavailable
    ) -> Iterator[Session]:
        """A transaction that sees and writes one business's rows; committed at the end."""
        with self._transaction(conflict) as session:
            _become(session, business_id)
            yield session
            session.flush()
            _commit(session)

    @contextmanager
    def reading(self, business_id: int) -> Iterator[Session]:
        """A transaction that sees one business's rows; rolled back at the end."""
        with self._transaction(CalendarUnavailable) as session:
            _become(session, business_id)
            yield session

    @contextmanager
    def new_tenant(self) -> Iterator[tuple[Session, int]]:
        """A transaction of a business that is about to be made, and its id: row security wants it beforehand."""
        with self._transaction(CalendarUnavailable) as session:
            business_id = session.scalars(text("SELECT nextval('businesses_id_seq')")).one()
            _become(session, business_id)
            yield session, business_id
            session.flush()
            _commit(session)

    @contextmanager
    def found(self, lookup: Function[int | None]) -> Iterator[tuple[Session, int | None]]:
        """A transaction of the tenant that a lookup function names, and its id; committed at the end.

        None: it names nobody, and the transaction has no tenant. Saves what a transaction of its own would cost
        on every request.
        """
        with self._transaction(CalendarUnavailable) as session:
            business_id = session.scalars(select(lookup)).one()
            if business_id is not None:
                _become(session, business_id)
            yield session, business_id
            session.flush()
            _commit(session)

    @contextmanager
    def shared(self) -> Iterator[Session]:
        """A transaction on the tables that belong to no tenant; committed at the end."""
        with self._transaction(CalendarUnavailable) as session:
            yield session
            session.flush()
            _commit(session)

    @contextmanager
    def system(self) -> Iterator[Session]:
        """A transaction without a tenant. Only the named lookup functions see anything in it."""
        with self._transaction(CalendarUnavailable) as session:
            yield session

    @contextmanager
    def _transaction(self, conflict: Callable[[str], MoedError]) -> Iterator[Session]:
        try:
            with self._gate.place(), self._session(conflict) as session:
                yield session
        except GateTimeout as error:
            log.warning("database unavailable", error="all connections are in use")
            raise CalendarUnavailable("no connection became free in time") from error

    @contextmanager
    def _session(self, conflict: Callable[[str], MoedError]) -> Iterator[Session]:
        session = Session(self.engine, expire_on_commit=False)
        try:
            yield session
        except SQLAlchemyError as error:
            ours = _domain_error(error, conflict)
            if ours is None:
                raise
            raise ours from error
        except Exception:
            raise
        except BaseException:
            session.invalidate()
            raise
        finally:
            _close(session)


def _become(session: Session, business_id: int) -> None:
    session.execute(text("SELECT set_config('app.business_id', :id, true)"), {"id": str(business_id)})


def _commit(session: Session) -> None:
    try:
        session.commit()
    except DBAPIError as error:
        if error.connection_invalidated or (_sqlstate(error) or "08").startswith(_CONNECTION_ENDED):
            log.warning("the answer to COMMIT was lost", sqlstate=_sqlstate(error))
            raise OutcomeUnknown("the answer to COMMIT was lost") from error
        raise
    except Timeout as late:
        session.invalidate()
        raise OutcomeUnknown("the deadline passed during COMMIT") from late


def _close(session: Session) -> None:
    try:
        session.close()
    except SQLAlchemyError:
        # Its ROLLBACK met a dead connection, which is thrown away; the server rolls back by itself.
        session.invalidate()


def _domain_error(error: SQLAlchemyError, conflict: Callable[[str], MoedError]) -> MoedError | None:
    """Ours, if a caller can do something about it. None: a fault of our own SQL, which stays what it is."""
    state = _sqlstate(error)
    if state in _CONFLICTS:
        return conflict(f"somebody else was writing (SQLSTATE {state})")
    if state == _FOREIGN_KEY_VIOLATION:
        return NotFound("a row that the command names is not in this business")
    broken = isinstance(error, DBAPIError) and error.connection_invalidated
    if broken or isinstance(error, OperationalError | InterfaceError | InternalError | PoolTimeout):
        log.warning("database unavailable", error=type(error).__name__, sqlstate=state)
        return CalendarUnavailable(f"the database did not answer ({type(error).__name__}, SQLSTATE {state})")
    return None


def _sqlstate(error: SQLAlchemyError) -> str | None:
    return getattr(error.orig, "pgcode", None) if isinstance(error, DBAPIError) else None
