"""The PostgreSQL server of a test run: the operator's (TEST_DATABASE_URL), or a disposable one of our own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import psycopg2

from app.adapters.embedded_postgres import AlreadyRunning, EmbeddedPostgres, default_root

OLDEST_VERSION = 140000
_MOST_AT_ONCE = 16


@contextlib.contextmanager
def server_for_tests() -> Iterator[str]:
    """Its superuser's URL, for making databases; the server runs until the block ends."""
    given = os.environ.get("TEST_DATABASE_URL", "").strip()
    if given:
        check_version(given)
        yield given
        return
    with contextlib.ExitStack() as stack:
        yield start_disposable(stack).admin_url


def start_disposable(stack: contextlib.ExitStack) -> EmbeddedPostgres:
    """A server on the first data folder that no other test run of this checkout uses."""
    for number in range(1, _MOST_AT_ONCE + 1):
        with contextlib.suppress(AlreadyRunning):
            return stack.enter_context(EmbeddedPostgres(default_root(f"test-{number}"), disposable=True))
    raise AlreadyRunning(f"{_MOST_AT_ONCE} test runs of this checkout have a server each")


def check_version(url: str) -> None:
    """Refuse a server that is too old, before its missing features look like our faults."""
    connection = psycopg2.connect(url)
    try:
        found = connection.server_version
    finally:
        connection.close()
    if found < OLDEST_VERSION:
        raise RuntimeError(f"TEST_DATABASE_URL must be PostgreSQL {OLDEST_VERSION // 10000} or newer, not {found}")
