"""The sender: what a receiver gets, when it gets it again, and what is kept of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from standardwebhooks import Webhook

from app.domain.webhooks import LENIENT, Answer, DeliveryState, EndpointChange
from app.services import build_services
from app.services.database import make_engine
from tests.factories import Clock, SomeBusiness, new_business
from tests.fakes.receiver import Receiver, Reply
from tests.integration.outbox_bench import Bench


@pytest.fixture
def bench(engine: Engine, database_url: str, clock: Clock) -> Iterator[Bench]:
    """A business with an outbox, on the test's clock."""
    services = build_services(engine, clock, webhook_rules=LENIENT)
    bench = Bench(services, engine, database_url, new_business(services), clock)
    yield bench
    bench.clear()


class Scripted:
    """A client that sends nothing and gives prepared answers."""

    def __init__(self, *answers: Answer) -> None:
        self.sent: list[Mapping[str, str]] = []
        self._answers = list(answers)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.sent.append(headers)
        return self._answers.pop(0) if self._answers else Answer(200)


def test_receiver_verifies_what_it_gets_with_the_library(engine: Engine, database_url: str, bench: Bench) -> None:
    """On the real clock, as Standard Webhooks' own receivers do it."""
    services = build_services(engine, webhook_rules=LENIENT)
    now = Bench(services, engine, database_url, bench.business, lambda: datetime.now(UTC))
    with Receiver() as receiver, now.sender() as sender:
        secret = now.endpoint(receiver.url).secret
        now.happen()
        sender.send_due()
    [request] = receiver.received
    payload = Webhook(secret).verify(request.body, dict(request.headers))
    assert payload["type"] == "message.created"
    assert payload["data"]["body"] == "Call me «back»"
    assert request.headers["content-type"] == "application/json"


def test_delivery_is_delivered_once(bench: Bench) -> None:
    """What it met is kept; a second look finds nothing to do."""
    with Receiver() as receiver, bench.sender() as sender:
        bench.endpoint(receiver.url)
        bench.happen()
        sender.send_due()
        sender.send_due()
    [delivery] = bench.deliveries()
    assert [request.message_id for request in receiver.received] == [delivery.message_id]
    assert json.loads(receiver.received[0].body) == delivery.payload
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 1)
    assert delivery.delivered_at == bench.now()
    [attempt] = delivery.attempts
    assert (attempt.at, attempt.status, attempt.error) == (bench.now(), 200, None)
    assert attempt.duration_ms >= 0


def test_failing_delivery_is_tried_ten_times_on_schedule(bench: Bench, clock: Clock) -> None:
    """Immediately, 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h; the same id and body, a fresh signature."""
    waits = [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    with Receiver(then=Reply(500)) as receiver, bench.sender() as sender:
        secret = bench.endpoint(receiver.url).secret
        bench.happen()
        for count, wait_s in enumerate(waits):
            if wait_s:
                clock.advance(seconds=wait_s - 1)
                sender.send_due()
                assert len(receiver.received) == count
                clock.advance(seconds=1)
            sender.send_due()
            assert len(receiver.received) == count + 1
        clock.advance(days=30)
        sender.send_due()
    [delivery] = bench.deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.FAILED, 10)
    assert delivery.next_attempt_at is None
    assert {(attempt.status, attempt.error) for attempt in delivery.attempts} == {(500, "bad_status")}
    assert {(request.message_id, request.body) for request in receiver.received} == {
        (delivery.message_id, receiver.received[0].body)
    }
    assert len({request.headers["webhook-timestamp"] for request in receiver.received}) == 10
    assert all(request.is_signed_with(secret) for request in receiver.received)


@pytest.mark.parametrize(
    ("reply", "word"),
    [(Reply(301, {"location": "/"}), "redirect"), (Reply(304), "redirect"), (Reply(404), "bad_status")],
    ids=["301", "304", "404"],
)
def test_anything_but_2xx_is_a_failure(bench: Bench, reply: Reply, word: str) -> None:
    """A redirect too; and it is tried again."""
    with Receiver(reply) as receiver, bench.sender() as sender:
        bench.endpoint(receiver.url)
        bench.happen()
        sender.send_due()
    [delivery] = bench.deliveries()
    assert (delivery.state, delivery.attempts[0].error) == (DeliveryState.PENDING, word)
    assert delivery.next_attempt_at == bench.now() + timedelta(seconds=5)


