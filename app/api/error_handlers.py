"""The one place that renders errors as HTTP: RFC 9457 problem documents with a machine `code`.

Its counterpart for the model is `worker/tools/refusals.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from flask import Flask, Response
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from app import errors
from app.api import request_ids

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """How one class of errors is told over HTTP. `says_why`: `str(error)` may be shown to the client."""

    status: int
    title: str
    says_why: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


PROBLEMS: dict[type[errors.MoedError], Problem] = {
    errors.MoedError: Problem(500, "Internal error", says_why=False),
    errors.InvalidInput: Problem(422, "Invalid input"),
    errors.PolicyError: Problem(422, "Invalid slot policy"),
    errors.SlotUnavailable: Problem(409, "The time is not available"),
    errors.SlotTaken: Problem(409, "The time is taken"),
    errors.SlotRefused: Problem(422, "The time can't be booked"),
    errors.IdempotencyConflict: Problem(422, "The idempotency key was used for another request"),
    errors.IdempotencyInFlight: Problem(
        409, "A request with this idempotency key is being answered", headers={"Retry-After": "1"}
    ),
    errors.AlreadyExists: Problem(409, "It exists already"),
    errors.InvalidState: Problem(409, "Not possible in this state"),
    errors.StaleVersion: Problem(412, "It was changed in the meantime"),
    errors.Unauthenticated: Problem(401, "A valid credential is needed", headers={"WWW-Authenticate": "Bearer"}),
    errors.WrongLogin: Problem(401, "E-mail or password is wrong", headers={"WWW-Authenticate": "Bearer"}),
    errors.Forbidden: Problem(403, "The credential does not allow this"),
    errors.RateLimited: Problem(429, "Too many requests"),
    errors.NotFound: Problem(404, "Not found"),
    errors.UnknownNumber: Problem(404, "Nobody has this number"),
    errors.StreamRefused: Problem(403, "The media stream is refused", says_why=False),
    errors.CalendarUnavailable: Problem(503, "The calendar is unavailable", headers={"Retry-After": "2"}),
    errors.OutcomeUnknown: Problem(503, "It is not known whether this was stored"),
}


def register(app: Flask) -> None:
    """Answer every error of `app` with a problem document."""
    app.register_error_handler(errors.MoedError, _domain_error)
    app.register_error_handler(HTTPException, render_http_error)
    app.register_error_handler(Exception, _unexpected_error)


def _domain_error(error: errors.MoedError) -> Response:
    problem = PROBLEMS[type(error)]
    if problem.status >= 500:
        log.error("request failed", code=error.code, exc_info=error)
    return _document(
        problem.status,
        problem.title,
        error.code,
        detail=str(error) if problem.says_why else None,
        headers={**problem.headers, **_headers(error)},
        **_particulars(error),
    )


def _headers(error: errors.MoedError) -> dict[str, str]:
    return {"Retry-After": str(error.retry_after_s)} if isinstance(error, errors.RateLimited) else {}


def _particulars(error: errors.MoedError) -> dict[str, Any]:
    """The members that a client needs besides, by kind of error."""
    found: dict[str, Any] = {}
    if isinstance(error, errors.InvalidInput | errors.AlreadyExists):
        found["field"] = error.field
    if isinstance(error, errors.SlotRefused):
        found["refusal_code"] = error.refusal_code
    if isinstance(error, errors.SlotUnavailable):
        found["alternatives"] = [
            {
                "starts_at": slot.starts_at.isoformat(),
                "ends_at": slot.ends_at.isoformat(),
                "resource_id": slot.resource_id,
            }
            for slot in error.alternatives
        ]
    return found


def render_http_error(error: HTTPException) -> ResponseReturnValue:
    """werkzeug's errors, and webargs' with what is wrong in which field."""
    if error.code is None or error.code < 400 or error.response is not None:
        return error.get_response()
    # Allow of a 405 (RFC 9110 15.5.6), Retry-After of a 429 and the like stay.
    kept = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    invalid = getattr(error, "data", {}).get("messages")
    if isinstance(invalid, dict):
        return _invalid_input(error.code, invalid, kept)
    code = error.name.lower().replace(" ", "_")
    return _document(error.code, error.name, code, detail=error.description, headers=kept)


def _invalid_input(status: int, messages: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """webargs: {"json": {"starts_at": ["Not a valid date."]}}. `field` and `detail` are of the first."""
    if isinstance(messages.get("json"), list):
        return _document(
            status, "Bad Request", "bad_request", detail="The body is not valid JSON.", headers=headers
        )
    path: list[str] = []
    found: Any = messages
    while isinstance(found, Mapping) and found:
        name, found = next(iter(found.items()))
        path.append(str(name))
    detail = str(found[0]) if isinstance(found, list) and found else "is not valid"
    name = ".".join(path[1:]) or "body"
    return _document(
        status,
        "Invalid input",
        errors.InvalidInput.code,
        detail=f"{name}: {detail}",
        headers=headers,
        field=name,
        errors=dict(messages),
    )


def _unexpected_error(error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    return _document(500, "Internal error", "internal_error", request_id=request_ids.current())


def _document(
    status: int,
    title: str,
    code: str,
    *,
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: object,
) -> Response:
    """RFC 9457: `type` is a path on this server, whole as section 3.1.1 asks of relative references."""
    body: dict[str, object] = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "code": code,
    }
    if detail is not None:
        body["detail"] = detail
    body.update(members)
    # A field's name that the client made up may hold half a character.
    told = json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(told, status, mimetype=MEDIA_TYPE, headers=dict(headers or {}))
