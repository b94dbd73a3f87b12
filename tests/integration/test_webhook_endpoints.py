"""Webhook endpoints and deliveries as a business manages them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.access import OPERATOR
from app.domain.events import EventType
from app.domain.pages import PageRequest
from app.domain.webhooks import LENIENT, DeliveryState, EndpointChange, EndpointWithSecret, NewEndpoint
from app.errors import InvalidInput, InvalidState, NotFound, StaleVersion
from app.services import Services, build_services, housekeeping
from app.services.webhooks import MOST_ENDPOINTS
from tests.factories import Clock, SomeBusiness, as_tenant, incoming_call, new_business
from tests.integration.outbox_bench import Bench

URL = "https://hooks.example/moed"


@pytest.fixture
def bench(engine: Engine, services: Services, business: SomeBusiness, clock: Clock, database_url: str) -> Bench:
    """Under production's rules."""
    return Bench(services, engine, database_url, business, clock)


@pytest.fixture
def endpoint(bench: Bench) -> Iterator[EndpointWithSecret]:
    """An endpoint for everything."""
    yield bench.endpoint(URL)
    bench.clear()


def test_endpoint_is_made_with_a_secret_of_its_own(bench: Bench) -> None:
    """32 random bytes as Standard Webhooks writes them; told now and never again."""
    made = bench.endpoint(URL, description="CRM", event_types=("message.created", "call.completed"))
    assert made.secret.startswith("whsec_")
    assert len(base64.b64decode(made.secret.removeprefix("whsec_"))) == 32
    assert made.secret != bench.endpoint(URL).secret
    assert (made.url, made.description, made.enabled, made.version) == (URL, "CRM", True, 1)
    assert made.event_types == ("call.completed", "message.created")
    assert made.created_at.isoformat() == "2026-11-22T08:00:00+02:00"
    found = bench.services.webhooks.get_endpoint(bench.business.id, made.id)
    assert not hasattr(found, "secret")
    assert made.secret not in repr(made)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "http://hooks.example/",
        "ftp://hooks.example/",
        "https:///x",
        "https://hooks.example:0/",
        "https://hooks.example:99999/",
        "https://user@hooks.example/",
        "https://user:pass@hooks.example/",
        "https://hooks.example/#x",
        "https://hooks.example\\@127.0.0.1/",
        "https://hooks example/",
        "https://hooks.example/\r\nx: y",
        "https://מועד.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/",
        f"https://hooks.example/{'x' * 2000}",
    ],
)
def test_url_that_nothing_may_be_sent_to_is_refused(bench: Bench, url: str) -> None:
    """When it is made and when it is changed; what a name resolves to is looked at on each attempt."""
    with pytest.raises(InvalidInput) as refusal:
        bench.endpoint(url)
    assert refusal.value.field == "url"
    made = bench.endpoint(URL)
    with pytest.raises(InvalidInput):
        bench.services.webhooks.update_endpoint(bench.business.id, made.id, EndpointChange(url=url))


@pytest.mark.parametrize(
    "url", ["https://hooks.example", "https://hooks.example:8443/a/b?c=d%20e", "https://8.8.8.8/", URL]
)
def test_url_of_the_public_internet_is_taken_as_it_is(bench: Bench, url: str) -> None:
    """Any port, any path."""
    assert bench.endpoint(url).url == url


def test_lenient_rules_allow_a_receiver_on_this_machine(engine: Engine, bench: Bench) -> None:
    """For tests and development: http, loopback."""
    services = build_services(engine, webhook_rules=LENIENT)
    new = NewEndpoint("http://127.0.0.1:8080/", ("message.created",))
    assert services.webhooks.create_endpoint(bench.business.id, new).url == "http://127.0.0.1:8080/"


