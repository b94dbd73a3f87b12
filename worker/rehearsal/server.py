"""The engine as a server: WebSockets and greenlets around `RealtimeSession`. Loopback only, by default."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
import orjson
import structlog
from gevent.event import Event as GeventEvent
from gevent.pool import Group
from gevent.queue import Queue

from worker.rehearsal.brain import Brain
from worker.rehearsal.loop import Callback, outcome, raised_at
from worker.rehearsal.session import MAX_SESSION_MS, RealtimeSession
from worker.websocket import Environ, Refusal, WebSocket, WebSocketClosed, WebSocketServer

log = structlog.get_logger(__name__)

PATH = "/v1/realtime"
_CLOSE_GRACE_S = 1.0
MAX_MESSAGE_BYTES = 21 * 2**20  # an append of 15 MiB in base64, and its JSON (protocol 1.4)
_UNAUTHORISED = ("401 Unauthorized", '{"error":{"message":"Missing bearer authentication in header"}}\n')
_NO_MODEL = ("400 Bad Request", '{"error":{"message":"you must provide a model parameter"}}\n')

BrainFactory = Callable[[], Brain]


class RehearsalServer:
    """Serves the Realtime protocol; each connection gets a brain of its own from `brain_factory`.

    `sessions` holds every session so far, in order, with all that passed (tests); with `record=False` only those
    that are open, and nothing of what passed.
    """

    def __init__(
        self, brain_factory: BrainFactory, host: str = "127.0.0.1", port: int = 0, *, record: bool = True
    ) -> None:
        self.sessions: list[RealtimeSession] = []
        self._brain_factory = brain_factory
        self._host = host
        self._record = record
        self._opened = GeventEvent()
        self._server = WebSocketServer(
            (host, port), {PATH: self._serve}, max_message_bytes=MAX_MESSAGE_BYTES, authorise=_authorise
        )

    @property
    def url(self) -> str:
        """What an `OpenAI(base_url=…)` takes. Known once started."""
        return f"http://{self._host}:{self._server.address[1]}/v1"

    def start(self) -> None:
        """Bind and serve. Raises `OSError` where the port is in use."""
        self._server.start()

    def stop(self) -> None:
        """End every session, and the server."""
        for session in list(self.sessions):
            session.drop(1001, "the rehearsal engine stops")
        self._server.stop(timeout_s=1.0)

    def wait_for_session(self, number: int, timeout_s: float = 5.0) -> RealtimeSession:
        """The session with this number (from 0), once it exists. Raises `TimeoutError`."""
        with gevent.Timeout(timeout_s, TimeoutError(f"no session {number} within {timeout_s} s")):
            while len(self.sessions) <= number:
                self._opened.wait()
                self._opened.clear()
        return self.sessions[number]

    def _serve(self, ws: WebSocket) -> None:
        loop = GreenletLoop()
        outgoing: Queue[bytes | _Close] = Queue()

        def send(event: Mapping[str, Any]) -> None:
            outgoing.put(orjson.dumps(event))

        session = RealtimeSession(
            self._brain_factory(),
            loop,
            send,
            lambda code, reason: outgoing.put(_Close(code, reason)),
            model=ws.query["model"],
            expires_at=int(time.time()) + MAX_SESSION_MS // 1000,
        )
        session.outbox.recording = self._record
        self.sessions.append(session)
        self._opened.set()
        writer = gevent.spawn(_write, ws, outgoing)
        try:
            session.start()
            while True:
                session.receive(ws.receive())
        except WebSocketClosed as closed:
            log.info("session ended", code=closed.code, clean=closed.clean)
        finally:
            session.stop()
            loop.stop()
            writer.kill(block=False)
            if not self._record:
                self.sessions.remove(session)


class _Close:
    """The last thing that a writer does. `code` None: break the connection."""

    def __init__(self, code: int | None, reason: str) -> None:
        self.code = code
        self.reason = reason


def _write(ws: WebSocket, outgoing: Queue[bytes | _Close]) -> None:
    """The socket's only writer. When it ends, so does the connection, and with it the reader."""
    try:
        while isinstance(message := outgoing.get(), bytes):
            ws.send(message)
        if message.code is not None:
            ws.close(message.code, message.reason)
            gevent.sleep(_CLOSE_GRACE_S)
    except WebSocketClosed:
        log.debug("writer ended")
    ws.drop()


class GreenletLoop:
    """A `Loop` on gevent: a greenlet a callback, so that whatever blocks, blocks only itself."""

    def __init__(self) -> None:
        self._greenlets = Group()

    def now_ms(self) -> float:
        return time.monotonic() * 1000

    def call_later(self, delay_ms: float, callback: Callback) -> _Timer:
        timer = _Timer(max(0.0, delay_ms) / 1000, callback)
        timer.greenlet = self._greenlets.spawn(timer.run)
        return timer

    def run(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._greenlets.spawn(_guarded, lambda: done(outcome(job)))

    def stop(self) -> None:
        """End all that is pending or running."""
        self._greenlets.kill(block=False)


class _Timer:
    def __init__(self, delay_s: float, callback: Callback) -> None:
        self.greenlet: Any = None
        self._delay_s = delay_s
        self._callback: Callback | None = callback

    def run(self) -> None:
        gevent.sleep(self._delay_s)
        callback, self._callback = self._callback, None
        if callback is not None:
            _guarded(callback)

    def cancel(self) -> None:
        # The flag, because a sleeper whose time has come runs even if it is killed in the same turn of the hub.
        if self._callback is not None:
            self._callback = None
            self.greenlet.kill(block=False)


def _guarded(callback: Callback) -> None:
    """A greenlet's death is never silent, and never prints what it was about."""
    try:
        callback()
    except Exception as error:  # noqa: BLE001 - logged without its text
        log.error("rehearsal callback failed", error=type(error).__name__, at=raised_at(error))


def _authorise(environ: Environ) -> Refusal | None:
    scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        return _UNAUTHORISED
    if "model=" not in environ.get("QUERY_STRING", ""):
        return _NO_MODEL
    return None
