"""The webhooks over the real services: what is stored of a call, and which token opens its stream."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from app import create_app
from app.api.health import PUBLIC_ENDPOINTS
from app.domain.calls import CallClosing, CallState
from app.errors import StreamRefused
from app.models import db
from app.services import Services, services_of
from app.services.businesses import NewBusiness
from app.voice.phrases import PHRASES
from tests.factories import SomeBusiness, as_tenant, new_phone_number
from tests.fakes.voice import AUTH_TOKEN, FROM, PUBLIC_BASE_URL, URLS, post, twiml_of
from tests.integration.conftest import app_settings

WEB_SETTINGS = {
    "PUBLIC_BASE_URL": PUBLIC_BASE_URL,
    "MEDIA_PUBLIC_URL": URLS.media,
    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
}


@pytest.fixture(scope="module")
def web(database_url: str) -> Iterator[Flask]:
    """The application as the web process has it."""
    app = create_app(app_settings(database_url, **WEB_SETTINGS))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def client(web: Flask) -> FlaskClient:
    """Its client."""
    return web.test_client()


@pytest.fixture
def served(web: Flask) -> Services:
    """The services of that application, on the clock that its tokens were made by."""
    return services_of(web)


@pytest.fixture
def call_sid() -> str:
    """A call of this test alone."""
    return f"CA{secrets.token_hex(16)}"


def token_in(response: TestResponse) -> str:
    """The media token of a TwiML answer that opens a stream."""
    parameter = twiml_of(response).find("Connect/Stream/Parameter")
    assert parameter is not None
    return parameter.attrib["value"]


def verbs_in(response: TestResponse) -> list[str]:
    """The TwiML's verbs."""
    return [verb.tag for verb in twiml_of(response)]


def call_rows(engine: Engine, business: SomeBusiness) -> list[tuple[str, str, str | None]]:
    """CallSid, state and caller of every call that is stored."""
    with as_tenant(engine, business.id) as connection:
        rows = connection.execute(text("SELECT call_sid, state, caller_number FROM calls ORDER BY id"))
        return [(row.call_sid, row.state, row.caller_number) for row in rows]


def incoming_form(business: SomeBusiness, call_sid: str) -> dict[str, str]:
    """What the carrier posts for a call to this business."""
    return {"CallSid": call_sid, "To": business.phone_number, "From": FROM}


def test_accepted_call_is_a_row_and_its_token_opens_the_stream(
    client: FlaskClient, served: Services, engine: Engine, business: SomeBusiness, call_sid: str
) -> None:
    """The webhook's token, with the call's own CallSid, is what the media worker will be shown."""
    token = token_in(post(client, "/voice/incoming", incoming_form(business, call_sid)))
    assert call_rows(engine, business) == [(call_sid, "ringing", FROM)]
    briefing = served.calls.open_stream(token, call_sid, "MZ1")
    assert (briefing.business.id, briefing.caller_number) == (business.id, FROM)


def test_repeated_webhook_is_the_same_call_with_a_new_token(
    client: FlaskClient, served: Services, engine: Engine, business: SomeBusiness, call_sid: str
) -> None:
    """The carrier repeats a webhook that was slow: one row; only the last token counts."""
    first, second = (
        token_in(post(client, "/voice/incoming", incoming_form(business, call_sid))) for _ in range(2)
    )
    assert [row[0] for row in call_rows(engine, business)] == [call_sid]
    with pytest.raises(StreamRefused):
        served.calls.open_stream(first, call_sid, "MZ1")
    assert served.calls.open_stream(second, call_sid, "MZ1").call_sid == call_sid


def test_webhooks_of_one_call_at_the_same_moment_are_one_call(
    web: Flask, served: Services, engine: Engine, business: SomeBusiness, call_sid: str
) -> None:
    """Eight at once: one row, eight tokens, of which the last one made opens a stream."""
    form = incoming_form(business, call_sid)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(web.test_client(), "/voice/incoming", form), range(8)))
    tokens = {token_in(answer) for answer in answers}
    assert len(tokens) == 8
    assert [row[0] for row in call_rows(engine, business)] == [call_sid]
    opened = 0
    for token in tokens:
        with contextlib.suppress(StreamRefused):
            opened += served.calls.open_stream(token, call_sid, "MZ1").stream_number
    assert opened == 1


