"""Bodies, queries and headers that no client of ours would send: never a 500, always a problem document."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from flask import Flask

from tests.integration.conftest import ApiClient, MakeApi
from tests.integration.test_api_conventions import PROBLEM, PUBLIC, operations

VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    10**400,
    1.5,
    -0.0,
    1e308,
    "",
    " ",
    "\x00",
    "\ud800",
    "\u202e\u2066",
    "x" * 100_000,
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-02-29",
    "0001-01-01",
    "9999-12-31",
    "2026-11-23T10:00:00",
    "24:00",
    "+972" + "1" * 40,
    "=1+1",
    "https://[::1%25eth0]/",
    "https://user:secret@example.com/",
    [],
    {},
    [[]],
    [None],
    [{"a": 1}],
    {"a": {"b": []}},
)

RAW = (
    b"",
    b" ",
    b"null",
    b"true",
    b"0",
    b'"x"',
    b"[]",
    b"{",
    b'{"a":}',
    b"NaN",
    b'{"name": NaN}',
    b'{"name": Infinity}',
    b'{"name": 1e999}',
    b'{"name": "\xff"}',
    b'\xef\xbb\xbf{"name": "x"}',
    b'{"name": "x", "name": "y"}',
    b'{"\\ud800": 1}',
    b'{"\\u0000": 1}',
    b"[" * 50_000,
    b'{"a":' * 50_000,
    b'{"n": ' + b"9" * 5000 + b"}",
    json.dumps({"name": "x"}).encode("utf-16"),
)


def bodies_of(example: dict[str, Any]) -> list[Any]:
    """The example with each of its values, also those inside, replaced by each odd one."""
    found = []
    for path in paths_of(example):
        for value in VALUES:
            body = copy.deepcopy(example)
            inner: Any = body
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = value
            found.append(body)
    return found


def paths_of(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the values of a JSON document are."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([at] if at else []), *(path for step, inner in steps for path in paths_of(inner, (*at, step)))]


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document."""
    with app.test_client().get("/api/v1/openapi.json") as response:
        found: dict[str, Any] = json.loads(response.data)
    return found


def told_well(method: str, path: str, client: ApiClient, **sent: Any) -> str | None:
    """What is wrong with the answer; None: nothing."""
    answer = client.request(method.upper(), path, headers={"If-Match": "*"}, **sent)
    if answer.status_code < 400 or (answer.status_code < 500 and answer.mimetype == PROBLEM):
        return None
    return f"{method} {path} {str(sent)[:200]}: {answer.status_code} {answer.text[:200]}"


def with_bodies(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path below /api/v1, example of the body) of the operations that take one."""
    return [
        (method, path.removeprefix("/api/v1"), operation["requestBody"]["content"]["application/json"]["example"])
        for method, path, operation in operations(document)
        if "requestBody" in operation and (method, path) not in PUBLIC
    ]


def target_of(path: str, client: ApiClient) -> str:
    """The path with an id in it; a resource that is there, other things that are not."""
    for part in path.split("/"):
        if part.startswith("{"):
            found = client.business.resources[0] if part == "{resource_id}" else client.business.id
            path = path.replace(part, str(found))
    return path


def test_odd_bodies_are_told_what_is_wrong(api: MakeApi, document: dict[str, Any]) -> None:
    """What is no JSON, no object, or no sense, to every operation that takes a body."""
    client = api(operator=True)
    client.headers["Moed-Business"] = str(client.business.id)
    wrong = [
        told_well(method, target_of(path, client), client, data=raw, content_type="application/json")
        for method, path, _ in with_bodies(document)
        for raw in RAW
    ]
    assert len(wrong) > 500
    assert [line for line in wrong if line] == []


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_odd_values_are_told_what_is_wrong(api: MakeApi, document: dict[str, Any]) -> None:
    """Each value of each example replaced by each odd one."""
    client = api(operator=True)
    client.headers["Moed-Business"] = str(client.business.id)
    wrong = [
        told_well(method, target_of(path, client), client, json=body)
        for method, path, example in with_bodies(document)
        for body in bodies_of(example)
    ]
    assert len(wrong) > 3000
    assert [line for line in wrong if line] == []


@pytest.mark.parametrize(
    "query",
    [
        "from=&to=",
        "from=0001-01-01&to=0001-01-31",
        "from=9999-12-01&to=9999-12-31",
        "from=2026-11-23&to=2026-11-22",
        "from=2026-11-23&to=2027-11-23",
        "from=2026-11-23&from=2026-11-24&to=2026-11-25",
        "from=2026-11-23&to=2026-11-24&resource_id=99999999999999999999",
        "from=%ff&to=%00",
        "from=2026-11-23T00:00:00+02:00&to=2026-11-24",
        "cursor=" + "A" * 5000,
        "x" * 5000,
        "=&&=",
    ],
)
def test_odd_queries_are_told_what_is_wrong(api: MakeApi, query: str) -> None:
    """Lists and free times."""
    client = api()
    wrong = [
        told_well("get", f"{path}?{query}", client)
        for path in ("/availability", "/appointments", "/calls", "/blocks", "/date-overrides", "/resources")
    ]
    assert [line for line in wrong if line] == []
