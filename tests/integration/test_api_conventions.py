"""What holds for every operation of the API: credentials, errors, idempotency, versions, pages, documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from app.domain.access import BUSINESS_SCOPES, SCOPES
from app.services import Services
from tests.factories import Clock
from tests.integration.conftest import ApiClient, MakeApi

PROBLEM = "application/problem+json"
METHODS = ("get", "put", "post", "delete", "patch")
PUBLIC = {("post", "/api/v1/session"), ("get", "/api/v1/feeds/{token}/calendar.ics")}


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document, as clients get it."""
    with app.test_client().get("/api/v1/openapi.json") as response:
        assert response.status_code == 200
        found: dict[str, Any] = json.loads(response.data)
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of the whole document."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def test_every_route_of_the_api_stands_in_the_document(app: Flask, document: dict[str, Any]) -> None:
    """And nothing else does."""
    routes = {
        (method.lower(), rule.rule.replace("<id:", "{").replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") and not rule.endpoint.startswith("api_documents.")
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    assert {(method, path) for method, path, _ in operations(document)} == routes


def test_every_operation_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    """Generated clients call their functions so."""
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))


def test_the_document_names_the_parameters_of_a_query(document: dict[str, Any]) -> None:
    """Those of a list beside its page's, and a header beside them."""
    lists = document["paths"]["/api/v1/resources"]
    assert {item["name"] for item in lists["get"]["parameters"]} == {"active", "cursor", "limit"}
    assert {item["name"] for item in lists["post"]["parameters"]} == {"Idempotency-Key"}


def test_every_operation_says_what_a_client_needs(document: dict[str, Any]) -> None:
    """Summary, security, error answers, and examples of what goes in and comes out."""
    missing = []
    for method, path, operation in operations(document):
        name = f"{method} {path}"
        public = (method, path) in PUBLIC
        if not operation.get("summary"):
            missing.append(f"{name}: summary")
        if bool(operation["security"]) == public:
            missing.append(f"{name}: security")
        statuses = set(operation["responses"])
        if not {"400", "422", "503"} | (set() if public else {"401", "403", "429"}) <= statuses:
            missing.append(f"{name}: error answers")
        for body in operation.get("requestBody", {}).get("content", {}).values():
            if not body.get("example"):
                missing.append(f"{name}: example of the body")
        for status, response in operation["responses"].items():
            for kind, content in response.get("content", {}).items():
                if status.startswith("2") and kind == "application/json" and "example" not in content:
                    missing.append(f"{name}: example of the answer")
        for parameter in operation.get("parameters", ()):
            if "example" not in parameter and "example" not in parameter["schema"]:
                missing.append(f"{name}: example of {parameter['name']}")
    assert missing == []


def test_every_scope_is_needed_somewhere(document: dict[str, Any]) -> None:
    """And every operation names one that exists; overbooking's is asked for by a field of a body."""
    needed = {
        scope
        for _, _, operation in operations(document)
        for scheme in operation["security"]
        for scopes in scheme.values()
        for scope in scopes
    }
    assert needed | {"appointments:overbook"} == set(SCOPES)


def test_a_credential_sees_what_it_is_good_for(api: MakeApi) -> None:
    """Its business and its scopes."""
    client = api("calls:read")
    answer = client.get("/credential")
    assert answer.status_code == 200
    assert answer.json["business_id"] == client.business.id
    assert answer.json["scopes"] == ["calls:read"]
    assert answer.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    "sent", [None, "", "Bearer", "Bearer ", "Bearer x", "Basic eDp4", f"Bearer moed_{'0' * 8}_{'x' * 43}", "é"]
)
def test_no_good_credential_is_a_401(app: Flask, sent: str | None) -> None:
    """A problem document that says nothing of why."""
    headers = {} if sent is None else {"Authorization": sent}
    answer = app.test_client().get("/api/v1/credential", headers=headers)
    assert (answer.status_code, answer.mimetype) == (401, PROBLEM)
    assert answer.json["code"] == "unauthenticated"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_another_business_can_t_be_named(api: MakeApi) -> None:
    """A business's key names its own, or none."""
    client, other = api(), api()
    assert client.get("/credential", headers={"Moed-Business": str(client.business.id)}).status_code == 200
    refused = client.get("/credential", headers={"Moed-Business": str(other.business.id)})
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")


