"""WebSockets on gevent-websocket, hardened. The only importer of `geventwebsocket`.

gevent-websocket 0.10.1 is its last release and has no frame limit, unmasks and validates byte by byte in
Python, accepts unmasked frames and sends malformed close frames (docs/protocols.md, 3.3). The subclasses
here replace its reading, writing and closing (RFC 6455) and keep its handshake.
"""

from __future__ import annotations

import base64
import binascii
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import gevent
import structlog
from gevent.lock import BoundedSemaphore
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler
from geventwebsocket.websocket import WebSocket as UnsafeWebSocket

log = structlog.get_logger(__name__)

Environ = dict[str, Any]
Refusal = tuple[str, str]

MAX_MESSAGE_BYTES = 64 * 1024
HEADER_DEADLINE_S = 10.0

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_NO_CODE, _DROPPED = 1005, 1006


class WebSocketClosed(Exception):
    """The socket is closed. `clean`: by a close frame; otherwise the peer vanished (1006) or broke the rules."""

    def __init__(self, code: int, reason: str = "", *, clean: bool = False) -> None:
        super().__init__(f"websocket closed: {code}")
        self.code = code
        self.reason = reason
        self.clean = clean


class WebSocket:
    """One accepted WebSocket. Any greenlet may send; one may receive."""

    def __init__(self, environ: Environ, rfile: Any, sock: Any, max_message_bytes: int) -> None:
        self.environ = environ
        self.query: dict[str, str] = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        self._read = rfile.read
        self._sock = sock
        self._max = max_message_bytes
        self._write_lock = BoundedSemaphore(1)
        self._closed: WebSocketClosed | None = None

    @property
    def closed(self) -> bool:
        return self._closed is not None

    def receive(self) -> str | bytes:
        """The next message: `str` for text, `bytes` for binary. Raises `WebSocketClosed`."""
        if self._closed is not None:
            raise self._closed
        try:
            return self._receive_message()
        except OSError:
            raise self._end(_DROPPED, "connection dropped") from None

    def send(self, text: str | bytes) -> None:
        """Send one text message (`bytes` are UTF-8 already). Raises `WebSocketClosed`."""
        self._write(_TEXT, text.encode() if isinstance(text, str) else text)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, once; never raises. The connection itself ends when the handler returns."""
        if self._closed is None:
            self._end(code, reason, clean=True, tell_peer=True)

    def drop(self) -> None:
        """Break the connection without a close frame; never raises. A reader sees 1006."""
        self._end(_DROPPED, "dropped")
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("connection was gone before it was dropped")

    def _receive_message(self) -> str | bytes:
        opcode = 0
        parts: list[bytes] = []
        room = self._max
        while True:
            final, frame_opcode, payload = self._read_frame(room)
            if frame_opcode >= _CLOSE:
                self._handle_control(frame_opcode, payload)
                continue
            if (frame_opcode == _CONTINUATION) is not bool(opcode):
                raise self._violation(1002, "unexpected fragment")
            opcode = opcode or frame_opcode
            parts.append(payload)
            room -= len(payload)
            if final:
                return self._decode(opcode, parts[0] if len(parts) == 1 else b"".join(parts))

    def _read_frame(self, room: int) -> tuple[bool, int, bytes]:
        """One frame, its size checked *before* the payload is read."""
        head = self._read_exactly(2)
        final, opcode, length = bool(head[0] & 0x80), head[0] & 0x0F, head[1] & 0x7F
        if head[0] & 0x70 or opcode not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
            raise self._violation(1002, "reserved bits or opcode")
        if not head[1] & 0x80:
            raise self._violation(1002, "frame is not masked")  # RFC 6455, 5.1
        if opcode >= _CLOSE and (length > 125 or not final):
            raise self._violation(1002, "malformed control frame")  # RFC 6455, 5.5
        if length == 126:
            (length,) = struct.unpack("!H", self._read_exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read_exactly(8))
        if opcode < _CLOSE and length > room:
            raise self._violation(1009, "message too big")
        mask = self._read_exactly(4)
        return final, opcode, _unmask(self._read_exactly(length), mask)

    def _read_exactly(self, size: int) -> bytes:
        data: bytes = self._read(size)
        if len(data) != size:
            raise self._end(_DROPPED, "connection dropped")
        return data

    def _decode(self, opcode: int, payload: bytes) -> str | bytes:
        if opcode == _BINARY:
            return payload
        try:
            return payload.decode()
        except UnicodeDecodeError:
            raise self._violation(1007, "text is not UTF-8") from None

    def _handle_control(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self._write(_PONG, payload)
        elif opcode == _CLOSE:
            code, reason = _NO_CODE, ""
            if payload:
                code, reason = self._parse_close(payload)
            raise self._end(code, reason, clean=True, tell_peer=True)

    def _parse_close(self, payload: bytes) -> tuple[int, str]:
        if len(payload) >= 2:
            (code,) = struct.unpack("!H", payload[:2])
            if 1000 <= code <= 4999 and code not in (1004, _NO_CODE, _DROPPED, 1015):
                return code, payload[2:].decode(errors="replace")
        raise self._violation(1002, "malformed close frame")

    def _write(self, opcode: int, payload: bytes) -> None:
        with self._write_lock:
            if self._closed is not None:
                raise self._closed
            try:
                self._sock.sendall(_frame(opcode, payload))
            except OSError:
                raise self._end(_DROPPED, "connection dropped") from None

    def _violation(self, code: int, reason: str) -> WebSocketClosed:
        return self._end(code, reason, tell_peer=True)

    def _end(self, code: int, reason: str, *, clean: bool = False, tell_peer: bool = False) -> WebSocketClosed:
        """Remember how it ended and, where that is still possible, send one close frame."""
        if self._closed is not None:
            return self._closed
        closed = self._closed = WebSocketClosed(code, reason, clean=clean)
        # A writer that is stuck on a full socket holds the lock: then the peer reads no close frame either.
        if tell_peer and self._write_lock.acquire(blocking=False):
            body = b"" if code == _NO_CODE else struct.pack("!H", code) + reason.encode()[:123]
            try:
                self._sock.sendall(_frame(_CLOSE, body))
            except OSError:
                log.debug("peer was gone before the close frame", code=code)
            finally:
                self._write_lock.release()
        return closed


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """XOR in C: integers of the whole length (1 µs for a 20 ms frame; 84 µs byte by byte)."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


