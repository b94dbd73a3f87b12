"""One id for each request: taken from the router in front, or made here; in every log line and in the answer."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from flask import Flask, Response, g, request

log = structlog.get_logger(__name__)

HEADER = "X-Request-Id"

# What routers send (a UUID, or 32 hex digits). Anything else could be used to write into the logs.
_ACCEPTED = re.compile(r"[0-9A-Za-z-]{16,64}")

# Asked every few seconds by machines.
_QUIET = ("health.healthz", "health.readyz")


def register(app: Flask) -> None:
    """Give each request of `app` an id, and log one line when it is answered."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_forget)


def current() -> str:
    """The id of the request that is being answered."""
    return str(g.request_id)


def _begin() -> None:
    offered = request.headers.get(HEADER, "")
    g.request_id = offered if _ACCEPTED.fullmatch(offered) else uuid.uuid4().hex
    g.began_at = time.monotonic()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _forget(_: BaseException | None) -> None:
    structlog.contextvars.unbind_contextvars("request_id")


def _end(response: Response) -> Response:
    response.headers[HEADER] = current()
    write = log.debug if request.endpoint in _QUIET else log.info
    # The route, never the path or the query: those may hold a number or a token.
    write(
        "request answered",
        method=request.method,
        route=request.url_rule.rule if request.url_rule else None,
        status=response.status_code,
        duration_ms=round((time.monotonic() - g.began_at) * 1000),
    )
    return response