@pytest.mark.parametrize("types", [(), ("message.deleted",), ("message.created", "webhook.test")])
def test_types_must_be_known(bench: Bench, types: tuple[str, ...]) -> None:
    """At least one, and none that does not exist."""
    with pytest.raises(InvalidInput) as refusal:
        bench.endpoint(URL, event_types=types)
    assert refusal.value.field == "event_types"


def test_description_is_checked(bench: Bench) -> None:
    """No control characters, not too long."""
    for description in ("x" * 501, "a\x00b"):
        with pytest.raises(InvalidInput):
            bench.endpoint(URL, description=description)


def test_change_leaves_the_rest(bench: Bench, endpoint: EndpointWithSecret) -> None:
    """One version on; the secret stays."""
    change = EndpointChange(event_types=("message.created", "message.created"))
    changed = bench.services.webhooks.update_endpoint(bench.business.id, endpoint.id, change, expected_version=1)
    assert (changed.event_types, changed.url, changed.version) == (("message.created",), URL, 2)
    with pytest.raises(StaleVersion):
        bench.services.webhooks.update_endpoint(bench.business.id, endpoint.id, change, expected_version=1)


def test_endpoint_that_was_gone_can_be_enabled_again(
    bench: Bench, endpoint: EndpointWithSecret, engine: Engine
) -> None:
    """The reason goes with it."""
    with as_tenant(engine, bench.business.id) as connection:
        connection.execute(text("UPDATE webhook_endpoints SET enabled = false, disabled_reason = 'gone'"))
    on = EndpointChange(enabled=True)
    changed = bench.services.webhooks.update_endpoint(bench.business.id, endpoint.id, on)
    assert (changed.enabled, changed.disabled_reason) == (True, None)


def test_rotation_gives_a_new_secret(bench: Bench, endpoint: EndpointWithSecret) -> None:
    """And one version more."""
    rotated = bench.services.webhooks.rotate_secret(bench.business.id, endpoint.id)
    assert rotated.secret != endpoint.secret
    assert (rotated.id, rotated.version) == (endpoint.id, 2)


def test_deleted_endpoint_is_not_there(bench: Bench, endpoint: EndpointWithSecret) -> None:
    """What was on its way is dropped, and stays in the list of deliveries."""
    bench.happen()
    webhooks, business_id = bench.services.webhooks, bench.business.id
    webhooks.delete_endpoint(business_id, endpoint.id)
    assert webhooks.list_endpoints(business_id, PageRequest()).items == ()
    assert [delivery.state for delivery in bench.deliveries()] == [DeliveryState.DROPPED]
    for call in (webhooks.get_endpoint, webhooks.delete_endpoint, webhooks.rotate_secret, webhooks.send_test):
        with pytest.raises(NotFound):
            call(business_id, endpoint.id)
    with pytest.raises(NotFound):
        webhooks.update_endpoint(business_id, endpoint.id, EndpointChange(enabled=True))


def test_another_business_s_endpoint_is_not_there(
    services: Services, bench: Bench, endpoint: EndpointWithSecret
) -> None:
    """Not to be read, changed, or replayed to."""
    other = new_business(services)
    bench.happen()
    [delivery] = bench.deliveries()
    with pytest.raises(NotFound):
        services.webhooks.get_endpoint(other.id, endpoint.id)
    with pytest.raises(NotFound):
        services.webhooks.update_endpoint(other.id, endpoint.id, EndpointChange(enabled=False))
    with pytest.raises(NotFound):
        services.deliveries.get_delivery(other.id, delivery.id)
    with pytest.raises(NotFound):
        services.deliveries.replay_delivery(other.id, delivery.id)
    assert services.deliveries.list_deliveries(other.id, PageRequest(), endpoint.id).items == ()


def test_endpoints_come_in_pages(bench: Bench, clock: Clock) -> None:
    """Oldest first."""
    made = []
    for _ in range(3):
        made.append(bench.endpoint(URL).id)
        clock.advance(seconds=1)
    webhooks = bench.services.webhooks
    first = webhooks.list_endpoints(bench.business.id, PageRequest(2))
    second = webhooks.list_endpoints(bench.business.id, PageRequest(2, first.next_after))
    assert [item.id for item in (*first.items, *second.items)] == made
    assert second.next_after is None


