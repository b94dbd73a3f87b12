"""The webhooks: what the carrier posts, and the TwiML that it gets."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import pytest
import structlog
from flask.testing import FlaskClient

from app.domain.calls import AcceptedCall, AfterStream
from app.errors import CalendarUnavailable, NotFound, UnknownNumber
from app.voice.phrases import PHRASES
from tests.fakes.voice import CALL_SID, FORM, FROM, TO, FakeCalls, post, twiml_of, web_app

APOLOGY = PHRASES["en"].apology


@pytest.fixture
def calls() -> FakeCalls:
    """The calls service of the app under test."""
    return FakeCalls()


@pytest.fixture
def client(calls: FakeCalls) -> FlaskClient:
    """A client of the app under test."""
    return web_app(calls).test_client()


def assert_opens_stream(root: Element, token: str) -> None:
    """One Connect and nothing after it, the stream's URL, the action, the token."""
    assert [verb.tag for verb in root] == ["Connect"]
    connect = root[0]
    assert connect.attrib == {"action": "https://moed.example/voice/after", "method": "POST"}
    assert [noun.tag for noun in connect] == ["Stream"]
    assert connect[0].attrib == {"url": "wss://media.example/media"}
    assert [(noun.tag, noun.attrib) for noun in connect[0]] == [("Parameter", {"name": "token", "value": token})]


def assert_says_goodbye(root: Element, sentence: str, language: str, voice: str | None = None) -> None:
    """One sentence, then the end."""
    assert [verb.tag for verb in root] == ["Say", "Hangup"]
    assert root[0].text == sentence
    assert root[0].attrib == {"language": language} | ({"voice": voice} if voice else {})


def test_incoming_call_opens_a_stream_with_its_token(client: FlaskClient, calls: FakeCalls) -> None:
    """A known number: the stream, its one-time token, and where the call goes afterwards."""
    response = post(client, "/voice/incoming", FORM)
    assert_opens_stream(twiml_of(response), "tok-1")
    assert response.headers["Cache-Control"] == "no-store"
    (call,) = calls.accepted
    assert (call.call_sid, call.to_number, call.from_number) == (CALL_SID, TO, FROM)


def test_repeated_webhook_asks_the_service_again(client: FlaskClient, calls: FakeCalls) -> None:
    """The carrier repeats a webhook: the same command goes to the service, which stores it once."""
    post(client, "/voice/incoming", FORM)
    post(client, "/voice/incoming", FORM)
    assert calls.accepted[0] == calls.accepted[1]


def test_token_with_xml_characters_arrives_whole(client: FlaskClient, calls: FakeCalls) -> None:
    """The token is an attribute and is escaped as one."""
    calls.accepts = AcceptedCall(call_id=7, business_id=1, language="he", media_token="<a&\"'>")
    assert_opens_stream(twiml_of(post(client, "/voice/incoming", FORM)), "<a&\"'>")


@pytest.mark.parametrize(
    "sender",
    [
        None,
        "",
        "anonymous",
        "Anonymous",
        "Restricted",
        "unknown",
        "+266696687",
        "+7378742833",
        "+8656696",
        "+2562533",
        "+86282452253",
        "0521234567",
        "+0521234567",
        "sip:alice@example.com",
        "client:bob",
        "*67",
        "+972521234567890123",
        "+٩٧٢٥٢١٢٣٤٥٦٧",
    ],
)
def test_withheld_or_odd_caller_has_no_number(client: FlaskClient, calls: FakeCalls, sender: str | None) -> None:
    """Withheld, missing, a SIP address, a keypad word: the call is taken, the caller is nobody."""
    form = {"CallSid": CALL_SID, "To": TO} | ({} if sender is None else {"From": sender})
    twiml_of(post(client, "/voice/incoming", form))
    assert [call.from_number for call in calls.accepted] == [None]


