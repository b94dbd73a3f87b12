"""psycopg2 under gevent: nobody else waits, and nobody waits for ever."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator

import gevent
import psycopg2
import pytest
from gevent import Timeout, socket
from gevent.server import StreamServer
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from app.adapters import green_psycopg
from worker.green import DATABASE_DEADLINE_S

SHORT_S = 0.2
TOO_LATE = r"did not answer within 0\.2 s"
PRETENDED = "user=x dbname=x connect_timeout=1 sslmode=disable gssencmode=disable"


@contextlib.contextmanager
def short_deadline() -> Iterator[None]:
    """A deadline that a test can wait for; before and after, the process's own."""
    green_psycopg.install(SHORT_S)
    try:
        yield
    finally:
        green_psycopg.install(DATABASE_DEADLINE_S)


@contextlib.contextmanager
def counting() -> Iterator[list[int]]:
    """A greenlet that counts for as long as the others let it."""
    count = [0]

    def run() -> None:
        while True:
            count[0] += 1
            gevent.sleep(0.001)

    greenlet = gevent.spawn(run)
    try:
        yield count
    finally:
        greenlet.kill()


def mute(connection: socket.socket, _: object) -> None:
    """Accepts and says nothing until the peer goes."""
    while connection.recv(4096):
        pass


def dripping(connection: socket.socket, _: object) -> None:
    """Lets the client in, and then tells it one more parameter, for ever."""
    connection.recv(4096)
    connection.sendall(b"R" + struct.pack("!II", 8, 0))
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b"S" + struct.pack("!I", 8) + b"a\0b\0")
            gevent.sleep(SHORT_S / 10)


@pytest.mark.parametrize("behaviour", [mute, dripping])
def test_connect_to_a_server_that_never_finishes_is_given_up(
    behaviour: Callable[[socket.socket, object], None],
) -> None:
    """One deadline for the whole connect: not one for each thing that the server says."""
    server = StreamServer(("127.0.0.1", 0), behaviour)
    server.start()
    with counting() as count, short_deadline(), pytest.raises(psycopg2.OperationalError, match=TOO_LATE):
        psycopg2.connect(f"host=127.0.0.1 port={server.address[1]} {PRETENDED}")
    server.stop(timeout=0)
    assert count[0] > 1


def test_connection_whose_query_was_late_is_closed(postgres_admin_url: str) -> None:
    """Its state is unknown: psycopg2 closes it, so nobody reads another's answer from it."""
    connection = psycopg2.connect(postgres_admin_url)
    cursor = connection.cursor()
    with counting() as count, short_deadline(), pytest.raises(psycopg2.OperationalError, match=TOO_LATE):
        cursor.execute("SELECT pg_sleep(30)")
    assert connection.closed != 0
    assert count[0] > 1


def test_connection_whose_commit_was_late_is_closed(postgres_admin_url: str) -> None:
    """COMMIT goes the same way: whether it happened is for a fresh connection to find out."""
    connection = psycopg2.connect(postgres_admin_url)
    connection.cursor().execute(
        """
        CREATE TEMP TABLE late (id int);
        CREATE FUNCTION pg_temp.dawdle() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION pg_temp.dawdle();
        INSERT INTO late VALUES (1);
        """
    )
    with short_deadline(), pytest.raises(psycopg2.OperationalError, match=TOO_LATE):
        connection.commit()
    assert connection.closed != 0


def test_timeout_of_the_caller_passes_and_closes(postgres_admin_url: str) -> None:
    """A `gevent.Timeout` around a query stays what it is, and the connection is not used again."""
    connection = psycopg2.connect(postgres_admin_url)
    cursor = connection.cursor()
    with pytest.raises(Timeout), Timeout(SHORT_S):
        cursor.execute("SELECT pg_sleep(30)")
    assert connection.closed != 0


def test_pool_replaces_a_connection_that_was_late(postgres_admin_url: str) -> None:
    """SQLAlchemy sees that it is closed: the pool of one has a working connection again."""
    url = make_url(postgres_admin_url).set(drivername="postgresql+psycopg2")
    engine = create_engine(url, pool_size=1, max_overflow=0)
    with engine.connect() as connection:
        first = connection.execute(text("SELECT pg_backend_pid()")).scalar()
        with short_deadline(), pytest.raises(OperationalError) as late:
            connection.execute(text("SELECT pg_sleep(30)"))
    assert late.value.connection_invalidated
    with engine.connect() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar() != first
    engine.dispose()


def test_queries_of_many_greenlets_run_side_by_side(postgres_admin_url: str) -> None:
    """Ten sleeps that together last longer than any of them may: each is in time."""
    pause_s = DATABASE_DEADLINE_S / 5

    def sleep() -> int:
        with contextlib.closing(psycopg2.connect(postgres_admin_url)) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT 1, pg_sleep(%s)", (pause_s,))
            row = cursor.fetchone()
            assert row is not None
            return int(row[0])

    greenlets = [gevent.spawn(sleep) for _ in range(10)]
    gevent.joinall(greenlets, raise_error=True)
    assert [greenlet.value for greenlet in greenlets] == [1] * 10
