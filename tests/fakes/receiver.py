"""Somebody else's server that takes webhooks: it remembers each request and answers what it is told to."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from standardwebhooks import Webhook

CERTIFICATE = Path(__file__).resolve().parent.parent / "data" / "hooks.example.pem"
"""For hooks.example, signed by itself, with its key; for tests, worth nothing."""


@dataclass(frozen=True)
class Reply:
    """What it answers. `until`: not before that is set."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    until: threading.Event | None = None


@dataclass(frozen=True)
class Received:
    """One request, its headers' names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    def is_signed_with(self, secret: str) -> bool:
        """Whether one of the signatures is of this secret, whenever it was made."""
        at = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
        expected = Webhook(secret).sign(self.message_id, at, self.body.decode())
        return expected in self.headers["webhook-signature"].split(" ")


class Receiver:
    """A server on the loopback. `replies` are given one after another, then `then` for ever."""

    def __init__(self, *replies: Reply, then: Reply | None = None, tls: bool = False) -> None:
        self.received: list[Received] = []
        self.most_at_once = 0
        self.server_names: list[str | None] = []
        self._replies = list(replies)
        self._then = then or Reply()
        self._now_at_once = 0
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls:
            self._server.socket = self._tls().wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?tenant=1"

    def wait_for(self, condition: Callable[[list[Received]], bool], limit_s: float = 60) -> None:
        """Until what was received satisfies the condition. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self.received), limit_s):
                raise TimeoutError(f"after {len(self.received)} requests")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        context.sni_callback = lambda _, name, __: self.server_names.append(name)
        return context

    def _take(self, request: Received) -> Reply:
        with self._changed:
            self.received.append(request)
            self._now_at_once += 1
            self.most_at_once = max(self.most_at_once, self._now_at_once)
            self._changed.notify_all()
            return self._replies.pop(0) if self._replies else self._then

    def _done(self) -> None:
        with self._changed:
            self._now_at_once -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # its sender died on the way: an incomplete request is none (RFC 9112, section 8)
                headers = {name.lower(): value for name, value in self.headers.items()}
                reply = receiver._take(Received(self.path, headers, body))
                if reply.until is not None:
                    reply.until.wait(60)
                receiver._done()
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def handle(self) -> None:
                with contextlib.suppress(OSError):  # the sender has had enough
                    super().handle()

            def log_message(self, *args: Any) -> None:
                """Tests look at what was received."""

        return Handler
