"""The media worker: accepts the carrier's streams, authenticates them, drains."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import gevent
import structlog
from gevent.lock import BoundedSemaphore

from app.adapters.carrier_signature import SignatureCheck
from app.domain.calls import CallBriefing
from app.errors import CalendarUnavailable, StreamRefused
from app.services import Services
from app.settings import Settings
from worker.plan import plan_call
from worker.realtime.client import RealtimeClient
from worker.session import CallSession
from worker.timeline import Timeline
from worker.transports import twilio
from worker.websocket import Environ, Refusal, WebSocket, WebSocketClosed, WebSocketServer

log = structlog.get_logger(__name__)

MEDIA_PATH = "/media"
START_WITHIN_S = 5.0
DRAIN_S = 20.0
SPARE_CONNECTIONS = 2


class MediaServer:
    """One listener, one `CallSession` a stream."""

    def __init__(
        self,
        address: tuple[str, int],
        services: Services,
        realtime: RealtimeClient,
        signature: SignatureCheck,
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._services = services
        self._realtime = realtime
        self._signature = signature
        self._settings = settings
        self._now = now
        self._sessions: set[CallSession] = set()
        # Some connections are left for opening streams and writing timelines.
        self._tool_gate = BoundedSemaphore(max(1, settings.db_pool_size - SPARE_CONNECTIONS))
        self._server = WebSocketServer(
            address, {MEDIA_PATH: self._handle}, authorise=self._authorise, http=self._answer_http
        )

    @property
    def address(self) -> tuple[str, int]:
        return self._server.address

    @property
    def calls(self) -> int:
        """Streams that are being served now."""
        return len(self._sessions)

    def start(self) -> None:
        """Listen. Raises `OSError` when the port is in use."""
        self._server.start()

    def drain(self, seconds: float = DRAIN_S) -> None:
        """Refuse new streams at once, give the calls time to end, hand the rest back to the carrier."""
        self._server.close()
        log.info("draining", calls=self.calls)
        deadline = time.monotonic() + seconds
        while self._sessions and time.monotonic() < deadline:
            gevent.sleep(0.1)
        for session in list(self._sessions):
            session.hand_back("drained")
        while self._sessions and time.monotonic() < deadline + 3:
            gevent.sleep(0.05)
        self._server.stop()

    def _authorise(self, environ: Environ) -> Refusal | None:
        """The handshake is signed over the exact URL of the TwiML, without parameters."""
        signature = environ.get("HTTP_X_TWILIO_SIGNATURE")
        if self._signature.accepts(self._settings.media_public_url, {}, signature):
            return None
        log.warning("media handshake refused", reason="signature")
        return "403 Forbidden", "signature is missing or wrong\n"

    def _answer_http(self, environ: Environ) -> tuple[str, str]:
        if environ["PATH_INFO"] == "/healthz":
            return "200 OK", f"ok, {self.calls} calls\n"
        return "404 Not Found", "no such path\n"

    def _handle(self, websocket: WebSocket) -> None:
        opened = self._await_start(websocket)
        briefing = self._open_stream(opened) if opened is not None else None
        if opened is None or briefing is None:
            websocket.close(1008, "stream refused")
            return
        business_id, call_id = briefing.business.id, briefing.call_id
        plan = plan_call(briefing, self._services.scheduling, self._settings, self._now)
        timeline = Timeline(self._services.calls, business_id, call_id)
        session = CallSession(websocket, opened.stream_sid, plan, self._realtime, timeline, self._tool_gate)
        log.info("stream opened", call_id=call_id, business_id=business_id, stream=briefing.stream_number)
        log.info("TOOLS_REGISTERED", call_id=call_id, tools=plan.toolbox.names)
        self._sessions.add(session)
        try:
            closing = session.run()
        finally:
            self._sessions.discard(session)
        log.info("stream closed", call_id=call_id, state=str(closing.state), reason=closing.reason)
        try:
            self._services.calls.finish_stream(business_id, call_id, closing)
        except CalendarUnavailable:
            log.error("call row not closed", call_id=call_id)

    def _await_start(self, websocket: WebSocket) -> twilio.Opened | None:
        """The first messages, within 5 s; whatever is not `connected` or `start` is refused, with one log line."""
        try:
            with gevent.Timeout(START_WITHIN_S):
                while True:
                    message = twilio.parse(websocket.receive(), None)
                    if isinstance(message, twilio.Opened):
                        return message
        except gevent.Timeout:
            reason = "no_start_in_time"
        except twilio.ProtocolViolationError as violation:
            reason = str(violation)
        except WebSocketClosed as closed:
            reason = f"closed_{closed.code}"
        log.warning("stream refused", reason=reason)
        return None

    def _open_stream(self, opened: twilio.Opened) -> CallBriefing | None:
        token = opened.parameters.get("token", "")
        try:
            return self._services.calls.open_stream(token, opened.call_sid, opened.stream_sid)
        except StreamRefused as refused:
            log.warning("stream refused", reason=refused.reason)
        except CalendarUnavailable:
            log.error("stream refused", reason="database_unavailable")
        return None
