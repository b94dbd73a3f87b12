"""The database goes away under a running web process, and comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest

from tests.integration.conftest import ApiClient, MakeApi
from tests.integration.flaky_link import FlakyLink, flaky_link
from tests.integration.processes import WebProcess, running_web, wait_until


@pytest.fixture
def link(database_url: str) -> Iterator[FlakyLink]:
    """What stands between the process and its database."""
    with flaky_link(database_url) as link:
        yield link


@pytest.fixture
def web(link: FlakyLink) -> Iterator[WebProcess]:
    """A process that sees its database through the link."""
    with running_web(link.url) as process:
        yield process


def ask(
    web: WebProcess, client: ApiClient, method: str = "GET", body: str | None = None
) -> tuple[HTTPResponse, bytes]:
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
    return web.request(method, "/api/v1/resources", body, headers)


def test_without_a_database_the_api_says_when_to_come_back_and_recovers(
    web: WebProcess, link: FlakyLink, api: MakeApi
) -> None:
    """503 with Retry-After for reading and writing, nothing written; then everything works without a restart."""
    client = api()
    assert ask(web, client)[0].status == 200
    link.refuses = True
    link.cut()
    for method, body in (("GET", None), ("POST", '{"name": "Room 2"}')):
        answer, told = ask(web, client, method, body)
        assert (answer.status, json.loads(told)["code"]) == (503, "calendar_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert web.request("GET", "/readyz")[0].status == 503
    assert web.request("GET", "/healthz")[0].status == 200
    link.refuses = False
    wait_until(lambda: ask(web, client)[0].status == 200)
    assert len(json.loads(ask(web, client)[1])["items"]) == 1