@pytest.mark.parametrize("named", ["0", "-1", "x", "1e3", "9" * 19, "9" * 30, "1.0", "٣"])
def test_a_business_that_is_no_id_is_refused(api: MakeApi, named: str) -> None:
    """Before it meets the database."""
    answer = api(operator=True).get("/credential", headers={"Moed-Business": named.encode().decode("latin-1")})
    assert (answer.status_code, answer.json["field"]) == (422, "Moed-Business")


def test_a_parameter_that_nobody_knows_is_refused(api: MakeApi) -> None:
    """On lists and on single things: a misspelt filter must not show everything."""
    client = api()
    for path in ("/credential?limt=1", "/resources?limt=1"):
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (422, PROBLEM)
        assert answer.json["field"] == "limt"


@pytest.mark.parametrize(
    ("sent", "kind", "status"),
    [
        ("{", "application/json", 400),
        ("", "application/json", 400),
        ("\xff", "application/json", 400),
        ("[]", "application/json", 422),
        ("null", "application/json", 422),
        ('{"name": 5}', "application/json", 422),
        ('{"name": "x", "colour": "red"}', "application/json", 422),
        ('{"name": "x"}', "text/plain", 415),
        ("name=x", "application/x-www-form-urlencoded", 415),
    ],
)
def test_a_body_that_is_no_good_is_refused(api: MakeApi, sent: str, kind: str, status: int) -> None:
    """With a problem document, and nothing made."""
    client = api()
    before = client.get("/resources").json
    answer = client.request("POST", "/resources", data=sent.encode("latin-1"), content_type=kind)
    assert (answer.status_code, answer.mimetype) == (status, PROBLEM)
    assert client.get("/resources").json == before


def test_a_body_of_a_megabyte_is_too_large(api: MakeApi) -> None:
    """413, whatever it says."""
    answer = api().request("POST", "/resources", data=b" " * 2**20 + b"{}", content_type="application/json")
    assert (answer.status_code, answer.mimetype) == (413, PROBLEM)


def test_a_method_that_is_not_there_names_those_that_are(api: MakeApi) -> None:
    """405 with Allow (RFC 9110 15.5.6)."""
    answer = api().delete("/credential")
    assert (answer.status_code, answer.mimetype) == (405, PROBLEM)
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    "path", ["/nothing", "/resources/0", "/resources/x", "/resources/01", f"/resources/{10**18}"]
)
def test_a_path_that_is_not_there_is_a_404(api: MakeApi, path: str) -> None:
    """Ids have one spelling."""
    answer = api().get(path)
    assert (answer.status_code, answer.mimetype) == (404, PROBLEM)


def test_a_missing_scope_is_named(api: MakeApi) -> None:
    """So that the key can be mended."""
    answer = api("calls:read").get("/resources")
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert "resources:read" in answer.json["detail"]


def test_what_only_operators_may_is_refused_to_all_others(api: MakeApi) -> None:
    """No business's key can have the scope."""
    answer = api(*BUSINESS_SCOPES).get("/businesses")
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


def test_an_operator_names_the_business(api: MakeApi) -> None:
    """And without a name gets nobody's rows."""
    client = api(operator=True)
    assert client.get("/resources").status_code == 422
    named = client.get("/resources", headers={"Moed-Business": str(client.business.id)})
    assert [resource["id"] for resource in named.json["items"]] == list(client.business.resources)


