"""Errors over HTTP: every one is a problem document, and none tells what it must not."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from flask import Flask, redirect
from werkzeug.exceptions import ServiceUnavailable, TooManyRequests
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from app import errors
from app.api import error_handlers, request_ids
from app.domain.appointments import FreeSlot

PRIVATE = "+972521234567"
SLOT = FreeSlot(datetime(2026, 1, 5, 9, tzinfo=UTC), datetime(2026, 1, 5, 9, 30, tzinfo=UTC), 3)


@pytest.fixture(autouse=True)
def _unread_logs() -> Iterator[None]:
    """structlog's own rendering of an error draws every frame with its variables, and takes its time."""
    with structlog.testing.capture_logs():
        yield


def every_class(root: type[errors.MoedError]) -> Iterator[type[errors.MoedError]]:
    """`root` and all its descendants."""
    yield root
    for child in root.__subclasses__():
        yield from every_class(child)


def answer_to(error: Exception) -> TestResponse:
    """What a client gets when a view raises `error`."""
    app = Flask(__name__, static_folder=None)
    request_ids.register(app)
    error_handlers.register(app)

    @app.get("/")
    def view() -> Response:
        raise error

    return app.test_client().get("/")


def problem_of(error: Exception) -> dict[str, Any]:
    """The problem document for `error`, checked for RFC 9457's members."""
    response = answer_to(error)
    assert response.mimetype == "application/problem+json"
    problem: dict[str, Any] = json.loads(response.get_data())
    assert problem["status"] == response.status_code
    assert problem["type"] == f"/problems/{problem['code']}"
    assert problem["title"]
    return problem


def test_every_error_class_has_a_problem() -> None:
    """The mapping knows exactly the error tree: a new error without HTTP words fails here."""
    assert set(error_handlers.PROBLEMS) == set(every_class(errors.MoedError))


@pytest.mark.parametrize(
    ("error", "status", "code", "members"),
    [
        (errors.MoedError("x"), 500, "error", {}),
        (errors.InvalidInput("name", "is empty"), 422, "invalid_input", {"field": "name"}),
        (errors.PolicyError("breaks.mon", "overlap"), 422, "invalid_policy", {"field": "breaks.mon"}),
        (
            errors.SlotTaken("taken", [SLOT]),
            409,
            "slot_taken",
            {
                "alternatives": [
                    {
                        "starts_at": "2026-01-05T09:00:00+00:00",
                        "ends_at": "2026-01-05T09:30:00+00:00",
                        "resource_id": 3,
                    }
                ]
            },
        ),
        (
            errors.SlotRefused("past", "is in the past"),
            422,
            "slot_refused",
            {"refusal_code": "past", "alternatives": []},
        ),
        (errors.SlotUnavailable("no"), 409, "slot_unavailable", {"alternatives": []}),
        (errors.IdempotencyConflict("other body"), 422, "idempotency_conflict", {}),
        (errors.NotFound("no such call"), 404, "not_found", {}),
        (errors.UnknownNumber("nobody"), 404, "unknown_number", {}),
        (errors.StreamRefused("expired"), 403, "stream_refused", {}),
        (errors.CalendarUnavailable("no answer"), 503, "calendar_unavailable", {}),
        (errors.OutcomeUnknown("lost"), 503, "outcome_unknown", {}),
    ],
)
def test_domain_error_is_rendered_with_its_code(
    error: errors.MoedError, status: int, code: str, members: dict[str, Any]
) -> None:
    """Status, code and the members that a client needs."""
    problem = problem_of(error)
    assert (problem["status"], problem["code"]) == (status, code)
    assert {name: problem[name] for name in members} == members


def test_reason_of_a_refused_stream_stays_inside() -> None:
    """Why a token was refused is for the log, not for whoever tries tokens."""
    assert "detail" not in problem_of(errors.StreamRefused("expired"))


def test_unavailable_calendar_says_when_to_come_back() -> None:
    """503 with Retry-After (RFC 9110 10.2.3)."""
    assert answer_to(errors.CalendarUnavailable("no answer")).headers["Retry-After"] == "2"


def test_http_errors_keep_their_headers() -> None:
    """What a status means may stand in a header: it stays."""
    response = answer_to(TooManyRequests(retry_after=7))
    assert response.headers["Retry-After"] == "7"
    assert response.mimetype == "application/problem+json"
    assert problem_of(ServiceUnavailable())["code"] == "service_unavailable"


def test_unknown_route_and_method_are_problems() -> None:
    """Errors of the routing itself, with Allow at the 405."""
    app = Flask(__name__, static_folder=None)
    request_ids.register(app)
    error_handlers.register(app)
    app.add_url_rule("/only-get", view_func=lambda: "", provide_automatic_options=False)
    missing = app.test_client().get("/nowhere")
    assert (missing.status_code, missing.get_json()["code"]) == (404, "not_found")
    wrong = app.test_client().post("/only-get")
    assert (wrong.status_code, wrong.get_json()["code"]) == (405, "method_not_allowed")
    assert {name.strip() for name in wrong.headers["Allow"].split(",")} == {"GET", "HEAD"}


def test_redirects_are_not_errors() -> None:
    """Flask raises some redirects: they pass."""
    app = Flask(__name__, static_folder=None)
    request_ids.register(app)
    error_handlers.register(app)
    app.add_url_rule("/folder/", view_func=lambda: redirect("/elsewhere"))
    assert app.test_client().get("/folder").status_code == 308


def test_unexpected_error_tells_only_a_request_id() -> None:
    """500 with the id that the log lines have; the exception's text goes nowhere."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        response = answer_to(RuntimeError(f"duplicate key: {PRIVATE}"))
    problem = response.get_json()
    assert (problem["status"], problem["code"]) == (500, "internal_error")
    assert problem["request_id"] == response.headers["X-Request-Id"]
    assert PRIVATE not in response.get_data(as_text=True)
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert line["request_id"] == problem["request_id"]
    assert isinstance(line["exc_info"], RuntimeError)


def test_offered_request_id_is_kept_and_a_bad_one_replaced() -> None:
    """The router's id is taken over; a text that could forge log lines is not."""
    app = Flask(__name__, static_folder=None)
    request_ids.register(app)
    client = app.test_client()
    offered = "3b8f2c1e-7d64-4c0e-9b9c-2f5d6a7e8f90"
    assert client.get("/", headers={"X-Request-Id": offered}).headers["X-Request-Id"] == offered
    for bad in ("short", "x" * 65, "a b" * 10, '{"event": "forged"}'):
        made = client.get("/", headers={"X-Request-Id": bad}).headers["X-Request-Id"]
        assert made != bad
        assert len(made) == 32


def test_each_request_has_its_own_id_in_its_lines() -> None:
    """Two requests, two ids; the line has the route and no query."""
    app = Flask(__name__, static_folder=None)
    request_ids.register(app)
    app.add_url_rule("/numbers/<number>", view_func=lambda number: io.StringIO(number).getvalue())
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        for _ in range(2):
            app.test_client().get(f"/numbers/{PRIVATE}?caller={PRIVATE}")
    assert [line["event"] for line in lines] == ["request answered"] * 2
    assert lines[0]["request_id"] != lines[1]["request_id"]
    assert lines[0]["route"] == "/numbers/<number>"
    assert PRIVATE not in str(lines)