def test_endpoints_of_a_business_have_a_limit(bench: Bench) -> None:
    """Each event goes to every one of them; a deleted one makes room."""
    made = [bench.endpoint(URL) for _ in range(MOST_ENDPOINTS)]
    with pytest.raises(InvalidState):
        bench.endpoint(URL)
    bench.services.webhooks.delete_endpoint(bench.business.id, made[0].id)
    bench.endpoint(URL)


def test_test_event_goes_to_its_endpoint_alone(bench: Bench) -> None:
    """Whatever that subscribes to."""
    one = bench.endpoint(URL, event_types=(EventType.CALL_COMPLETED,))
    bench.endpoint(URL)
    delivery_id = bench.services.webhooks.send_test(bench.business.id, one.id)
    [delivery] = bench.deliveries()
    bench.clear()
    assert (delivery.id, delivery.endpoint_id, delivery.type) == (delivery_id, one.id, "webhook.test")
    assert delivery.payload["data"] == {"endpoint_id": one.id}


def test_test_event_to_a_disabled_endpoint_is_refused(bench: Bench) -> None:
    """It would never arrive."""
    made = bench.endpoint(URL, enabled=False)
    with pytest.raises(InvalidState):
        bench.services.webhooks.send_test(bench.business.id, made.id)


def test_deliveries_are_found_by_endpoint_and_state(bench: Bench, clock: Clock) -> None:
    """Newest first, a page at a time."""
    one, two = bench.endpoint(URL), bench.endpoint(URL)
    for _ in range(3):
        bench.happen()
        clock.advance(seconds=1)
    off = EndpointChange(enabled=False)
    bench.services.webhooks.update_endpoint(bench.business.id, two.id, off)

    def found(page: PageRequest, **wanted: Any) -> list[tuple[int, DeliveryState]]:
        listed = bench.services.deliveries.list_deliveries(bench.business.id, page, **wanted)
        return [(item.endpoint_id, item.state) for item in listed.items]

    pending, dropped = (one.id, DeliveryState.PENDING), (two.id, DeliveryState.DROPPED)
    assert found(PageRequest(), endpoint_id=one.id) == [pending] * 3
    assert found(PageRequest(), state=DeliveryState.DROPPED) == [dropped] * 3
    assert found(PageRequest(), endpoint_id=one.id, state=DeliveryState.DELIVERED) == []
    deliveries = bench.services.deliveries
    first = deliveries.list_deliveries(bench.business.id, PageRequest(4))
    second = deliveries.list_deliveries(bench.business.id, PageRequest(4, first.next_after))
    instants = [item.created_at for item in (*first.items, *second.items)]
    assert len(instants) == 6
    assert instants == sorted(instants, reverse=True)
    bench.clear()


def test_delivery_that_is_on_its_way_can_t_be_replayed(bench: Bench, endpoint: EndpointWithSecret) -> None:
    """It would be sent twice for nothing."""
    bench.happen()
    [delivery] = bench.deliveries()
    with pytest.raises(InvalidState, match="on its way"):
        bench.services.deliveries.replay_delivery(bench.business.id, delivery.id)


def test_nothing_is_replayed_to_a_disabled_endpoint(bench: Bench, endpoint: EndpointWithSecret) -> None:
    """Once it is enabled again, what was dropped can be."""
    bench.happen()
    webhooks, deliveries = bench.services.webhooks, bench.services.deliveries
    webhooks.update_endpoint(bench.business.id, endpoint.id, EndpointChange(enabled=False))
    [delivery] = bench.deliveries()
    with pytest.raises(InvalidState, match="disabled"):
        deliveries.replay_delivery(bench.business.id, delivery.id)
    webhooks.update_endpoint(bench.business.id, endpoint.id, EndpointChange(enabled=True))
    replayed = deliveries.replay_delivery(bench.business.id, delivery.id)
    assert (replayed.state, replayed.message_id) == (DeliveryState.PENDING, delivery.message_id)


