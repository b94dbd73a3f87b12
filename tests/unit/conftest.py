"""The unit suite reaches no network and no database: what tries to fails loudly, on every machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import psycopg2
import pytest


class Unreachable(Exception):
    """A unit test tried to leave the process."""


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise Unreachable("unit tests use no network and no database: move this test to tests/integration")


@pytest.fixture(autouse=True, scope="module")
def _unreachable_world() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for method in ("connect", "connect_ex", "bind", "sendto"):
            patch.setattr(socket.socket, method, _refuse)
        for function in ("getaddrinfo", "create_connection", "create_server"):
            patch.setattr(socket, function, _refuse)
        patch.setattr(psycopg2, "connect", _refuse)
        yield
