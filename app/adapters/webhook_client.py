"""One HTTP request to a stranger's URL: to a checked address, within a deadline, its answer's body unread.

The URL is a customer's, so it may name anything (server-side request forgery). Names are resolved here, every
address of a name must be allowed, and the connection goes to exactly one that was looked at: a second
resolution could say something else. Redirects and the environment's proxies are not known here.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from app.domain.addresses import is_public
from app.domain.webhooks import LONGEST_RETRY_AFTER_S, Answer, UrlRules

CONNECT_LIMIT_S = 5.0
MOST_ADDRESSES = 3

_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)

Resolve = Callable[[str, int], Sequence[str]]


class Refused(Exception):
    """It was not sent; `word` says why."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class WebhookClient(Protocol):
    """Sends one webhook; never raises for what the receiver or the network does."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer: ...


class HttpWebhookClient:
    """The real one. Safe to share between threads."""

    def __init__(
        self,
        rules: UrlRules,
        timeout_s: float,
        *,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._rules = rules
        self._timeout_s = timeout_s
        self._resolve = resolve or resolve_name
        self._tls = tls or ssl.create_default_context()
        self._now = now

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What the receiver answered, or a word for why it did not: `timeout`, `dns`, `private_address`,
        `connection`, `tls`, `protocol`, `bad_url`.
        """
        deadline = time.monotonic() + self._timeout_s
        try:
            parts = self._checked(url)
            connection = self._connect(parts, self._addresses(parts), deadline)
            with _ended_at(deadline, connection) as ended:
                try:
                    answer = self._exchange(connection, parts, headers, body)
                except _FAILURES as error:
                    return Answer(None, "timeout" if ended.is_set() else _word_for(error))
                # Headers that were cut off look like headers that ended.
                return Answer(None, "timeout") if ended.is_set() else answer
        except Refused as refused:
            return Answer(None, refused.word)

    def _checked(self, url: str) -> SplitResult:
        """What was checked when the endpoint was made may have been made under other rules."""
        try:
            parts = urlsplit(url)
            usable = parts.scheme in self._rules.schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or "@" in parts.netloc:
            raise Refused("bad_url")
        return parts

    def _addresses(self, parts: SplitResult) -> Sequence[str]:
        """All that the name stands for, if each is allowed. One bad one spoils it: it could be the next answer."""
        try:
            addresses = self._resolve(_host_of(parts), _port_of(parts))
        except (OSError, UnicodeError):
            raise Refused("dns") from None
        if not addresses:
            raise Refused("dns")
        if self._rules.public_only and not all(map(is_public, addresses)):
            raise Refused("private_address")
        return addresses[:MOST_ADDRESSES]

    def _connect(self, parts: SplitResult, addresses: Sequence[str], deadline: float) -> HTTPConnection:
        """A connection to the first address that takes it."""
        word = "connection"
        for address in addresses:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise Refused("timeout")
            connection = self._connection(parts, address, min(left_s, CONNECT_LIMIT_S))
            try:
                connection.connect()
            except _FAILURES as error:
                connection.close()
                word = _word_for(error)
                continue
            if time.monotonic() < deadline:
                return connection
            connection.close()
            raise Refused("timeout")
        raise Refused(word)

    def _connection(self, parts: SplitResult, address: str, timeout_s: float) -> HTTPConnection:
        if parts.scheme == "http":
            return HTTPConnection(address, _port_of(parts), timeout=timeout_s)
        # server_hostname is the name that is asked for (SNI) and that the certificate must have.
        return HTTPSConnection(
            address,
            _port_of(parts),
            timeout=timeout_s,
            ssl_context=self._tls,
            server_hostname=_host_of(parts).rstrip("."),
        )

    def _exchange(
        self, connection: HTTPConnection, parts: SplitResult, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        connection.timeout = self._timeout_s  # until now that of connecting
        connection.request(
            "POST",
            f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}",
            body=body,
            headers={**headers, "host": parts.netloc, "connection": "close"},
            preload_content=False,
            decode_content=False,
        )
        response = connection.getresponse()
        return Answer(response.status, None, retry_after_s(response.headers.get("retry-after"), self._now()))


_FAILURES = (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException, ValueError)


@contextmanager
def _ended_at(deadline: float, connection: HTTPConnection) -> Iterator[threading.Event]:
    """Shut the connection at the deadline: a timeout of the socket only bounds each single wait.

    A copy of the descriptor is shut, which ends the reads of the connection itself, and of no later one that got
    the same number.
    """
    ended = threading.Event()
    if connection.sock is None:
        raise Refused("connection")
    copy = socket.socket(fileno=os.dup(connection.sock.fileno()))

    def end() -> None:
        ended.set()
        with suppress(OSError):
            copy.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), end)
    timer.daemon = True
    timer.start()
    try:
        yield ended
    finally:
        timer.cancel()
        timer.join()
        copy.close()
        connection.close()


def resolve_name(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, in the system's order. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def retry_after_s(value: str | None, now: datetime) -> int | None:
    """Seconds of a Retry-After: a number, or an HTTP date (RFC 9110, 10.2.3). None: none, or nonsense."""
    if value is None:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return min(int(value), LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    left = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(0, round(left)), LONGEST_RETRY_AFTER_S)


def _host_of(parts: SplitResult) -> str:
    return parts.hostname or ""


def _port_of(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _word_for(error: BaseException) -> str:
    """`ssl.SSLError` and timeouts are OSErrors too, so they come first."""
    if isinstance(error, ssl.SSLError | urllib3.exceptions.SSLError):
        return "tls"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "connection"  # although urllib3 counts it among its timeouts
    if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError):
        return "timeout"
    if isinstance(error, OSError | urllib3.exceptions.ProtocolError):
        return "connection"
    return "protocol"
