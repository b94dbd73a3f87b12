"""The Realtime leg: the openai library's connection behind four methods, so that its codec can change.

Reconnecting is ours (the library would resume in an empty session with stale audio), and so is the end of a
connection: a close with 1000 or 1001 ends iteration silently, so `receive` never iterates.
"""

from __future__ import annotations

from typing import Any, Protocol

import structlog
from openai import OpenAI, OpenAIError
from websockets.exceptions import ConnectionClosed, WebSocketException

from app.settings import Settings

log = structlog.get_logger(__name__)

OPEN_TIMEOUT_S = 4.0
CLOSE_TIMEOUT_S = 1.0
LARGEST_MESSAGE = 4 * 2**20


class RealtimeLostError(Exception):
    """The connection can't be made, or is gone; `reason` is a word for the log and the call's row."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RealtimeConnection(Protocol):
    """One WebSocket to the Realtime API. One greenlet sends, one receives."""

    def send(self, event: str | bytes) -> None:
        """Raises `RealtimeLostError`."""

    def receive(self) -> bytes:
        """The next server event, undecoded. Raises `RealtimeLostError`."""

    def close(self) -> None:
        """Never raises; waits at most a second for the peer."""


class RealtimeClient(Protocol):
    def connect(self) -> RealtimeConnection:
        """Raises `RealtimeLostError`. The session is not configured yet."""


class OpenAIRealtime:
    """Connections through the `openai` package. One for the process: it holds the TLS context."""

    def __init__(self, settings: Settings) -> None:
        self._client = OpenAI(api_key=settings.openai_api_key or "none", base_url=settings.openai_base_url)
        self._model = settings.realtime_model
        # Imports and the first use cost 300 ms of CPU: at boot they stall nobody's call.
        self._realtime = self._client.realtime

    def connect(self) -> RealtimeConnection:
        # A finite max_size turns compression on again unless it is switched off here; a bounded max_queue would
        # stop reading pongs while the caller's socket is slow, and the keepalive would kill a healthy call.
        options: Any = {
            "max_size": LARGEST_MESSAGE,
            "compression": None,
            "max_queue": None,
            "open_timeout": OPEN_TIMEOUT_S,
            "close_timeout": CLOSE_TIMEOUT_S,
        }
        manager = self._realtime.connect(model=self._model, websocket_connection_options=options)
        try:
            return _OpenAIConnection(manager.enter())
        except (OSError, TimeoutError, WebSocketException, OpenAIError) as error:
            raise RealtimeLostError(f"connect_{type(error).__name__}") from None


class _OpenAIConnection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def send(self, event: str | bytes) -> None:
        try:
            self._connection.send_raw(event if isinstance(event, str) else event.decode())
        except (OSError, ConnectionClosed, OpenAIError) as error:
            raise RealtimeLostError(_reason(error)) from None

    def receive(self) -> bytes:
        try:
            message: bytes = self._connection.recv_bytes()
        except (OSError, ConnectionClosed, OpenAIError) as error:
            raise RealtimeLostError(_reason(error)) from None
        return message

    def close(self) -> None:
        try:
            self._connection.close()
        except (OSError, WebSocketException, OpenAIError) as error:
            log.debug("realtime close failed", error=type(error).__name__)


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        return f"closed_{error.rcvd.code}"
    return type(error).__name__
