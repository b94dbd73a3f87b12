"""`bin/bench [WHAT …]`: figures, one JSON object a line. Nothing is asserted: machines differ, and are noisy.

availability    GET /api/v1/availability for 31 days, end to end over HTTP, in a business with 100,000 of the
                1,000,000 appointments of the database
"""

from __future__ import annotations

import contextlib
import json
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from http.client import HTTPConnection
from typing import Any

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from app import create_app, schema
from app.domain.access import BUSINESS_SCOPES
from app.domain.api_keys import NewApiKey
from app.models import db
from app.services import services_of
from app.settings import load_settings
from tests.big_calendar import days_filled, fill
from tests.integration.processes import running_web
from tests.postgres import server_for_tests

REPETITIONS = 200
DAYS = 31


def main(arguments: Sequence[str]) -> int:
    """Measure what `arguments` name, or everything."""
    unknown = [name for name in arguments if name not in BENCHES]
    if unknown:
        sys.stderr.write(f"bench: there is no {unknown[0]}; there are {', '.join(BENCHES)}\n")
        return 2
    for name in arguments or BENCHES:
        for figures in BENCHES[name]():
            sys.stdout.write(json.dumps({"bench": name, **figures}) + "\n")
            sys.stdout.flush()
    return 0


def availability() -> Iterator[dict[str, Any]]:
    """31 days, for all resources and for one."""
    with _database() as url:
        settings = load_settings({"DATABASE_URL": url, "MOED_ENV": "test"})
        schema.migrate(settings, say=_say)
        app = create_app(settings)
        services = services_of(app)
        with app.app_context():
            _say("filling the database: 10 businesses of 100,000 appointments, some minutes")
            began_at = time.monotonic()
            business = fill(db.engine, services)
            _say(f"filled in {time.monotonic() - began_at:.0f} s")
            key = services.api_keys.create_key(
                business.id, NewApiKey("bench", BUSINESS_SCOPES), "bench", BUSINESS_SCOPES
            )
            db.engine.dispose()
        last = days_filled()[0] + timedelta(days=400)
        first = last - timedelta(days=DAYS - 1)
        path = f"/api/v1/availability?from={first}&to={last}"
        with running_web(url, API_RATE_LIMIT_PER_MIN="10000000") as web:
            for query in ("", f"&resource_id={business.resources[0]}"):
                yield {"path": path + query, **_timed(web.port, path + query, key.token)}


def _timed(port: int, path: str, token: str) -> dict[str, Any]:
    """Milliseconds from the request's first byte to the answer's last, on one connection."""
    headers = {"Authorization": f"Bearer {token}"}
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        taken = []
        for _ in range(REPETITIONS + 5):
            began_at = time.perf_counter()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            taken.append((time.perf_counter() - began_at) * 1000)
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {body[:500]!r}")
    cuts = statistics.quantiles(taken[5:], n=20)
    return {
        "requests": REPETITIONS,
        "bytes": len(body),
        "p50_ms": round(statistics.median(taken[5:]), 1),
        "p95_ms": round(cuts[18], 1),
        "min_ms": round(min(taken), 1),
    }


@contextlib.contextmanager
def _database() -> Iterator[str]:
    """An empty database of an ordinary role, on a server of its own (or TEST_DATABASE_URL's)."""
    with server_for_tests() as admin_url:
        admin = make_url(admin_url).set(drivername="postgresql+psycopg2")
        name, password = f"moed_bench_{secrets.token_hex(4)}", secrets.token_hex(16)
        engine = create_engine(admin, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'"))
            connection.execute(text(f"CREATE DATABASE {name} OWNER {name}"))
        try:
            url = admin.set(username=name, password=password, database=name)
            yield url.render_as_string(hide_password=False)
        finally:
            with engine.connect() as connection:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
                connection.execute(text(f"DROP ROLE {name}"))


def _say(line: str) -> None:
    sys.stderr.write(f"bench: {line}\n")


BENCHES: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {"availability": availability}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
