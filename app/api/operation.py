"""What every REST operation has: a scope, checked input, one kind of answer, conventions, documentation.

`operation` wires them in this order: the credential, its rate and its scope; the idempotency key; query and body;
the view; the answer with its ETag. A view gets a `Caller` and checked values, and returns what a service gave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Literal, TypeVar

import marshmallow as ma
from flask import Request, Response, current_app, jsonify, request
from flask_smorest import Blueprint
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from app.api import etags, paging
from app.api.auth import Caller, IfMatch, admit
from app.api.documentation import Facts, documented, example_of
from app.api.idempotency import once
from app.domain.pages import Page
from app.errors import InvalidInput
from app.services import Services, services_of

__all__ = ["Answer", "Caller", "operation", "section", "services"]

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Answer:
    """A view's result with headers of its own."""

    value: object
    headers: Mapping[str, str] = field(default_factory=dict)


class _Parser(FlaskParser):
    """Unknown query parameters are refused, like unknown fields of a body."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": None, "query": ma.RAISE}  # noqa: RUF012 - as in webargs

    def _raw_load_json(self, req: Request) -> Any:
        """Flask's reading: webargs' own lets a number of 5,000 digits through as a fault of ours."""
        try:
            return req.get_json()
        except RecursionError:
            raise BadRequest("The body is nested too deeply.") from None


class Section(Blueprint):  # type: ignore[misc]  # flask-smorest is untyped
    """The operations of one kind of thing; a heading of the documentation."""

    ARGUMENTS_PARSER = _Parser()


def section(name: str, description: str) -> Section:
    """A section under /api/v1."""
    slug = name.lower().replace(" ", "_")
    return Section(slug, slug, url_prefix="/api/v1", description=description)


def services() -> Services:
    """The services of the app that answers this request."""
    return services_of(current_app)


def operation(
    blueprint: Section,
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
    path: str,
    *,
    summary: str,
    scope: str | None = None,
    description: str = "",
    body: type[ma.Schema] | None = None,
    query: type[ma.Schema] | None = None,
    answer: type[ma.Schema] | None = None,
    page_of: type[ma.Schema] | None = None,
    status: int | None = None,
    versioned: bool = False,
    if_match: IfMatch | None = None,
    problems: tuple[int, ...] = (),
    public: bool = False,
    shown_once: str | None = None,
) -> Callable[[View], View]:
    """Make a view an operation of the API.

    * `scope`: what the credential must allow; None: any credential. `public`: no credential, and no `caller`.
    * `body`, `query`: schemas; the view gets the loaded dicts under these names.
    * `answer`: the schema of the result (None: 204, or a `Response` that the view made); `page_of`: of each item
      of the `Page` that the view returns. `status` is 201 for a POST, else 200.
    * `versioned`: PUT and PATCH of a thing with a version: If-Match is required. `if_match` says so for others.
    * `shown_once`: a field of the answer that is a secret: it is not stored for an Idempotency-Key, and null when
      the answer is given again.
    * `problems`: statuses of refusals besides those that every operation has.
    """
    takes_query = query is not None
    if page_of is not None:
        query = paging.query_schema(query)
        answer = paging.page_schema(page_of)
    match = "required" if versioned else if_match
    code = status or (204 if answer is None else 201 if method == "POST" else 200)

    def decorate(view: View) -> View:
        run = _answering(view, answer, code)
        if page_of is not None:
            run = paging.paged(run, keeps_query=takes_query)
        if query is None:
            run = _without_query(run)
        else:
            run = blueprint.arguments(query, location="query", arg_name="query")(run)
        if body is not None:
            run = blueprint.arguments(body, location="json", arg_name="body", example=example_of(body))(run)
            run = _only_json(run)
        if method == "POST" and not public:
            run = once(run, shown_once)
        if not public:
            run = _admitting(run, scope, match)
        facts = Facts(method, summary, description, scope, answer, code, match, problems, public, body is not None)
        run = documented(blueprint, run, facts)
        blueprint.route(path, methods=[method], endpoint=view.__name__)(run)
        return view

    return decorate


def _answering(view: Callable[..., Any], answer: type[ma.Schema] | None, code: int) -> Callable[..., Response]:
    """The view, its result as a response."""
    schema = None if answer is None else answer()

    @wraps(view)
    def run(**kwargs: Any) -> Response:
        result = view(**kwargs)
        if isinstance(result, Response):
            return result
        headers = result.headers if isinstance(result, Answer) else {}
        result = result.value if isinstance(result, Answer) else result
        if schema is None:
            response = Response(status=code)
        else:
            response = jsonify(schema.dump(paging.shown(result) if isinstance(result, Page) else result))
            response.status_code = code
            etags.mark(response, result)
        response.headers.extend(headers)
        # What one credential sees is nobody else's.
        response.headers.setdefault(
            "Cache-Control", "private, no-cache" if request.method == "GET" else "no-store"
        )
        return etags.not_modified(response)

    return run


def _without_query(run: Callable[..., Response]) -> Callable[..., Response]:
    """The view, refusing a query: a parameter that is misunderstood must not be ignored."""

    @wraps(run)
    def checked(**kwargs: Any) -> Response:
        for name in request.args:
            raise InvalidInput(name, "is not a parameter of this operation")
        return run(**kwargs)

    return checked


def _only_json(run: Callable[..., Response]) -> Callable[..., Response]:
    """The view, refusing a body that does not say that it is JSON."""

    @wraps(run)
    def checked(**kwargs: Any) -> Response:
        if request.mimetype != "application/json":
            raise UnsupportedMediaType("The body must be JSON, with Content-Type: application/json.")
        if not request.get_data():
            raise BadRequest("The body is empty.")
        return run(**kwargs)

    return checked


def _admitting(run: Callable[..., Response], scope: str | None, match: IfMatch | None) -> Callable[..., Response]:
    """The view, behind its credential."""

    @wraps(run)
    def admitted(**kwargs: Any) -> Response:
        return run(caller=admit(services(), scope, match), **kwargs)

    return admitted
