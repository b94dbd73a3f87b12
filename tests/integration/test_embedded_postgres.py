"""The embedded PostgreSQL: starts on a bare machine, ends with its supervisor, survives kill -9."""

from __future__ import annotations

import os
import secrets
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from app.adapters import places
from app.adapters.embedded_postgres import AlreadyRunning, EmbeddedPostgres, EmbeddedPostgresError, default_root

KILL_POINTS = 20
PATIENCE_S = 60
SUPERVISOR = """
import sys
from pathlib import Path
from app.adapters import embedded_postgres
from app.adapters.embedded_postgres import EmbeddedPostgres
tied = embedded_postgres.tied
if "untied" in sys.argv:  # no parent-death signal, as on other systems than Linux
    embedded_postgres.tied = lambda argv, death, account: tied(argv, 0, account)
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.ensure_database("kept"), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def root() -> Iterator[Path]:
    """A data folder where the server's account may enter (as root, a temp folder of pytest's is closed to it)."""
    folder = default_root(f"try-{secrets.token_hex(4)}")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    """The rows of one statement in its own connection."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def supervisor(root: Path, *words: str) -> subprocess.Popen[str]:
    """A process of its own that starts the server and prints its application URL when it runs."""
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(root), *words],
        cwd=places.CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> None:
    """kill -9, and its pipes closed."""
    process.kill()
    process.communicate()


def test_the_application_role_can_do_no_more_than_in_production(root: Path) -> None:
    """Row-level security means nothing to a superuser: the demo and the tests must not be one."""
    with EmbeddedPostgres(root) as server:
        url = server.ensure_database("shop")
        rows = query(
            url,
            "SELECT current_user, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole,"
            " version() LIKE 'PostgreSQL 18%' FROM pg_roles WHERE rolname = current_user",
        )
        query(url, "CREATE TABLE mine (id bigint)")
    assert rows == [("moed", False, False, False, False, True)]


def test_the_server_listens_on_no_network(root: Path) -> None:
    """Its socket lies in a folder that only its owner may enter."""
    with EmbeddedPostgres(root) as server:
        rows = query(server.admin_url, "SELECT current_setting('listen_addresses')")
        assert (root / "run").stat().st_mode & 0o777 == 0o700
    assert rows == [("",)]


def test_data_stays_between_starts(root: Path) -> None:
    """And making a database that exists changes nothing."""
    with EmbeddedPostgres(root) as server:
        query(server.ensure_database("shop"), "CREATE TABLE kept AS SELECT 42 AS answer")
    with EmbeddedPostgres(root) as server:
        assert query(server.ensure_database("shop"), "SELECT answer FROM kept") == [(42,)]


def test_a_disposable_server_begins_empty_and_leaves_nothing(root: Path) -> None:
    """Tests of yesterday can't change those of today."""
    for _ in range(2):
        with EmbeddedPostgres(root, disposable=True) as server:
            assert query(server.admin_url, "SELECT 1 FROM pg_database WHERE datname = 'shop'") == []
            server.ensure_database("shop")
    assert not (root / "data").exists()


def test_a_second_supervisor_on_the_same_data_is_refused(root: Path) -> None:
    """And the first one's server does not notice."""
    with EmbeddedPostgres(root) as server:
        with pytest.raises(AlreadyRunning), EmbeddedPostgres(root):
            pytest.fail("two servers on one data folder")
        assert query(server.admin_url, "SELECT 1") == [(1,)]


def test_the_server_ends_when_its_supervisor_is_killed(root: Path) -> None:
    """And the next start finds the data whole."""
    process = supervisor(root)
    assert process.stdout
    url = process.stdout.readline().strip()
    query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    server_process = os.pidfd_open(int((root / "data" / "postmaster.pid").read_text().splitlines()[0]))
    end(process)
    ended, _, _ = select.select([server_process], [], [], PATIENCE_S)
    os.close(server_process)
    assert ended
    with EmbeddedPostgres(root) as server:
        assert query(server.app_url("kept"), "SELECT answer FROM kept") == [(42,)]


def test_a_server_that_outlived_its_supervisor_is_ended_first(root: Path) -> None:
    """Where the kernel knows no parent-death signal, the next start does its work."""
    process = supervisor(root, "untied")
    assert process.stdout
    url = process.stdout.readline().strip()
    end(process)
    query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    with EmbeddedPostgres(root) as server:
        assert query(server.app_url("kept"), "SELECT answer FROM kept") == [(42,)]


def test_what_killed_starts_left_is_cleared(root: Path) -> None:
    """Half an initdb, and a postmaster.pid whose number now belongs to another process."""
    (root / "data.new" / "base").mkdir(parents=True)
    with EmbeddedPostgres(root) as server:
        server.ensure_database("shop")
    account = (root / "data").stat()
    stale = root / "data" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{root / 'data'}\n1\n5432\n\n\n")
    os.chown(stale, account.st_uid, account.st_gid)
    with EmbeddedPostgres(root) as server:
        assert query(server.app_url("shop"), "SELECT 1") == [(1,)]


def test_a_path_too_long_for_a_socket_works(root: Path) -> None:
    """A checkout may lie deep: the socket then lies in the temp folder, and is gone afterwards."""
    deep = root / ("d" * 60) / ("e" * 60)
    with EmbeddedPostgres(deep) as server:
        folder = Path((deep / "socket_folder").read_text())
        assert query(server.admin_url, "SELECT 1") == [(1,)]
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_the_servers_own_words_are_in_the_error(root: Path) -> None:
    """Whoever reads it can act on it."""
    with EmbeddedPostgres(root):
        pass
    with (root / "data" / "postgresql.auto.conf").open("a") as config:
        config.write("no_such_setting = on\n")
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"), EmbeddedPostgres(root):
        pytest.fail("it must not start")


def test_folders_above_the_data_keep_their_modes(root: Path) -> None:
    """Nobody's home is opened: an unreachable folder is an error, not a reason for chmod."""
    closed = root / "home"
    places.make_folder(closed)
    closed.chmod(0o700)
    if places.is_root():
        with pytest.raises(EmbeddedPostgresError, match="initdb failed"), EmbeddedPostgres(closed / "data"):
            pytest.fail("the server's account can't be here")
    else:
        with EmbeddedPostgres(closed / "data") as server:
            assert query(server.admin_url, "SELECT 1") == [(1,)]
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_first_start_killed_anywhere_can_be_repeated(root: Path) -> None:
    """kill -9 at twenty moments spread over a first start; after each of them, it works."""
    began_at = time.monotonic()
    with EmbeddedPostgres(root):
        whole_s = time.monotonic() - began_at
    for point in range(KILL_POINTS):
        shutil.rmtree(root)
        process = supervisor(root)
        time.sleep(whole_s * 1.5 * point / KILL_POINTS)  # the moment is the test, not a synchronisation
        end(process)
        with EmbeddedPostgres(root) as server:
            assert query(server.ensure_database("kept"), "SELECT 1") == [(1,)]
