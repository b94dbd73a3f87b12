"""The connection axis: one Realtime socket at a time, replaced when it is lost."""

from __future__ import annotations

from typing import Protocol

from worker.call import commands as cmd
from worker.call.context import Context
from worker.call.deadlines import Deadline
from worker.call.tables import CONNECTION, Axis, Connection, Trigger

CONFIGURED_WITHIN_MS = 5000.0
RECONNECT_AFTER_MS = 250.0
MOST_ATTEMPTS = 3
LONGEST_OUTAGE_MS = 6000.0


class ConnectionHost(Protocol):
    def connection_ready(self) -> None: ...

    def connection_lost(self, reason: str) -> None: ...

    def connection_given_up(self, reason: str) -> None: ...


class ConnectionAxis(Axis):
    """States and rows in `tables.CONNECTION`. `generation` numbers the sockets of this call from 1."""

    def __init__(self, context: Context, host: ConnectionHost) -> None:
        super().__init__(CONNECTION, Connection.LOST)
        self._context = context
        self._host = host
        self.generation = 0
        self._attempts = 0
        self._outage_began_ms: float | None = None

    def speaks(self, generation: int) -> bool:
        """Whether events of that socket count: a lost one may still deliver."""
        return generation == self.generation and self.state != Connection.LOST

    def connect(self) -> None:
        self.fire(Trigger.CONNECT)

    def lost(self, reason: str) -> None:
        self.fire(Trigger.LOST, reason)

    def proven(self) -> None:
        """A response came through: the next outage is a new one."""
        self._attempts, self._outage_began_ms = 0, None

    # Actions of the table

    def open_socket(self) -> None:
        self.generation += 1
        self._attempts += 1
        if self._outage_began_ms is None:
            self._outage_began_ms = self._context.now_ms
        self._context.deadlines.set(Deadline.CONNECT, self._context.now_ms + CONFIGURED_WITHIN_MS)
        self._context.emit(cmd.Connect(self.generation))

    def restore(self) -> None:
        self._context.deadlines.clear(Deadline.CONNECT)
        self._host.connection_ready()

    def retry(self, reason: str) -> None:
        now = self._context.now_ms
        if self._outage_began_ms is None:
            self._outage_began_ms = now
        self._context.deadlines.clear(Deadline.CONNECT)
        self._context.emit(cmd.Disconnect(self.generation))
        self._context.log("realtime connection lost", reason=reason, generation=self.generation)
        self._context.record("connection_lost", reason=reason)
        self._host.connection_lost(reason)
        if self._attempts >= MOST_ATTEMPTS or now - self._outage_began_ms >= LONGEST_OUTAGE_MS:
            self._host.connection_given_up(reason)
        else:
            self._context.deadlines.set(Deadline.RECONNECT, now + RECONNECT_AFTER_MS * self._attempts)
