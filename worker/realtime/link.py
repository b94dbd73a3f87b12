"""One generation of the Realtime leg: connects, configures, then moves events until it is lost or closed."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import structlog

from worker.call import events as ev
from worker.outbox import Outbox, OutboxFullError
from worker.realtime import wire
from worker.realtime.client import RealtimeClient, RealtimeConnection, RealtimeLostError
from worker.realtime.session_config import SessionConfig

log = structlog.get_logger(__name__)

MOST_WAITING = 4000


class RealtimeLink:
    """`deliver(event)` gets every event of this generation; `clock()` is the call's, in milliseconds.

    `spawn(task)` starts a greenlet whose death the call notices.
    """

    def __init__(
        self,
        generation: int,
        client: RealtimeClient,
        config: SessionConfig,
        deliver: Callable[[ev.Event], None],
        clock: Callable[[], float],
        spawn: Callable[[Callable[[], None]], object],
    ) -> None:
        self.generation = generation
        self._client = client
        self._config = config
        self._deliver = deliver
        self._clock = clock
        self._spawn = spawn
        self._connection: RealtimeConnection | None = None
        self._outbox = Outbox(self._send, MOST_WAITING)
        self._closed = False
        self._malformed = 0

    def send(self, event: str | bytes) -> None:
        """Queue an event; never blocks. An API that has stopped reading is as good as lost."""
        try:
            self._outbox.put(event)
        except OutboxFullError:
            self._spawn(lambda: self._lost("stopped_reading"))

    def run(self) -> None:
        """The reading greenlet: returns when the connection is gone or `close` was called."""
        try:
            self._read(self._client.connect())
        except RealtimeLostError as lost:
            self._lost(lost.reason)

    def _write(self) -> None:
        try:
            self._outbox.run()
        except RealtimeLostError as lost:
            self._lost(lost.reason)

    def close(self) -> None:
        """No event is delivered after this. The peer is waited for in a greenlet of its own."""
        self._closed = True
        self._outbox.close()
        if self._connection is not None:
            gevent.spawn(self._connection.close)

    def _read(self, connection: RealtimeConnection) -> None:
        self._connection = connection
        if self._closed:
            connection.close()
            return
        connection.send(wire.session_update("configure", self._config.update()))
        self._configure(connection)
        while not self._closed:
            self._take(connection.receive())

    def _configure(self, connection: RealtimeConnection) -> None:
        """Nothing else is sent before the API has echoed what we asked for."""
        while not self._closed:
            message = connection.receive()
            session = wire.session_of(message)
            if session is None:
                self._take(message)
                continue
            differences = self._config.differences(session)
            if differences:
                log.error("realtime session is not as configured", differences=differences)
                raise RealtimeLostError("session_differs")
            self._spawn(self._write)
            self._deliver(ev.ConnectionReady(self._clock(), self.generation))
            return

    def _take(self, message: bytes) -> None:
        try:
            event = wire.parse(message, self._clock(), self.generation)
        except wire.MalformedEventError as error:
            self._malformed += 1
            if self._malformed == 1:
                log.warning("malformed realtime event ignored", event_type=str(error))
            return
        if event is not None and not self._closed:
            self._deliver(event)

    def _send(self, data: str | bytes) -> None:
        if self._connection is not None:
            self._connection.send(data)

    def _lost(self, reason: str) -> None:
        if not self._closed:
            self._deliver(ev.ConnectionLost(self._clock(), self.generation, reason))
