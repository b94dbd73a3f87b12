"""`bin/start web|worker|outbox|release`: checks what can be checked, then becomes that process.

Everything an operator can get wrong ends here in one line and exit code 2, before a server exists to print a
traceback. Writes to stderr; part of the command line, not of the web process.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app import schema
from app.settings import (
    EXIT_BAD_SETTINGS,
    OUTBOX_POOL_SIZE,
    Settings,
    SettingsError,
    child_environment,
    load_settings,
)

ROOT = Path(__file__).resolve().parent.parent
BACKLOG = 2048
EXIT_NOT_READY = 1
OUTBOX_CONNECTIONS = OUTBOX_POOL_SIZE + 1  # one listens
USAGE = "usage: bin/start web|worker|outbox|release"

# Two apps share one repository and one database where routers reach only `web`: in the
# second one MOED_ROLE=media, its `web` is the media worker, and only the first one migrates.
PROGRAMS = {
    ("all", "web"): "web",
    ("all", "worker"): "worker",
    ("all", "outbox"): "outbox",
    ("all", "release"): "release",
    ("media", "web"): "worker",
    ("media", "worker"): "worker",
    ("media", "outbox"): "no outbox",
    ("media", "release"): "no release",
}


def main(arguments: Sequence[str]) -> int:
    """Become the process that `arguments` name. Returns only when there is nothing (more) to run."""
    try:
        settings = load_settings()
        if len(arguments) != 1 or (settings.moed_role, arguments[0]) not in PROGRAMS:
            raise SettingsError(USAGE)
        program = PROGRAMS[settings.moed_role, arguments[0]]
        settings.require(*needed_by(program, settings))
        check_connections(settings)
        return _RUN[program](settings)
    except SettingsError as error:
        _say(str(error))
        return EXIT_BAD_SETTINGS
    except schema.SchemaProblem as error:
        _say(str(error))
        return EXIT_NOT_READY


def needed_by(program: str, settings: Settings) -> tuple[str, ...]:
    """The settings without which `program` can't work."""
    if program != "web":
        return ("database_url",)
    token = ("twilio_auth_token",) if settings.twilio_signature_check else ()
    return ("database_url", "port", "public_base_url", "media_public_url", *token)


def check_connections(settings: Settings) -> None:
    """Print how many database connections this deployment can open. Raises `SettingsError` above the limit."""
    pool = settings.db_pool_size
    total = (settings.web_concurrency + 1) * pool + OUTBOX_CONNECTIONS
    parts = f"web {settings.web_concurrency} x {pool} + worker 1 x {pool} + outbox {OUTBOX_CONNECTIONS}"
    line = f"database connections: {parts} = {total}, limit {settings.db_connection_limit}"
    if total > settings.db_connection_limit:
        raise SettingsError(f"{line}: lower DB_POOL_SIZE or WEB_CONCURRENCY, or raise DB_CONNECTION_LIMIT")
    _say(line)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that a child or successor inherits. Raises `SettingsError` when there is none to have.

    Bound here and handed over, so that nobody can take the port between a check and its use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(_why_not(error, host, port)) from None
    listener.set_inheritable(True)
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there, or set another PORT"
    if error.errno == errno.EACCES:
        return f"not allowed to listen on port {port}: set a PORT above 1023"
    return f"can't listen on {host}: HOST is not an address of this machine"


def _run_web(settings: Settings) -> int:
    listener = listen(settings.host, settings.port)
    # gunicorn reads this variable itself, and stumbles over an empty one.
    changes = {"WEB_CONCURRENCY": str(settings.web_concurrency)}
    bind = f"fd://{listener.fileno()}"
    return _become("gunicorn", "--config", "app/gunicorn_conf.py", "--bind", bind, changes=changes)


def _run_worker(settings: Settings) -> int:
    schema.wait_for_schema(settings.database_url, say=_say)
    return _become("worker")


def _run_outbox(settings: Settings) -> int:
    schema.wait_for_schema(settings.database_url, say=_say)
    return _become("app.outbox")


def _run_release(settings: Settings) -> int:
    from app import logs

    logs.configure(settings)
    schema.migrate(settings, say=_say)
    return 0


def _no_outbox(_: Settings) -> int:
    _say("outbox: nothing to do where MOED_ROLE=media, the other app sends")
    return 0


def _no_release(_: Settings) -> int:
    _say("release: nothing to do where MOED_ROLE=media, the other app migrates")
    return 0


_RUN: dict[str, Callable[[Settings], int]] = {
    "web": _run_web,
    "worker": _run_worker,
    "outbox": _run_outbox,
    "no outbox": _no_outbox,
    "release": _run_release,
    "no release": _no_release,
}


def _become(module: str, *arguments: str, changes: Mapping[str, str] | None = None) -> int:
    """Replace this process, so that signals of the process manager arrive where they are meant."""
    os.chdir(ROOT)
    sys.stderr.flush()
    command = [sys.executable, "-m", module, *arguments]
    os.execve(command[0], command, child_environment(changes or {}))  # noqa: S606 - our own modules


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