def test_withheld_number_is_stored_as_nobody(
    client: FlaskClient, engine: Engine, business: SomeBusiness, call_sid: str
) -> None:
    """Caller ID that says nothing is no identity."""
    form = incoming_form(business, call_sid) | {"From": "+266696687"}
    assert verbs_in(post(client, "/voice/incoming", form)) == ["Connect"]
    assert call_rows(engine, business) == [(call_sid, "ringing", None)]


def test_number_without_a_business_stores_nothing(client: FlaskClient, engine: Engine, call_sid: str) -> None:
    """A polite sentence, a hang-up, and no row that belongs to nobody."""
    form = {"CallSid": call_sid, "To": new_phone_number(), "From": FROM}
    root = twiml_of(post(client, "/voice/incoming", form))
    assert root[0].text == PHRASES["en"].unknown_number
    assert [verb.tag for verb in root] == ["Say", "Hangup"]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT business_of_call(:sid)"), {"sid": call_sid}).scalar() is None


def test_call_that_ended_in_its_stream_is_hung_up(
    client: FlaskClient, served: Services, business: SomeBusiness, call_sid: str
) -> None:
    """The worker wrote the row before it closed the socket."""
    token = token_in(post(client, "/voice/incoming", incoming_form(business, call_sid)))
    briefing = served.calls.open_stream(token, call_sid, "MZ1")
    ended = CallClosing(CallState.ENDED, "goodbye", barge_ins=0, duration_ms=1000)
    served.calls.finish_stream(business.id, briefing.call_id, ended)
    assert verbs_in(post(client, "/voice/after", {"CallSid": call_sid})) == ["Hangup"]


def test_lost_stream_is_opened_again_three_times_then_an_apology(
    client: FlaskClient, served: Services, call_sid: str
) -> None:
    """Each new stream has a new token for the same call; then a sentence in the business's language."""
    number = new_phone_number()
    new = NewBusiness("מרפאה", "Asia/Jerusalem", "he", phone_numbers=[number])
    business = SomeBusiness(served.businesses.create_business(new), number, ())
    token = token_in(post(client, "/voice/incoming", incoming_form(business, call_sid)))
    for stream_number in (1, 2, 3, 4):
        briefing = served.calls.open_stream(token, call_sid, f"MZ{stream_number}")
        assert briefing.stream_number == stream_number
        answer = post(client, "/voice/after", {"CallSid": call_sid})
        if stream_number < 4:
            token = token_in(answer)
    root = twiml_of(answer)
    assert [verb.tag for verb in root] == ["Say", "Hangup"]
    assert root[0].text == PHRASES["he"].apology
    assert root[0].attrib["language"] == "he-IL"


def test_database_down_is_an_apology_and_not_ready(server_down: FlaskClient, call_sid: str) -> None:
    """Nobody listens where the database was: the caller hears a sentence, the probe says why."""
    form = {"CallSid": call_sid, "To": new_phone_number(), "From": FROM}
    for path in ("/voice/incoming", "/voice/after"):
        root = twiml_of(post(server_down, path, form))
        assert [verb.tag for verb in root] == ["Say", "Hangup"]
        assert root[0].text == PHRASES["en"].apology
    ready = server_down.get("/readyz")
    assert (ready.status_code, ready.get_json()["problems"]) == (503, ["the database does not answer"])
    assert server_down.get("/healthz").status_code == 200


@pytest.fixture
def server_down() -> FlaskClient:
    """A web application whose database is not there (nothing listens on port 1)."""
    return create_app(app_settings("postgresql://moed@127.0.0.1:1/moed", **WEB_SETTINGS)).test_client()


def test_every_route_is_signed_or_listed_as_public(web: Flask, client: FlaskClient) -> None:
    """A new route is refused without a credential, or stands in the list on purpose."""
    endpoints = {rule.endpoint for rule in web.url_map.iter_rules()}
    assert endpoints >= PUBLIC_ENDPOINTS
    others = [rule for rule in web.url_map.iter_rules() if rule.endpoint not in PUBLIC_ENDPOINTS]
    # The API's routes have a walk of their own: test_api_tenants.py.
    guarded = [rule for rule in others if not rule.rule.startswith("/api/v1/")]
    assert {rule.rule for rule in guarded} == {"/voice/incoming", "/voice/after"}
    for rule in guarded:
        for method in rule.methods or ():
            refused = client.open(rule.rule, method=method, data=MultiDict({"CallSid": "CA1"}))
            assert refused.status_code == 403, f"{method} {rule.rule}"
