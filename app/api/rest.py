"""The REST API: its sections, its OpenAPI document, and a page to browse it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, request, send_from_directory
from flask_smorest import Api
from werkzeug.exceptions import HTTPException

from app.api import (
    api_keys,
    appointment_types,
    appointments,
    availability,
    blocks,
    businesses,
    calendar_feeds,
    calls,
    credential,
    customers,
    date_overrides,
    error_handlers,
    holds,
    messages,
    resources,
    session,
    slot_policy,
    users,
    webhook_deliveries,
    webhook_endpoints,
)
from app.api.documentation import ID_SCHEMA, PROBLEM_TYPE, PROBLEMS, Problem
from app.api.fields import IdConverter
from app.api.operation import Section
from app.api.schemas import windows

SECTIONS: tuple[Section, ...] = (
    credential.blueprint,
    businesses.blueprint,
    slot_policy.blueprint,
    date_overrides.blueprint,
    resources.blueprint,
    appointment_types.blueprint,
    blocks.blueprint,
    availability.blueprint,
    appointments.blueprint,
    holds.blueprint,
    calls.blueprint,
    messages.blueprint,
    customers.blueprint,
    calendar_feeds.blueprint,
    api_keys.blueprint,
    users.blueprint,
    session.blueprint,
    webhook_endpoints.blueprint,
    webhook_deliveries.blueprint,
)
"""Every section, in the order of the documentation."""

MOST_BODY_BYTES = 1024 * 1024

DESCRIPTION = """
Calendars, appointments, calls and settings of a business that Moed answers the phone for.

* **Credentials.** `Authorization: Bearer <API key>`, or the session cookie of a login; a session's changes repeat
  its `csrf_token` in `X-CSRF-Token`. A key belongs to one business, or to the operator, who names the business in
  `Moed-Business`.
* **Errors** are RFC 9457 problem documents. `code` is for programs.
* **Times** are RFC 3339 with an offset; answers carry the business's, and name its IANA zone.
* **Idempotency-Key** on every POST: the same request again gets the first answer.
* **ETag and If-Match** on updates: 412 if somebody was faster, 428 without it.
* **Lists** come in pages: pass `next_cursor` as `cursor`.
* Unknown fields and query parameters are refused.
"""

_SECURITY = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "moed_session",
        "description": "A login. Requests that change something also need X-CSRF-Token.",
    },
}

_PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Swagger UI sets styles from its script
        "img-src 'self' data:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
_PAGE_FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_STATIC = Path(__file__).resolve().parents[2] / "static"


class RestApi(Api):  # type: ignore[misc]  # flask-smorest is untyped
    """flask-smorest, with our problem documents in place of its errors."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_responses(self) -> None:
        self.spec.components.schema("Problem", schema=Problem)
        names = {422: "UNPROCESSABLE_ENTITY"}  # webargs' name for it
        for status, (name, description) in PROBLEMS.items():
            example = {
                "type": f"/problems/{_snake(name)}",
                "title": description,
                "status": status,
                "code": _snake(name),
            }
            content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
            for known in {name, names.get(status, name)}:
                self.spec.components.response(known, {"description": description, "content": content}, lazy=True)

    def handle_http_exception(self, error: HTTPException) -> Any:
        """Ours renders it."""
        return error_handlers.render_http_error(error)


def register(app: Flask, requests_per_minute: int, *, secure_cookies: bool = True) -> None:
    """Add the API to `app`."""
    app.config[session.SECURE_COOKIES] = secure_cookies
    app.config["API_RATE"] = requests_per_minute
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
    app.config["API_TITLE"] = "Moed"
    app.config["API_VERSION"] = "v1"
    app.config["OPENAPI_VERSION"] = "3.1.0"
    app.url_map.converters["id"] = IdConverter
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's own provider
    api = RestApi()
    api.register_converter(IdConverter, lambda _: ID_SCHEMA)
    options = {"info": {"description": DESCRIPTION}, "servers": [{"url": "/"}]}
    api.init_app(app, spec_kwargs=options)
    api.ma_plugin.converter.add_attribute_function(windows.described)
    for name, scheme in _SECURITY.items():
        api.spec.components.security_scheme(name, scheme)
    for section in SECTIONS:
        api.register_blueprint(section)
    app.register_blueprint(_documents(api))


def _documents(api: RestApi) -> Blueprint:
    """`/api/v1/openapi.json`, and `/api/v1/docs` to browse it; public, as they hold nobody's data."""
    blueprint = Blueprint("api_documents", __name__, url_prefix="/api/v1")
    document = json.dumps(api.spec.to_dict(), ensure_ascii=False)

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return _cacheable(Response(document, mimetype="application/json"))

    @blueprint.get("/docs")
    def docs() -> Response:
        response = send_from_directory(_STATIC, "api-docs.html")
        response.headers["Content-Security-Policy"] = _PAGE_POLICY
        return response

    @blueprint.get("/docs/api-docs.js")
    def script() -> Response:
        return send_from_directory(_STATIC, "api-docs.js")

    for name in _PAGE_FILES:
        blueprint.add_url_rule(f"/docs/{name}", endpoint=_snake(name), view_func=_page_file(name))
    return blueprint


def _page_file(name: str) -> Any:
    folder = str(files("flask_swagger_ui") / "dist")
    return lambda: send_from_directory(folder, name)


def _cacheable(response: Response) -> Response:
    response.add_etag()
    response.headers["Cache-Control"] = "no-cache"
    return response.make_conditional(request)  # type: ignore[return-value]  # werkzeug's own type


def _snake(name: str) -> str:
    return (
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        .strip("_")
        .replace(".", "_")
    )
