"""Many clients at once over HTTP, against a real web process with several workers."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.client import HTTPConnection
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.services import Services
from tests.factories import as_tenant
from tests.integration.conftest import ApiClient, MakeApi
from tests.integration.processes import WebProcess, running_web

PATIENCE_S = 110


@pytest.fixture(scope="module")
def busy_web(database_url: str) -> Iterator[WebProcess]:
    """Two processes with ten connections each."""
    settings = {"API_RATE_LIMIT_PER_MIN": "10000000", "WEB_CONCURRENCY": "2", "DB_POOL_SIZE": "10"}
    with running_web(database_url, DB_CONNECTION_LIMIT="60", **settings) as process:
        yield process


def first_free(services: Services, client: ApiClient) -> datetime:
    """A start that is free by the real clock: the process has no other."""
    monday = datetime.now().astimezone() + timedelta(days=7)
    days = client.get(f"/availability?from={monday.date()}&to={(monday + timedelta(days=6)).date()}").json["days"]
    return datetime.fromisoformat(next(day["slots"][0]["starts_at"] for day in days if day["slots"]))


def at_once(count: int, ask: Callable[[int], tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """`ask(0)`, `ask(1)`, … from as many threads, let go together."""
    together = threading.Barrier(count)
    answers: list[tuple[int, bytes]] = []

    def run(number: int) -> None:
        together.wait(PATIENCE_S)
        answers.append(ask(number))

    threading.stack_size(256 * 1024)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    threading.stack_size(0)
    assert len(answers) == count
    return answers


def book(web: WebProcess, client: ApiClient, body: dict[str, Any], **headers: str) -> tuple[int, bytes]:
    """POST /appointments on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", web.port, timeout=PATIENCE_S)
    sent = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json", **headers}
    try:
        connection.request("POST", "/api/v1/appointments", json.dumps(body), sent)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def count_rows(engine: Engine, client: ApiClient) -> int:
    with as_tenant(engine, client.business.id) as connection:
        return connection.execute(text("SELECT count(*) FROM appointments")).scalar_one()


@pytest.mark.long
def test_a_thousand_clients_want_one_start_and_one_gets_it(
    busy_web: WebProcess, api: MakeApi, services: Services, engine: Engine
) -> None:
    """1 x 201, 999 x 409 with alternatives, no 5xx."""
    client = api()
    starts_at = first_free(services, client)

    def ask(number: int) -> tuple[int, bytes]:
        return book(busy_web, client, {"starts_at": starts_at.isoformat(), "customer_name": f"Caller {number}"})

    answers = at_once(1000, ask)
    assert Counter(status for status, _ in answers) == {201: 1, 409: 999}
    refusals = [json.loads(body) for status, body in answers if status == 409]
    assert {refusal["code"] for refusal in refusals} == {"slot_taken"}
    assert all(refusal["alternatives"] for refusal in refusals)
    assert count_rows(engine, client) == 1


def test_a_hundred_times_the_same_key_at_once_is_one_booking(
    busy_web: WebProcess, api: MakeApi, services: Services, engine: Engine
) -> None:
    """One row and one body; who comes while it is being made is told so."""
    client = api()
    wanted = {"starts_at": first_free(services, client).isoformat(), "customer_name": "Dana Levi"}
    answers = at_once(100, lambda _: book(busy_web, client, wanted, **{"Idempotency-Key": "the-same"}))
    made = {body for status, body in answers if status == 201}
    early = {json.loads(body)["code"] for status, body in answers if status != 201}
    assert len(made) == 1, Counter((status, body[:150]) for status, body in answers)
    assert early <= {"idempotency_in_flight"}
    assert book(busy_web, client, wanted, **{"Idempotency-Key": "the-same"}) == (201, made.pop())
    assert count_rows(engine, client) == 1