def test_other_fields_and_spaces_are_tolerated(client: FlaskClient, calls: FakeCalls) -> None:
    """The carrier sends twenty more fields, and some carriers pad."""
    form = {
        "CallSid": f" {CALL_SID} ",
        "To": f"{TO} ",
        "From": f" {FROM}",
        "CallerName": "דנה",
        "Direction": "inbound",
        "StirVerstat": "TN-Validation-Passed-A",
    }
    twiml_of(post(client, "/voice/incoming", form))
    assert [(call.call_sid, call.to_number, call.from_number) for call in calls.accepted] == [(CALL_SID, TO, FROM)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"CallSid": None}, "CallSid"),
        ({"CallSid": ""}, "CallSid"),
        ({"CallSid": "CA123"}, "CallSid"),
        ({"CallSid": "XX" + CALL_SID[2:]}, "CallSid"),
        ({"CallSid": CALL_SID + "0"}, "CallSid"),
        ({"CallSid": CALL_SID[:-1] + "g"}, "CallSid"),
        ({"CallSid": "CA" + "0" * 5000}, "CallSid"),
        ({"To": None}, "To"),
        ({"To": "0521234567"}, "To"),
        ({"To": "+1"}, "To"),
        ({"To": "sip:desk@example.com"}, "To"),
        ({"From": "9" * 256}, "From"),
    ],
)
def test_malformed_field_is_a_400_that_names_it(
    client: FlaskClient, calls: FakeCalls, change: dict[str, str | None], field: str
) -> None:
    """A field that breaks its shape: a problem document with its name, without its value."""
    form = {name: value for name, value in (FORM | change).items() if value is not None}
    response = post(client, "/voice/incoming", form)
    assert response.status_code == 400
    assert response.mimetype == "application/problem+json"
    problem = response.get_json()
    assert problem["code"] == "bad_request"
    assert problem["detail"].startswith(f"{field}: ")
    assert "0521234567" not in response.get_data(as_text=True)
    assert calls.accepted == []


def test_unknown_number_hears_a_sentence_and_the_call_ends(client: FlaskClient, calls: FakeCalls) -> None:
    """Nobody has the number: polite words in the default language, then hang up."""
    calls.accepts = UnknownNumber("no such number")
    assert_says_goodbye(twiml_of(post(client, "/voice/incoming", FORM)), PHRASES["en"].unknown_number, "en-US")


@pytest.mark.parametrize("path", ["/voice/incoming", "/voice/after"])
@pytest.mark.parametrize("error", [CalendarUnavailable("no answer"), RuntimeError(f"row of {FROM}")])
def test_failure_is_an_apology_and_one_log_line(
    client: FlaskClient, calls: FakeCalls, path: str, error: Exception
) -> None:
    """Whatever broke: the caller hears an apology with status 200, the operator reads one error line."""
    calls.accepts = calls.then = error
    with structlog.testing.capture_logs() as lines:
        response = post(client, path, FORM)
    assert_says_goodbye(twiml_of(response), APOLOGY, "en-US")
    assert [line["log_level"] for line in lines if line["event"] != "request answered"] == ["error"]


def test_call_that_ended_is_hung_up(client: FlaskClient, calls: FakeCalls) -> None:
    """The farewell was heard in the stream: not another word."""
    root = twiml_of(post(client, "/voice/after", {"CallSid": CALL_SID}))
    assert [verb.tag for verb in root] == ["Hangup"]
    assert calls.asked_after == [CALL_SID]


def test_lost_worker_gets_a_new_stream_with_a_new_token(client: FlaskClient, calls: FakeCalls) -> None:
    """The stream broke: the same call goes on in another one."""
    calls.then = AfterStream("reconnect", "he", "tok-2")
    assert_opens_stream(twiml_of(post(client, "/voice/after", FORM)), "tok-2")


@pytest.mark.parametrize(
    ("language", "say", "voice"),
    [("en", "en-US", None), ("he", "he-IL", "Google.he-IL-Standard-A"), ("fr", "en-US", None)],
)
def test_call_that_cannot_go_on_gets_an_apology_in_its_language(
    client: FlaskClient, calls: FakeCalls, language: str, say: str, voice: str | None
) -> None:
    """No more streams: the business's own language, English where there are no sentences."""
    calls.then = AfterStream("apologise", language)
    sentence = PHRASES.get(language, PHRASES["en"]).apology
    assert_says_goodbye(twiml_of(post(client, "/voice/after", FORM)), sentence, say, voice)


def test_stream_of_an_unknown_call_is_an_apology(client: FlaskClient, calls: FakeCalls) -> None:
    """A signed webhook for a call that has no row: the caller is told something."""
    calls.then = NotFound("no such call")
    assert_says_goodbye(twiml_of(post(client, "/voice/after", FORM)), APOLOGY, "en-US")


def test_after_without_call_sid_is_a_400(client: FlaskClient, calls: FakeCalls) -> None:
    """Without a call there is nothing to ask."""
    assert post(client, "/voice/after", {"To": TO}).status_code == 400
    assert calls.asked_after == []


def test_hebrew_sentences_are_hebrew() -> None:
    """Every sentence of the Hebrew entry is written in Hebrew letters alone."""
    for sentence in (PHRASES["he"].unknown_number, PHRASES["he"].apology):
        letters = [mark for mark in sentence if mark.isalpha()]
        assert letters
        assert all("א" <= mark <= "ת" for mark in letters)
