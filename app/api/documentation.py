"""What the OpenAPI document says of each operation, from the same facts that the operation is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import marshmallow as ma
from flask import Response
from flask_smorest import Blueprint

from app.api.auth import IfMatch
from app.api.fields import LARGEST_ID
from app.domain.access import SCOPES

PROBLEM_TYPE = "application/problem+json"

# What can be answered besides, by status: the component's name, and when.
PROBLEMS: dict[int, tuple[str, str]] = {
    400: ("BadRequest", "The request is not HTTP or JSON as it should be"),
    401: ("Unauthenticated", "No credential, or one that is unknown, revoked or expired"),
    403: ("Forbidden", "The credential does not allow this"),
    404: ("NotFound", "There is no such thing in this business"),
    409: ("Conflict", "Not possible as things are: the code says why"),
    412: ("StaleVersion", "It was changed since the version in If-Match"),
    413: ("TooLarge", "The body is too large"),
    415: ("NotJson", "The body is not JSON"),
    422: ("Invalid", "A field breaks a rule, or a policy refuses: `field` or `refusal_code` says which"),
    428: ("VersionMissing", "If-Match is missing"),
    429: ("RateLimited", "Too many requests: come back after Retry-After seconds"),
    500: ("InternalError", "A fault of ours"),
    503: ("Unavailable", "The database does not answer: come back after Retry-After seconds"),
}

ID_SCHEMA = {"type": "integer", "format": "int64", "minimum": 1, "maximum": LARGEST_ID, "example": 7}

_IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Any text of your own: the same request with the same key again gets the first answer",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "example": "5f0c3b1e-4f1d-4d4e-9a53-6d2a8a1f5f10",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What an operation is, for its documentation."""

    method: str
    summary: str
    description: str
    scope: str | None
    answer: type[ma.Schema] | None
    status: int
    if_match: IfMatch | None
    problems: tuple[int, ...]
    public: bool
    has_body: bool


class Problem(ma.Schema):
    """An RFC 9457 problem document."""

    type = ma.fields.String(required=True, metadata={"description": "A name of the kind of problem"})
    title = ma.fields.String(required=True, metadata={"description": "The kind of problem in words"})
    status = ma.fields.Integer(required=True, metadata={"description": "The HTTP status"})
    code = ma.fields.String(required=True, metadata={"description": "The kind of problem for programs"})
    detail = ma.fields.String(metadata={"description": "What is wrong here"})
    field = ma.fields.String(metadata={"description": "The field that is wrong"})
    errors = ma.fields.Dict(metadata={"description": "What is wrong, by place and field"})
    refusal_code = ma.fields.String(metadata={"description": "Why the slot policy refuses"})
    alternatives = ma.fields.List(
        ma.fields.Dict(), metadata={"description": "Free times near the one that was refused"}
    )
    request_id = ma.fields.String(metadata={"description": "To find the request in the logs"})


def documented(blueprint: Blueprint, run: Callable[..., Response], facts: Facts) -> Callable[..., Response]:
    """`run`, with everything that the document says of it."""
    if facts.answer is None:
        run = blueprint.alt_response(facts.status, description=_success(facts), success=True)(run)
    else:
        example, headers = example_of(facts.answer), _answer_headers(facts)
        described = {"description": _success(facts), "example": example, "headers": headers}
        run = blueprint.response(facts.status, facts.answer, **described)(run)
    for status in sorted(_statuses(facts)):
        run = blueprint.alt_response(status, response=PROBLEMS[status][0])(run)
    # Not through `doc`, which would replace those of the query.
    arguments = run._apidoc.setdefault("arguments", {})  # type: ignore[attr-defined]
    arguments.setdefault("parameters", []).extend(_parameters(facts))
    finished: Callable[..., Response] = blueprint.doc(
        operationId=run.__name__,
        summary=facts.summary,
        description=_description(facts),
        security=[] if facts.public else _security(facts.scope),
    )(run)
    return finished


def example_of(schema: type[ma.Schema]) -> dict[str, Any]:
    """An example of a body or an answer, from its fields' own."""
    return {
        name: found
        for name, item in schema().fields.items()
        if (found := _example(item)) is not None or item.allow_none
    }


def _example(item: ma.fields.Field[Any]) -> Any:
    if "example" in item.metadata:
        return item.metadata["example"]
    if isinstance(item, ma.fields.Nested):
        inner = example_of(type(item.schema))
        return [inner] if item.many else inner
    if isinstance(item, ma.fields.List):
        inner = _example(item.inner)
        return [] if inner is None else [inner]
    return None


def _statuses(facts: Facts) -> set[int]:
    found = {400, 422, 503, *facts.problems}
    if not facts.public:
        found |= {401, 403, 429}
    if facts.has_body:
        found |= {413, 415}
    if facts.method == "POST" and not facts.public:
        found |= {409}
    if facts.if_match is not None:
        found |= {412} | ({428} if facts.if_match == "required" else set())
    return found


def _success(facts: Facts) -> str:
    return {201: "Made", 204: "Done"}.get(facts.status, "The answer")


def _answer_headers(facts: Facts) -> dict[str, Any] | None:
    if facts.answer is None or "version" not in facts.answer().fields:
        return None
    return {"ETag": {"description": "The version, for If-Match", "schema": {"type": "string"}, "example": '"1"'}}


def _description(facts: Facts) -> str:
    needs = "" if facts.scope is None else f"Needs the scope `{facts.scope}`: {SCOPES[facts.scope]}."
    return "\n\n".join(part for part in (facts.description, needs) if part)


def _security(scope: str | None) -> list[dict[str, list[str]]]:
    """OpenAPI 3.1: for schemes other than OAuth the list names the roles that are needed."""
    scopes = [] if scope is None else [scope]
    return [{"apiKey": scopes}, {"session": scopes}]


def _parameters(facts: Facts) -> list[dict[str, Any]]:
    if facts.public:
        return []
    found = [_IDEMPOTENCY_KEY] if facts.method == "POST" else []
    if facts.if_match is not None:
        found.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": facts.if_match == "required",
                "description": "The ETag of the version that you saw",
                "schema": {"type": "string", "pattern": r'^(\*|"[1-9][0-9]{0,9}")$'},
                "example": '"1"',
            }
        )
    return found
