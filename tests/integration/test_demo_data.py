"""`flask --app wsgi demo-data`: something to try the API with."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import Result
from flask import Flask
from structlog.testing import capture_logs

from app import create_app
from app.domain.access import BUSINESS_SCOPES
from app.domain.appointments import FindSlots
from app.services import Services
from app.services.demo_data import DEMO_PHONE_NUMBER, seed_demo_business
from tests.integration.conftest import Server, app_settings

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    """`flask --app wsgi demo-data …` in this process."""

    def run(*arguments: str) -> Result:
        with capture_logs():
            return app.test_cli_runner().invoke(args=["demo-data", *arguments])

    return run


def test_several_at_once_make_one_business(services: Services) -> None:
    """Who comes second takes the first one's. The first test here, while there is none yet."""
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: seed_demo_business(services), range(4)))
    assert len(ids) == 1


def test_the_demo_business_is_made_with_a_key(run: Run, services: Services) -> None:
    """The key may do all that a business's can, and there is something to book."""
    result = run("--json")
    assert result.exit_code == 0, result.stderr
    made = json.loads(result.stdout)
    assert set(made) == {"business_id", "phone_number", "api_key"}
    assert made["phone_number"] == DEMO_PHONE_NUMBER
    assert services.businesses.find_by_phone_number(DEMO_PHONE_NUMBER) == made["business_id"]
    credential = services.api_keys.authenticate(made["api_key"])
    assert (credential.business_id, credential.scopes) == (made["business_id"], BUSINESS_SCOPES)
    assert services.scheduling.find_slots(FindSlots(made["business_id"])).offers


def test_again_it_is_the_same_business_and_another_key(run: Run, services: Services) -> None:
    """Keys can't be read back, so each run makes one; the older ones stay good."""
    first, second = (json.loads(run("--json").stdout) for _ in range(2))
    assert first["business_id"] == second["business_id"]
    assert first["api_key"] != second["api_key"]
    assert services.api_keys.authenticate(first["api_key"]).business_id == first["business_id"]


def test_without_json_it_is_readable(run: Run) -> None:
    """A line each."""
    lines = run().stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["business_id", "phone_number", "api_key"]
    assert lines[1].endswith(DEMO_PHONE_NUMBER)


@pytest.mark.parametrize("arguments", [("--jsn",), ("surplus",)])
def test_a_wrong_option_is_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    """And exit code 2."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


def test_a_database_that_does_not_answer_is_one_line(server: Server) -> None:
    """As for every command; nothing of the URL is told."""
    app = create_app(app_settings(server.url_of("not_there")))
    with capture_logs():
        result = app.test_cli_runner().invoke(args=["demo-data", "--json"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert server.password not in result.stderr