Route = Callable[[WebSocket], None]
Authorise = Callable[[Environ], Refusal | None]
Http = Callable[[Environ], tuple[str, str]]


class WebSocketServer:
    """Listens, and runs one greenlet a connection. `routes` maps a path to its handler.

    `authorise(environ)` may refuse before the upgrade with (status, body); `http(environ)` answers plain
    requests with (status, body). `max_connections` bounds the greenlets; further ones wait in the backlog.
    """

    def __init__(
        self,
        address: tuple[str, int],
        routes: Mapping[str, Route],
        *,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        authorise: Authorise | None = None,
        http: Http | None = None,
        max_connections: int = 1000,
    ) -> None:
        self.routes = dict(routes)
        self.max_message_bytes = max_message_bytes
        self.authorise = authorise
        self.http = http
        self._pool = Pool(max_connections)
        self._server = WSGIServer(
            address, self._answer_http, handler_class=_Handler, log=None, error_log=None, spawn=self._pool
        )
        self._server.moed = self  # type: ignore[attr-defined]

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._server.server_host, self._server.server_port
        if host is None or port is None:
            raise OSError("not listening yet")
        return host, port

    def start(self) -> None:
        """Bind and listen. Raises `OSError` when the port is in use."""
        self._server.start()

    def close(self) -> None:
        """Refuse new connections; open ones go on."""
        self._server.close()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Refuse new connections and end the open ones after `timeout_s`."""
        self._server.stop(timeout=timeout_s)

    def _answer_http(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, body = "404 Not Found", "no such path\n"
        if environ["PATH_INFO"] in self.routes:
            status, body = "426 Upgrade Required", "this path speaks WebSocket\n"
        elif self.http is not None:
            status, body = self.http(environ)
        start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")])
        return [body.encode()]


class _HeaderTimeout(gevent.Timeout):
    """The request line and headers did not arrive in time."""


class _Handler(WebSocketHandler):  # type: ignore[misc]
    """The handshake of gevent-websocket, with its holes closed."""

    _deadline: gevent.Timeout | None = None

    def handle_one_request(self) -> Any:
        self._deadline = _HeaderTimeout.start_new(HEADER_DEADLINE_S)
        try:
            return super().handle_one_request()
        except _HeaderTimeout:
            self.close_connection = True
            return None
        finally:
            self._deadline.close()

    def read_request(self, raw_requestline: str) -> Any:
        result = super().read_request(raw_requestline)
        if self._deadline is not None:
            self._deadline.close()
        return result

    def run_application(self) -> None:
        server: WebSocketServer = self.server.moed
        if self.environ["PATH_INFO"] not in server.routes or "HTTP_UPGRADE" not in self.environ:
            super(WebSocketHandler, self).run_application()
            return
        refusal = server.authorise(self.environ) if server.authorise else None
        if refusal is not None:
            self._refuse(*refusal)
            return
        super().run_application()

    def _refuse(self, status: str, body: str) -> None:
        self.close_connection = True
        self.start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        self.result = [body.encode()]
        self.process_result()

    def upgrade_connection(self) -> Any:
        try:
            usable = len(base64.b64decode(self.environ.get("HTTP_SEC_WEBSOCKET_KEY", ""), validate=True)) == 16
        except binascii.Error:
            usable = False
        if not usable:
            self.start_response("400 Bad Request", [])
            return [b"Sec-WebSocket-Key is malformed\n"]
        result = super().upgrade_connection()
        if hasattr(self, "websocket"):
            self._harden(self.websocket)
        return result

    def _harden(self, unsafe: UnsafeWebSocket) -> None:
        unsafe.closed = True  # its __del__ would send a close frame of its own
        server: WebSocketServer = self.server.moed
        self.websocket = WebSocket(self.environ, self.rfile, self.socket, server.max_message_bytes)

    def run_websocket(self) -> None:
        websocket: WebSocket = self.websocket
        try:
            self.server.moed.routes[self.environ["PATH_INFO"]](websocket)
        except WebSocketClosed as closed:
            log.info("websocket ended", code=closed.code, clean=closed.clean)
        except Exception:
            log.exception("websocket handler failed")
            websocket.close(1011, "internal error")
        finally:
            websocket.close()
            del self.websocket

    @property
    def logger(self) -> Any:
        return _QUIET


class _Quiet:
    """gevent-websocket logs every step of a handshake; its warnings are refusals that the peer sees."""

    def debug(self, *_: object) -> None: ...

    info = warning = debug


_QUIET = _Quiet()