def test_housekeeping_forgets_old_events(bench: Bench, endpoint: EndpointWithSecret, clock: Clock) -> None:
    """After 30 days, with their deliveries; one that is being replayed stays."""
    bench.happen(3)
    webhooks, tidy = bench.services.webhooks, bench.services.housekeeping
    webhooks.update_endpoint(bench.business.id, endpoint.id, EndpointChange(enabled=False))
    webhooks.update_endpoint(bench.business.id, endpoint.id, EndpointChange(enabled=True))
    kept, *_ = bench.deliveries()
    clock.advance(days=29)
    bench.happen()
    bench.services.deliveries.replay_delivery(bench.business.id, kept.id)
    tidy.forget_events()
    assert len(bench.deliveries()) == 4
    clock.advance(days=2)
    tidy.forget_events()
    left = bench.deliveries()
    assert len(left) == 2
    assert left[0].id == kept.id


def test_housekeeping_forgets_old_answers(engine: Engine, services: Services, clock: Clock) -> None:
    """Kept a day for their Idempotency-Key; of every business, and the operator's."""
    business = new_business(services)
    for tenant in (OPERATOR, business.id):
        for hours in (25, 23):
            add_answer(engine, tenant, clock.now - timedelta(hours=hours))
    services.housekeeping.forget_answers()
    for tenant in (OPERATOR, business.id):
        with as_tenant(engine, tenant) as connection:
            left = connection.scalars(text("SELECT created_at FROM idempotency_keys")).all()
        assert left == [clock.now - timedelta(hours=23)]


def add_answer(engine: Engine, tenant: int, at: datetime) -> None:
    """A request that was answered."""
    with as_tenant(engine, tenant) as connection:
        connection.execute(
            text(
                "INSERT INTO idempotency_keys (business_id, owner, key, request_sha256, created_at)"
                " VALUES (:id, 'key:1', :key, sha256('x'), :at)"
            ),
            {"id": tenant, "key": at.isoformat(), "at": at},
        )


def test_housekeeping_forgets_media_tokens_and_sessions(
    engine: Engine, services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Once they are good for nothing."""
    services.calls.accept_call(incoming_call(business))
    with as_tenant(engine, business.id) as connection:
        connection.execute(
            text(
                "INSERT INTO users (business_id, email, name, role, password_hash, created_at)"
                " VALUES (:id, 'dana@example.com', 'Dana', 'owner', 'x', :now)"
            ),
            {"id": business.id, "now": clock.now},
        )
        connection.execute(
            text(
                "INSERT INTO user_sessions"
                " (business_id, token_sha256, user_id, created_at, last_seen_at, expires_at)"
                " SELECT business_id, sha256('x'), id, :now, :now, :until FROM users"
            ),
            {"now": clock.now, "until": clock.now + timedelta(hours=1)},
        )
    assert tidied(services) == (0, 0)
    clock.advance(hours=2)
    assert tidied(services) == (1, 1)


def tidied(services: Services) -> tuple[int, int]:
    """How many media tokens and sessions were deleted."""
    return services.housekeeping.forget_media_tokens(), services.housekeeping.forget_sessions()


def test_housekeeping_takes_many_rows_a_few_at_a_time(
    engine: Engine, services: Services, business: SomeBusiness, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement is so long that it is cut off."""
    monkeypatch.setattr(housekeeping, "AT_ONCE", 2)
    for hours in range(25, 30):
        add_answer(engine, business.id, clock.now - timedelta(hours=hours))
    assert services.housekeeping.forget_answers() == 5
