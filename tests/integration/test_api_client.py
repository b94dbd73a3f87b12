"""A client that openapi-python-client makes of our document, as a user of the API would."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.settings import child_environment
from tests.integration.conftest import MakeApi
from tests.integration.processes import WebProcess, running_web

PACKAGE = "moed_client"


@pytest.fixture(scope="module")
def web(database_url: str) -> Iterator[WebProcess]:
    """A web process."""
    with running_web(database_url) as process:
        yield process


@pytest.fixture(scope="module")
def generated(web: WebProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The generated package; any warning of the generator fails."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "config.yml").write_text("post_hooks: []\n")
    document = folder / "openapi.json"
    document.write_bytes(web.request("GET", "/api/v1/openapi.json")[1])
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"]
    command += ["--path", str(document), "--output-path", str(folder / PACKAGE), "--config", "config.yml"]
    run = subprocess.run(
        command, cwd=folder, env=child_environment({}), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]


def function(section: str, name: str) -> Any:
    """`sync` of an operation."""
    return importlib.import_module(f"{PACKAGE}.api.{section}.{name}").sync


def test_a_generated_client_books_moves_and_cancels(generated: Any, web: WebProcess, api: MakeApi) -> None:
    """With its own types, from the free times to the cancellation."""
    models = importlib.import_module(f"{PACKAGE}.models")
    user = api()
    connected = generated.AuthenticatedClient(base_url=f"http://127.0.0.1:{web.port}", token=user.token)
    with connected as client:
        _books_moves_and_cancels(client, models)


def _books_moves_and_cancels(client: Any, models: Any) -> None:
    first = (datetime.now().astimezone() + timedelta(days=7)).date()
    last = first + timedelta(days=6)
    answer = function("availability", "list_availability")(client=client, from_=first, to=last)
    free = [slot for day in answer.days for slot in day.slots]
    booked = function("appointments", "book_appointment")(
        client=client, body=models.NewAppointment(starts_at=free[0].starts_at, customer_name="Dana Levi")
    )
    assert (booked.status, booked.starts_at) == ("confirmed", free[0].starts_at)
    moved = function("appointments", "reschedule_appointment")(
        booked.id,
        client=client,
        body=models.Reschedule(starts_at=free[5].starts_at),
        if_match=f'"{booked.version}"',
    )
    assert (moved.id, moved.number, moved.starts_at) == (booked.id, booked.number, free[5].starts_at)
    cancelled = function("appointments", "cancel_appointment")(
        moved.id, client=client, body=models.Cancellation(reason="ill")
    )
    assert cancelled.status == "cancelled"
    taken = function("appointments", "reschedule_appointment")(
        moved.id,
        client=client,
        body=models.Reschedule(starts_at=free[1].starts_at),
        if_match=f'"{cancelled.version}"',
    )
    assert taken.code == "invalid_state"