def test_gone_disables_the_endpoint_and_drops_the_rest(bench: Bench) -> None:
    """410: the receiver wants no more, of anything; another endpoint is not concerned."""
    with Receiver() as other, Receiver(then=Reply(410)) as receiver, bench.sender(per_endpoint=1) as sender:
        gone, stays = bench.endpoint(receiver.url), bench.endpoint(other.url)
        bench.happen(3)
        sender.send_due()
        bench.happen()
        sender.send_due()
    endpoint = bench.services.webhooks.get_endpoint(bench.business.id, gone.id)
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "gone")
    assert endpoint.version == gone.version + 1
    states = [delivery.state for delivery in bench.deliveries() if delivery.endpoint_id == gone.id]
    assert states == [DeliveryState.DROPPED] * 3
    assert len(receiver.received) == 1
    assert len(other.received) == 4
    assert bench.services.webhooks.get_endpoint(bench.business.id, stays.id).enabled


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [("90", 90), ("2", 5), ("Sun, 22 Nov 2026 06:10:00 GMT", 600), ("99999999", 86_400), ("later", 5)],
)
def test_retry_after_is_obeyed(bench: Bench, retry_after: str, wait_s: int) -> None:
    """Not sooner than it says, nor sooner than the schedule; at most a day."""
    with Receiver(Reply(429, {"retry-after": retry_after})) as receiver, bench.sender() as sender:
        bench.endpoint(receiver.url)
        bench.happen()
        sender.send_due()
    [delivery] = bench.deliveries()
    assert delivery.next_attempt_at == bench.now() + timedelta(seconds=wait_s)


def test_slow_endpoint_does_not_hold_up_the_others(bench: Bench) -> None:
    """It gets its share of the threads; what is due longer than theirs waits behind nobody else."""
    gate = threading.Event()
    with Receiver(then=Reply(until=gate)) as slow, Receiver() as quick, bench.sender() as sender:
        bench.endpoint(slow.url)
        bench.happen(20)
        bench.endpoint(quick.url)
        bench.happen(5)
        worker = threading.Thread(target=sender.send_due)
        worker.start()
        quick.wait_for(lambda received: len(received) == 5)
        assert len(slow.received) <= 2
        gate.set()
        worker.join()
        assert slow.most_at_once == 2
    assert len(slow.received) == 25


def test_two_senders_at_once_send_nothing_twice(bench: Bench) -> None:
    """A claim is one row's lock and lease: the other sender passes by."""
    other = make_engine(bench.database_url, 4)
    twin = Bench(
        build_services(other, bench.now, webhook_rules=LENIENT),
        other,
        bench.database_url,
        bench.business,
        bench.now,
    )
    with Receiver() as receiver, bench.sender() as one, twin.sender() as two:
        bench.endpoint(receiver.url)
        bench.happen(40)
        threads = [threading.Thread(target=sender.send_due) for sender in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    other.dispose()
    ids = [request.message_id for request in receiver.received]
    assert len(ids) == 40
    assert len(set(ids)) == 40
    assert {delivery.state for delivery in bench.deliveries()} == {DeliveryState.DELIVERED}


def test_locked_delivery_is_passed_by(bench: Bench, engine: Engine) -> None:
    """SKIP LOCKED: a claim never waits for another sender's."""
    bench.endpoint("http://127.0.0.1:9/")
    bench.happen()
    [delivery] = bench.deliveries()
    outbox = bench.services.outbox
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT set_config('app.business_id', '{bench.business.id}', true)")
        connection.exec_driver_sql("SELECT * FROM webhook_deliveries FOR UPDATE")
        assert outbox.claim(bench.business.id, delivery.id, 30) is None
    claimed = outbox.claim(bench.business.id, delivery.id, 30)
    assert claimed is not None
    assert outbox.claim(bench.business.id, delivery.id, 30) is None


def test_delivery_of_a_dead_sender_is_due_again_after_its_lease(bench: Bench, clock: Clock) -> None:
    """With the same id and body; an attempt of which nothing is known does not count."""
    bench.endpoint("http://127.0.0.1:9/")
    bench.happen()
    [delivery] = bench.deliveries()
    first = bench.services.outbox.claim(bench.business.id, delivery.id, 30)
    client = Scripted()
    with bench.sender(client) as sender:
        clock.advance(seconds=29)
        sender.send_due()
        assert client.sent == []
        clock.advance(seconds=1)
        sender.send_due()
    assert first is not None
    assert [headers["webhook-id"] for headers in client.sent] == [first.message_id]
    [delivery] = bench.deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 1)


def test_late_failure_of_a_lost_lease_decides_nothing(bench: Bench, clock: Clock) -> None:
    """Another sender is at it; a late success counts, for the receiver has it."""
    bench.endpoint("http://127.0.0.1:9/")
    bench.happen()
    [delivery] = bench.deliveries()
    outbox = bench.services.outbox
    slow = outbox.claim(bench.business.id, delivery.id, 30)
    clock.advance(seconds=31)
    second = outbox.claim(bench.business.id, delivery.id, 30)
    assert slow is not None
    assert second is not None
    outbox.record(slow, Answer(None, "timeout"), bench.now(), 31_000, 0)
    [delivery] = bench.deliveries()
    assert (delivery.attempt_count, delivery.next_attempt_at) == (0, second.leased_until)
    outbox.record(slow, Answer(200), bench.now(), 31_000, 0)
    outbox.record(second, Answer(500), bench.now(), 10, 0)
    [delivery] = bench.deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 1)
    assert [attempt.error for attempt in delivery.attempts] == ["timeout", None, "bad_status"]


