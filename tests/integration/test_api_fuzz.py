"""schemathesis over the whole API, with all its checks: what the OpenAPI document says must be true."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.integration.conftest import ApiClient, MakeApi
from tests.integration.processes import WebProcess, running_web

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(scope="module")
def fuzzed(database_url: str) -> Iterator[WebProcess]:
    """A web process that may be asked as often as anybody likes."""
    with running_web(
        database_url, API_RATE_LIMIT_PER_MIN="10000000", DB_POOL_SIZE="10", DB_CONNECTION_LIMIT="40"
    ) as process:
        yield process


@pytest.fixture
def client(api: MakeApi, engine: Engine) -> ApiClient:
    """With a key that may do everything, and an id that no request hits upon: it must not revoke itself."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE api_keys ALTER COLUMN id RESTART WITH 31415926535"))
    return api()


def fuzz(web: WebProcess, client: ApiClient, folder: Path, examples: int) -> tuple[int, str]:
    """(exit code, what was printed) of a run with a key that may do everything."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run"]
    command += [f"http://127.0.0.1:{web.port}/api/v1/openapi.json", "--checks", "all", "--seed", "1"]
    command += ["--max-examples", str(examples), "--header", f"Authorization: Bearer {client.token}"]
    command += ["--continue-on-failure", "--no-color"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout[-20_000:] + run.stderr[-2000:]


def operations_tested(printed: str) -> tuple[int, int]:
    """(tested, in the document) of a run's summary."""
    tested = re.search(r"Tested: (\d+)", printed)
    selected = re.search(r"Selected: \d+/(\d+)", printed)
    assert tested, printed
    assert selected, printed
    return int(tested[1]), int(selected[1])


@pytest.mark.timeout(600)
def test_some_requests_of_every_kind_are_answered_as_documented(
    fuzzed: WebProcess, client: ApiClient, tmp_path: Path
) -> None:
    """A few of each operation; the long test tries many."""
    code, printed = fuzz(fuzzed, client, tmp_path, examples=3)
    assert code == 0, printed
    tested, documented = operations_tested(printed)
    assert tested == documented >= 70
    assert client.get("/credential").status_code == 200


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_requests_of_every_kind_are_answered_as_documented(
    fuzzed: WebProcess, client: ApiClient, tmp_path: Path
) -> None:
    """At least 100 of each operation, and chains of them."""
    code, printed = fuzz(fuzzed, client, tmp_path, examples=100)
    assert code == 0, printed
    tested, documented = operations_tested(printed)
    assert tested == documented >= 70
    assert client.get("/credential").status_code == 200
