"""Where machines look: is the process alive, and can it work."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, jsonify

# Every other route of this process needs a credential; a test walks the routes and compares.
PUBLIC_ENDPOINTS = frozenset({"health.index", "health.healthz", "health.readyz"})


def health_blueprint(database_problems: Callable[[], list[str]]) -> Blueprint:
    """`/healthz`: 200 while the process answers. `/readyz`: 503 while `database_problems()` names any."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/")
    def index() -> Response:
        return jsonify(service="moed", alive="/healthz", ready="/readyz")

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return _fresh(jsonify(status="alive"))

    @blueprint.get("/readyz")
    def readyz() -> Response:
        problems = database_problems()
        response = jsonify(status="not ready" if problems else "ready", problems=problems)
        response.status_code = 503 if problems else 200
        return _fresh(response)

    return blueprint


def _fresh(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
