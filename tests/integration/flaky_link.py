"""A link between the services and PostgreSQL that breaks when a test wants it to, around COMMIT."""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
from collections.abc import Iterator
from typing import Any

from sqlalchemy import make_url

# The driver sends COMMIT as one simple query (PostgreSQL's protocol, message Q).
COMMIT = b"COMMIT\x00"


class Break(enum.Enum):
    """Where the link breaks. After `NEVER` all passes."""

    NEVER = "never"
    BEFORE_COMMIT = "COMMIT never arrives"
    AFTER_COMMIT = "COMMIT is done, its answer is lost"


class FlakyLink:
    """Forwards connections to a server; `breaks` says what happens to the next COMMIT, `refuses` to new ones."""

    def __init__(self, database_url: str) -> None:
        self._target = make_url(database_url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.breaks = Break.NEVER
        self.refuses_after_break = False
        self.refuses = False
        self._spawn(self._accept)

    @property
    def url(self) -> str:
        """The server, seen through the link. Without encryption, or COMMIT could not be seen."""
        plain = {"sslmode": "disable", "gssencmode": "disable"}
        query = {name: value for name, value in self._target.query.items() if name not in ("host", "port")}
        port = self._listener.getsockname()[1]
        url = self._target.set(host="127.0.0.1", port=port, query={**query, **plain})
        return url.render_as_string(hide_password=False)

    def cut(self) -> None:
        """Break every connection that is open now."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Break everything and stop."""
        self.refuses = True
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._open):
            end.close()

    def _spawn(self, work: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refuses:
                    client.close()
                    continue
                server = self._connect()
                self._open += [client, server]
                self._spawn(self._upstream, client, server)
                self._spawn(self._downstream, server, client)

    def _connect(self) -> socket.socket:
        host = self._target.query.get("host") or self._target.host or "127.0.0.1"
        port = int(str(self._target.query.get("port") or self._target.port or 5432))
        if str(host).startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{host}/.s.PGSQL.{port}")
            return server
        return socket.create_connection((str(host), port))

    def _upstream(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if COMMIT in data and self.breaks is not Break.NEVER:
                    self._break(client, server, data)
                    return
                server.sendall(data)
        _shut(client, server)

    def _downstream(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        _shut(client, server)

    def _break(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        how, self.breaks = self.breaks, Break.NEVER
        self.refuses = self.refuses_after_break
        client.shutdown(socket.SHUT_RDWR)
        if how is Break.AFTER_COMMIT:
            # The server's answer goes to a client that no longer listens.
            server.sendall(data)
        _shut(client, server)


@contextlib.contextmanager
def flaky_link(database_url: str) -> Iterator[FlakyLink]:
    """A link that is closed at the end."""
    link = FlakyLink(database_url)
    try:
        yield link
    finally:
        link.close()


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_WR)