def test_too_many_requests_are_told_when_to_come_back(app: Flask, api: MakeApi, clock: Clock) -> None:
    """Each credential has its own count."""
    client, other = api(), api()
    limit = app.config["API_RATE"]
    app.config["API_RATE"] = 3
    try:
        assert [client.get("/credential").status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = client.get("/credential")
        assert refused.json["code"] == "rate_limited"
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert other.get("/credential").status_code == 200
        clock.advance(seconds=61)
        assert client.get("/credential").status_code == 200
    finally:
        app.config["API_RATE"] = limit


def new_resource(client: ApiClient, key: str, name: str = "Room 2") -> Any:
    return client.post("/resources", {"name": name}, headers={"Idempotency-Key": key})


def test_the_same_key_gets_the_first_answer(api: MakeApi) -> None:
    """Word for word, and one row."""
    client = api()
    first, second = new_resource(client, "k1"), new_resource(client, "k1")
    assert first.status_code == second.status_code == 201
    assert (first.data, first.headers["ETag"]) == (second.data, second.headers["ETag"])
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(client.get("/resources").json["items"]) == 2


def test_the_same_key_for_something_else_is_refused(api: MakeApi) -> None:
    """422, and the first stands."""
    client = api()
    new_resource(client, "k1")
    other = new_resource(client, "k1", "Room 3")
    assert (other.status_code, other.json["code"]) == (422, "idempotency_conflict")


def test_a_key_belongs_to_its_credential(api: MakeApi) -> None:
    """Two programs may think of the same key."""
    client = api()
    other = api(business=client.business)
    assert new_resource(client, "k1").json["id"] != new_resource(other, "k1").json["id"]


def test_a_refusal_is_repeated_too(api: MakeApi) -> None:
    """As long as it is the client's own fault."""
    client = api()
    first, second = new_resource(client, "k1", " "), new_resource(client, "k1", " ")
    assert (first.status_code, second.headers.get("Idempotent-Replayed")) == (422, "true")
    assert first.data == second.data


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é"])
def test_a_malformed_key_is_refused(api: MakeApi, key: str) -> None:
    """Before anything is done."""
    answer = new_resource(api(), key)
    assert (answer.status_code, answer.json["field"]) == (422, "Idempotency-Key")


def test_an_update_needs_the_version_that_was_seen(api: MakeApi) -> None:
    """428 without, 412 with an older one, 200 and a new ETag with the right one."""
    client = api()
    path = f"/resources/{client.business.resources[0]}"
    assert client.patch(path, {"name": "A"}).status_code == 428
    assert client.patch(path, {"name": "A"}, headers={"If-Match": '"9"'}).status_code == 412
    assert client.patch(path, {"name": "A"}, headers={"If-Match": 'W/"1"'}).status_code == 412
    changed = client.patch(path, {"name": "A"}, version=1)
    assert (changed.status_code, changed.headers["ETag"], changed.json["version"]) == (200, '"2"', 2)
    stale = client.patch(path, {"name": "B"}, version=1)
    assert (stale.status_code, stale.json["code"]) == (412, "stale_version")
    assert client.patch(path, {"name": "C"}, headers={"If-Match": "*"}).status_code == 200


def test_what_was_seen_already_is_not_sent_again(api: MakeApi) -> None:
    """304 for the version that the client has."""
    client = api()
    path = f"/resources/{client.business.resources[0]}"
    etag = client.get(path).headers["ETag"]
    again = client.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")


def test_a_list_comes_in_pages(api: MakeApi) -> None:
    """Each row once, in one order, whatever the size of the pages."""
    client = api()
    for number in range(6):
        new_resource(client, f"k{number}", f"Room {number}")
    whole = client.get("/resources").json["items"]
    found, query = [], {"limit": "3"}
    while True:
        page = client.get("/resources", query_string=query).json
        found += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == whole
    assert len(whole) == 7


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=", "cursor=!!", "limit=0", "limit=201", "limit=x", "limit=1.5"]
)
def test_a_page_that_is_no_page_is_refused(api: MakeApi, query: str) -> None:
    """422 naming the parameter."""
    answer = api().get(f"/resources?{query}")
    assert (answer.status_code, answer.json["field"]) == (422, query.partition("=")[0])


def test_the_page_to_browse_it_needs_nothing_from_elsewhere(app: Flask) -> None:
    """Every file that it names is here, and its policy allows no other place."""
    client = app.test_client()
    with client.get("/api/v1/docs") as page:
        policy = page.headers["Content-Security-Policy"]
        assert page.status_code == 200
        assert "http" not in policy
        named = [part.split('"')[0] for part in page.get_data(as_text=True).split("docs/")[1:]]
    assert len(named) == 4
    for name in named:
        with client.get(f"/api/v1/docs/{name}") as file:
            assert file.status_code == 200


def test_the_database_is_gone_is_a_503(api: MakeApi, services: Services) -> None:
    """With Retry-After, and the next request works."""
    client = api()
    engine = services.readiness._db.engine
    held = [engine.connect() for _ in range(10)]
    patience, engine.pool._timeout = engine.pool._timeout, 0.05  # type: ignore[attr-defined]
    try:
        answer = client.get("/resources")
    finally:
        engine.pool._timeout = patience  # type: ignore[attr-defined]
        for connection in held:
            connection.close()
    assert (answer.status_code, answer.mimetype) == (503, PROBLEM)
    assert int(answer.headers["Retry-After"]) > 0
    assert client.get("/resources").status_code == 200
