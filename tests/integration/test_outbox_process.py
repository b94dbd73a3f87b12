"""`bin/start outbox` as a process: it drains on SIGTERM, waits for a lost database, and a kill loses nothing."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from app.domain.pages import PageRequest
from app.domain.webhooks import LENIENT, DeliveryState
from app.services import build_services
from tests.factories import new_business
from tests.fakes.receiver import Receiver, Reply
from tests.integration.flaky_link import flaky_link
from tests.integration.outbox_bench import Bench
from tests.integration.processes import PATIENCE_S, ROOT, environment, start, wait_until

EVENTS = 500
KILLS = 50


@pytest.fixture
def bench(engine: Engine, database_url: str) -> Iterator[Bench]:
    """A business with an outbox, on the real clock."""
    services = build_services(engine, webhook_rules=LENIENT)
    bench = Bench(services, engine, database_url, new_business(services), lambda: datetime.now(UTC))
    yield bench
    bench.clear()


class OutboxProcess:
    """A running sender; its stderr is collected line by line."""

    def __init__(self, database_url: str, *command: str, **settings: str) -> None:
        env = environment(
            DATABASE_URL=database_url,
            MOED_ENV="test",
            WEBHOOK_ALLOW_PRIVATE="1",
            **{"OUTBOX_THREADS": "8", "WEBHOOK_TIMEOUT_S": "10", "WEBHOOK_LEASE_S": "15", **settings},
        )
        self.process = subprocess.Popen(
            command or [ROOT / "bin" / "start", "outbox"], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr or ()), daemon=True)
        self._reader.start()

    def says(self, words: str) -> int:
        """How many lines have these words."""
        return sum(words in line for line in self.lines)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def end(self) -> None:
        """Whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE_S)
        if self.process.stderr is not None:
            self.process.stderr.close()


@contextlib.contextmanager
def outbox(database_url: str, *command: str, **settings: str) -> Iterator[OutboxProcess]:
    """A sender for the length of a block."""
    running = OutboxProcess(database_url, *command, **settings)
    try:
        yield running
    finally:
        running.end()


def test_sigterm_lets_what_is_under_way_end(bench: Bench) -> None:
    """The answer is waited for and recorded; nothing more is begun; exit code 0."""
    gate = threading.Event()
    with Receiver(then=Reply(until=gate)) as receiver, outbox(bench.database_url, OUTBOX_THREADS="1") as running:
        bench.endpoint(receiver.url)
        bench.happen(2)
        receiver.wait_for(lambda received: len(received) == 1)
        running.process.send_signal(signal.SIGTERM)
        gate.set()
        assert running.process.wait(PATIENCE_S) == 0
    assert len(receiver.received) == 1
    states = [delivery.state for delivery in bench.deliveries()]
    assert sorted(states) == [DeliveryState.DELIVERED, DeliveryState.PENDING]
    assert running.says("outbox sender ended") == 1


def test_idle_sender_ends_at_once(bench: Bench) -> None:
    """SIGINT too; no traceback."""
    with outbox(bench.database_url) as running:
        wait_until(lambda: running.says("outbox sender started") == 1)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(PATIENCE_S) == 0
    assert running.says("Traceback") == 0


def test_lost_database_is_waited_for(bench: Bench) -> None:
    """One line when it goes, one when it is back; then what happened meanwhile is sent."""
    with Receiver() as receiver, flaky_link(bench.database_url) as link, outbox(link.url) as running:
        bench.endpoint(receiver.url)
        bench.happen()
        receiver.wait_for(lambda received: len(received) == 1)
        link.refuses = True
        link.cut()
        wait_until(lambda: running.says("the database does not answer") == 1)
        bench.happen()
        link.refuses = False
        receiver.wait_for(lambda received: len(received) == 2)
        wait_until(lambda: running.says("the database is back") == 1)
        assert running.stop() == 0
    assert running.says("the database does not answer") == 1
    assert running.says("Traceback") == 0


def test_bad_settings_are_one_line_and_exit_2() -> None:
    """Before anything is opened."""
    ended = start(["outbox"], environment(DATABASE_URL="postgresql://x@127.0.0.1:1/x", WEBHOOK_LEASE_S="3"))
    assert ended.returncode == 2
    assert ended.stderr == "WEBHOOK_LEASE_S must be more than WEBHOOK_TIMEOUT_S\n"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_sender_that_is_killed_loses_nothing(bench: Bench) -> None:
    """kill -9 at 50 random points of 500 deliveries: each arrives, and again only as what it was."""
    chance = random.Random(7)  # noqa: S311 - where to kill is no secret
    with Receiver() as receiver:
        bench.endpoint(receiver.url)
        bench.happen(EVENTS)
        for _ in range(KILLS):
            before = len(receiver.received)
            enough = before + chance.randint(1, 9)
            with outbox(bench.database_url, *SENDER, **SHORT_LEASE) as running:
                receiver.wait_for(lambda received, enough=enough: len(received) >= enough)  # type: ignore[misc]
                threading.Event().wait(chance.uniform(0, 0.02))
                running.process.kill()
        with outbox(bench.database_url, *SENDER, **SHORT_LEASE) as running:
            wait_until(lambda: not pending(bench))
            assert running.stop() == 0
    bodies = defaultdict(set)
    for request in receiver.received:
        bodies[request.message_id].add(request.body)
    assert len(bodies) == EVENTS
    assert {len(different) for different in bodies.values()} == {1}
    assert len(receiver.received) <= EVENTS + KILLS * 8


SENDER = (sys.executable, "-m", "app.outbox")
SHORT_LEASE = {"WEBHOOK_TIMEOUT_S": "1", "WEBHOOK_LEASE_S": "2"}


def pending(bench: Bench) -> bool:
    """Whether anything is still on its way."""
    found = bench.services.deliveries.list_deliveries(
        bench.business.id, PageRequest(1), state=DeliveryState.PENDING
    )
    return bool(found.items)
