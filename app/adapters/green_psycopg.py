"""Makes psycopg2 cooperative under gevent, and bounds every wait for the server.

Without a wait callback one slow query stops every greenlet of the process; with one, libpq's own
`connect_timeout` is no longer looked at (psycopg2 issue 944). So the deadline here is the only bound on a
connect to a server that accepts and says nothing.
"""

from __future__ import annotations

import time

import psycopg2
from gevent.socket import wait_read, wait_write
from psycopg2 import extensions


def install(deadline_s: float) -> None:
    """From now on each connect, statement and commit of this process may take `deadline_s` seconds in all.

    Past that `psycopg2.OperationalError` is raised. psycopg2 closes a connection whose callback raised (its
    state is unknown), so a pool that looks at `connection.closed` never hands it out again.
    """

    def wait(connection: extensions.connection) -> None:
        give_up_at = time.monotonic() + deadline_s
        late = psycopg2.OperationalError(f"the database did not answer within {deadline_s:g} s")
        while (state := connection.poll()) != extensions.POLL_OK:
            remaining_s = give_up_at - time.monotonic()
            if remaining_s <= 0:
                raise late
            if state == extensions.POLL_READ:
                wait_read(connection.fileno(), timeout=remaining_s, timeout_exc=late)
            else:
                wait_write(connection.fileno(), timeout=remaining_s, timeout_exc=late)

    extensions.set_wait_callback(wait)
