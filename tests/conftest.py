"""What every suite shares: the database server, and a check that each suite runs the way it is meant to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import server_for_tests

WORKER_TESTS = Path(__file__).parent / "worker"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Worker tests run patched, as the worker does; all others unpatched, which proves they need no gevent."""
    monkey = sys.modules.get("gevent.monkey")
    patched = monkey is not None and monkey.is_module_patched("socket")
    for item in items:
        if patched != item.path.is_relative_to(WORKER_TESTS):
            raise pytest.UsageError(
                "tests/worker runs in a patched process of its own: `bin/test tests/worker`, or"
                " `.venv/bin/python -m tests.worker [options]`; everything else runs unpatched"
            )


@pytest.fixture(scope="session")
def postgres_admin_url() -> Iterator[str]:
    """URL of a role that may make databases and roles, on one server for the whole session."""
    with server_for_tests() as url:
        yield url
