"""What machines ask: alive, ready, and which routes need no credential."""

from __future__ import annotations

import pytest
from flask import Flask

from app.api.health import health_blueprint


def client_with(problems: list[str]) -> Flask:
    """An app whose database has these problems."""
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(health_blueprint(lambda: problems))
    return app


def test_alive_even_when_the_database_is_not() -> None:
    """A restart would not mend a database: liveness does not look at it."""
    response = client_with(["down"]).test_client().get("/healthz")
    assert response.status_code == 200
    assert response.get_json() == {"status": "alive"}


@pytest.mark.parametrize(
    ("problems", "status", "word"), [([], 200, "ready"), (["the database does not answer"], 503, "not ready")]
)
def test_ready_lists_the_problems(problems: list[str], status: int, word: str) -> None:
    """503 and the reasons, as long as there are any; never from a cache."""
    response = client_with(problems).test_client().get("/readyz")
    assert response.status_code == status
    assert response.get_json() == {"status": word, "problems": problems}
    assert response.headers["Cache-Control"] == "no-store"


def test_root_says_where_to_look() -> None:
    """A person who opens the address finds the two."""
    body = client_with([]).test_client().get("/").get_json()
    assert (body["alive"], body["ready"]) == ("/healthz", "/readyz")
