"""Waiting for PostgreSQL's NOTIFY, for a call from another thread, or for a time: whichever comes first."""

from __future__ import annotations

import os
import select
from contextlib import suppress

import psycopg2
from psycopg2 import extensions


class ConnectionLost(Exception):
    """The database does not answer."""


class Wakeups:
    """One connection that listens on one channel, and a pipe. Only one thread may wait; any may `wake`."""

    def __init__(self, database_url: str, channel: str) -> None:
        self._dsn = database_url.replace("postgresql+psycopg2://", "postgresql://", 1)
        self._channel = channel
        self._connection: extensions.connection | None = None
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def listen(self) -> None:
        """Listen, if that is not so already. What was notified before is not told. Raises ConnectionLost."""
        if self._connection is not None:
            return
        try:
            connection = psycopg2.connect(
                self._dsn,
                connect_timeout=3,
                application_name="moed outbox",
                # A link that broke without a word is found out within a minute.
                keepalives_idle=30,
                keepalives_interval=10,
                keepalives_count=3,
            )
            connection.set_isolation_level(extensions.ISOLATION_LEVEL_AUTOCOMMIT)
            with connection.cursor() as cursor:
                cursor.execute(f'LISTEN "{self._channel}"')
        except psycopg2.Error:
            raise ConnectionLost from None
        self._connection = connection

    def wait(self, timeout_s: float) -> None:
        """Until somebody notifies or wakes, at most `timeout_s`. Raises ConnectionLost."""
        sources: list[int] = [self._reading]
        if self._connection is not None:
            sources.append(self._connection.fileno())
        ready, _, _ = select.select(sources, [], [], timeout_s)
        if self._reading in ready:
            with suppress(BlockingIOError):
                os.read(self._reading, 4096)
        if self._connection is not None and self._connection.fileno() in ready:
            try:
                self._connection.poll()
            except psycopg2.Error:
                self.hang_up()
                raise ConnectionLost from None
            self._connection.notifies.clear()

    def wake(self) -> None:
        """End the wait that is under way, or the next one. For other threads and for signal handlers."""
        with suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._writing, b"\0")

    def hang_up(self) -> None:
        """Close the connection; `listen` makes a new one."""
        if self._connection is not None:
            with suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Give everything back."""
        self.hang_up()
        os.close(self._reading)
        os.close(self._writing)