def test_replay_sends_the_same_message_again(bench: Bench, clock: Clock) -> None:
    """The id and the body to the byte; the schedule begins anew."""
    with Receiver(Reply(200), then=Reply(500)) as receiver, bench.sender() as sender:
        bench.endpoint(receiver.url)
        bench.happen()
        sender.send_due()
        clock.advance(hours=1)
        [delivery] = bench.deliveries()
        replayed = bench.services.deliveries.replay_delivery(bench.business.id, delivery.id)
        assert (replayed.state, replayed.attempt_count) == (DeliveryState.PENDING, 0)
        sender.send_due()
    [delivery] = bench.deliveries()
    assert delivery.next_attempt_at == bench.now() + timedelta(seconds=5)
    assert [attempt.status for attempt in delivery.attempts] == [200, 500]
    first, second = receiver.received
    assert (first.message_id, first.body) == (second.message_id, second.body)


def test_disabled_endpoint_gets_nothing(bench: Bench) -> None:
    """What is on its way is dropped; so is what a change and an event at the same moment left over."""
    with Receiver() as receiver, bench.sender() as sender:
        endpoint = bench.endpoint(receiver.url)
        bench.happen()
        [delivery] = bench.deliveries()
        off = EndpointChange(enabled=False)
        bench.services.webhooks.update_endpoint(bench.business.id, endpoint.id, off)
        sender.send_due()
    [delivery] = bench.deliveries()
    assert (receiver.received, delivery.state) == ([], DeliveryState.DROPPED)


def test_after_a_rotation_both_secrets_sign_for_a_day(bench: Bench, clock: Clock) -> None:
    """So that a receiver can change over without losing anything."""
    with Receiver() as receiver, bench.sender() as sender:
        older = bench.endpoint(receiver.url)
        newer = bench.services.webhooks.rotate_secret(bench.business.id, older.id)
        for _ in range(2):
            bench.happen()
            sender.send_due()
            clock.advance(hours=24)
    first, second = receiver.received
    assert first.is_signed_with(older.secret)
    assert first.is_signed_with(newer.secret)
    assert not second.is_signed_with(older.secret)
    assert second.is_signed_with(newer.secret)


def test_jitter_spreads_retries(bench: Bench) -> None:
    """A tenth more at most: receivers that failed together are not asked together."""
    bench.endpoint("http://127.0.0.1:9/")
    bench.happen()
    [delivery] = bench.deliveries()
    claimed = bench.services.outbox.claim(bench.business.id, delivery.id, 30)
    assert claimed is not None
    bench.services.outbox.record(claimed, Answer(500), bench.now(), 1, jitter=1.0)
    [delivery] = bench.deliveries()
    assert delivery.next_attempt_at == bench.now() + timedelta(seconds=5.5)


def test_wait_ends_with_the_next_retry(bench: Bench) -> None:
    """The sender sleeps no longer than until something is due."""
    client = Scripted(Answer(500))
    with bench.sender(client) as sender:
        assert sender.start_due() == 10
        bench.endpoint("http://127.0.0.1:9/")
        bench.happen()
        sender.send_due()
        assert sender.start_due() == 5


def test_sender_is_woken_by_the_commit(bench: Bench) -> None:
    """While it waits, without anybody asking."""
    with Receiver() as receiver, bench.sender() as sender:
        running = threading.Thread(target=sender.run)
        running.start()
        bench.endpoint(receiver.url)
        for count in range(1, 4):
            bench.happen()
            receiver.wait_for(lambda received, count=count: len(received) == count)  # type: ignore[misc]
        sender.stop()
        running.join()
    assert len(receiver.received) == 3


def test_event_of_another_business_goes_to_its_own_endpoints(bench: Bench, business: SomeBusiness) -> None:
    """One sender serves all tenants, one after another."""
    other = Bench(bench.services, bench.engine, bench.database_url, business, bench.now)
    with Receiver() as ours, Receiver() as theirs, bench.sender() as sender:
        bench.endpoint(ours.url)
        other.endpoint(theirs.url)
        bench.happen(2)
        other.happen()
        sender.send_due()
    assert {json.loads(request.body)["business_id"] for request in ours.received} == {bench.business.id}
    assert {json.loads(request.body)["business_id"] for request in theirs.received} == {business.id}
    assert (len(ours.received), len(theirs.received)) == (2, 1)
