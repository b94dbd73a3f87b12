"""Who is let in: only requests that were signed for this server's public URL."""

from __future__ import annotations

import io
from urllib.parse import urlencode

import pytest
import structlog
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict

from app.adapters.carrier_signature import CarrierSignature, NoSignature
from app.settings import Settings
from app.voice.signature import RequestCheck, request_check
from app.voice.views import MAX_BODY_BYTES
from tests.fakes.voice import (
    AUTH_TOKEN,
    CALL_SID,
    FORM,
    FROM,
    PUBLIC_BASE_URL,
    TO,
    FakeCalls,
    post,
    signed,
    twiml_of,
    web_app,
)

INCOMING = "/voice/incoming"


@pytest.fixture
def calls() -> FakeCalls:
    """The calls service of the app under test."""
    return FakeCalls()


@pytest.fixture
def client(calls: FakeCalls) -> FlaskClient:
    """A client of the app under test, which checks signatures."""
    return web_app(calls).test_client()


def test_vector_computed_by_hand_is_accepted(client: FlaskClient) -> None:
    """HMAC-SHA1 of the URL and the sorted parameters, made with openssl on the command line."""
    # printf 'https://moed.example/voice/incomingCallSidCA…From+972521234567To+97231234567' |
    #   openssl dgst -sha1 -hmac s3cret -binary | base64
    response = client.post(INCOMING, data=FORM, headers={"X-Twilio-Signature": "6ZTYk/7odsgP6zqfOeLRdh/5Vm0="})
    twiml_of(response)


def test_published_vector_is_accepted() -> None:
    """The example in the carrier's own documentation, with a query in the URL."""
    check = RequestCheck("https://mycompany.com", CarrierSignature("12345"))
    form = MultiDict(
        {
            "CallSid": "CA1234567890ABCDE",
            "Caller": "+14158675309",
            "Digits": "1234",
            "From": "+14158675309",
            "To": "+18005551212",
        }
    )
    assert check.accepts("/myapp.php?foo=1&bar=2", form, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")
    assert not check.accepts("/myapp.php?bar=2&foo=1", form, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")


def test_carriers_own_signature_is_accepted(client: FlaskClient, calls: FakeCalls) -> None:
    """What the carrier's library computes is let in."""
    twiml_of(post(client, INCOMING, FORM))
    assert len(calls.accepted) == 1


def test_parameters_that_come_twice_are_signed_with_all_values(client: FlaskClient) -> None:
    """A repeated parameter counts with each value, and losing one breaks the signature."""
    form = MultiDict([*FORM.items(), ("Extra", "b"), ("Extra", "a")])
    headers = signed(PUBLIC_BASE_URL + INCOMING, form)
    twiml_of(client.post(INCOMING, data=form, headers=headers))
    fewer = MultiDict([*FORM.items(), ("Extra", "b")])
    assert client.post(INCOMING, data=fewer, headers=headers).status_code == 403


def test_query_is_part_of_what_is_signed(client: FlaskClient) -> None:
    """The number's webhook may be configured with a query; it is signed as sent, undecoded."""
    path = f"{INCOMING}?tenant=a%2Fb&x="
    twiml_of(post(client, path, FORM))
    wrong = client.post(path, data=FORM, headers=signed(PUBLIC_BASE_URL + INCOMING, FORM))
    assert wrong.status_code == 403


def test_public_url_counts_and_not_the_request(client: FlaskClient) -> None:
    """Behind a router the host and scheme of the request are others: only the setting counts."""
    headers = signed(PUBLIC_BASE_URL + INCOMING, FORM)
    behind = client.post(INCOMING, data=FORM, headers=headers, base_url="http://10.0.0.9:5000")
    twiml_of(behind)
    forged = signed(f"http://attacker.example{INCOMING}", FORM)
    there = client.post(INCOMING, data=FORM, headers=forged, base_url="http://attacker.example")
    assert there.status_code == 403


@pytest.mark.parametrize(
    "signed_url",
    [
        "http://moed.example/voice/incoming",
        "https://other.example/voice/incoming",
        "https://moed.example/voice/incoming/",
        "https://moed.example/voice/after",
        "https://moed.example/voice/incoming?x=1",
        "https://MOED.example/voice/incoming",
        "https://moed.example:8443/voice/incoming",
    ],
)
def test_signature_for_another_url_is_refused(client: FlaskClient, calls: FakeCalls, signed_url: str) -> None:
    """Another scheme, host, port, path, query or a trailing slash: not this URL."""
    response = client.post(INCOMING, data=FORM, headers=signed(signed_url, FORM))
    assert response.status_code == 403
    assert calls.accepted == []


def test_prefix_of_the_public_url_is_signed_too(calls: FakeCalls) -> None:
    """A deployment below a path: the router strips it, the signature has it."""
    client = web_app(calls, RequestCheck("https://apps.example/moed", CarrierSignature(AUTH_TOKEN))).test_client()
    headers = signed("https://apps.example/moed/voice/incoming", FORM)
    twiml_of(client.post(INCOMING, data=FORM, headers=headers))


@pytest.mark.parametrize("signature", [None, "", "x", "é", "6ZTYk/7odsgP6zqfOeLRdh/5Vm1="])
def test_missing_or_wrong_signature_is_one_quiet_line(
    client: FlaskClient, calls: FakeCalls, signature: str | None
) -> None:
    """403 as a problem document, nothing called, one warning without numbers or the signature."""
    headers = {} if signature is None else {"X-Twilio-Signature": signature}
    with structlog.testing.capture_logs() as lines:
        response = client.post(INCOMING, data=FORM, headers=headers)
    assert response.status_code == 403
    assert response.mimetype == "application/problem+json"
    assert response.get_json()["code"] == "forbidden"
    assert calls.accepted == []
    (warning,) = [line for line in lines if line["log_level"] == "warning"]
    assert warning["event"] == "carrier signature refused"
    assert warning["reason"] == ("wrong" if signature else "missing")
    for private in (FROM, TO, CALL_SID):
        assert private not in str(lines)


def test_changed_parameter_is_refused(client: FlaskClient) -> None:
    """A signature covers every parameter."""
    headers = signed(PUBLIC_BASE_URL + INCOMING, FORM)
    changed = client.post(INCOMING, data=FORM | {"From": "+972529999999"}, headers=headers)
    assert changed.status_code == 403


def test_signature_of_another_account_is_refused(client: FlaskClient) -> None:
    """Another account's token."""
    headers = signed(PUBLIC_BASE_URL + INCOMING, FORM, token="other")
    assert client.post(INCOMING, data=FORM, headers=headers).status_code == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", [INCOMING, "/voice/after"])
def test_any_method_but_post_is_405_with_allow(client: FlaskClient, path: str, method: str) -> None:
    """Only POST, and the answer says so (RFC 9110 15.5.6)."""
    response = client.open(path, method=method)
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    if method != "HEAD":
        assert response.get_json()["code"] == "method_not_allowed"


def test_oversized_body_is_413_before_the_signature(client: FlaskClient, calls: FakeCalls) -> None:
    """More than any webhook has: refused unread, whoever signed it."""
    response = post(client, INCOMING, FORM | {"Extra": "x" * MAX_BODY_BYTES})
    assert response.status_code == 413
    assert response.mimetype == "application/problem+json"
    assert calls.accepted == []


@pytest.mark.parametrize(("excess", "status"), [(-1, 200), (0, 200), (1, 413), (9999, 413)])
def test_chunked_body_has_the_same_limit(client: FlaskClient, excess: int, status: int) -> None:
    """A body without a length is neither cut nor read on for ever."""
    start = urlencode(FORM) + "&Extra="
    extra = "x" * (MAX_BODY_BYTES - len(start) + excess)
    response = client.post(
        INCOMING,
        input_stream=io.BytesIO((start + extra).encode()),
        content_type="application/x-www-form-urlencoded",
        headers=signed(PUBLIC_BASE_URL + INCOMING, FORM | {"Extra": extra}),
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert response.status_code == status


def test_body_just_below_the_limit_is_read(client: FlaskClient) -> None:
    """The limit is for the body, not for a field that nobody reads."""
    twiml_of(post(client, INCOMING, FORM | {"Extra": "x" * (MAX_BODY_BYTES - 200)}))


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
def test_other_content_type_is_415(client: FlaskClient, calls: FakeCalls, content_type: str) -> None:
    """Carriers post forms; nothing else is parsed."""
    response = client.post(
        INCOMING, data=b"{}", content_type=content_type, headers=signed(PUBLIC_BASE_URL + INCOMING, {})
    )
    assert response.status_code == 415
    assert calls.accepted == []


def test_content_type_with_charset_is_a_form(client: FlaskClient) -> None:
    """Twilio sends `; charset=UTF-8`."""
    response = client.post(
        INCOMING,
        data=FORM,
        content_type="application/x-www-form-urlencoded; charset=UTF-8",
        headers=signed(PUBLIC_BASE_URL + INCOMING, FORM),
    )
    twiml_of(response)


def test_trailing_slash_is_another_address(client: FlaskClient) -> None:
    """No redirect: a POST would lose its body on it."""
    assert post(client, f"{INCOMING}/", FORM).status_code == 404


def test_without_check_unsigned_requests_are_served(calls: FakeCalls) -> None:
    """Development: the object that accepts everybody."""
    client = web_app(calls, RequestCheck(PUBLIC_BASE_URL, NoSignature())).test_client()
    twiml_of(client.post(INCOMING, data=FORM))


def test_settings_choose_the_check_once() -> None:
    """The setting is read where the object is built."""
    checked = request_check(Settings(twilio_auth_token=AUTH_TOKEN, public_base_url=PUBLIC_BASE_URL))
    assert isinstance(checked.carrier, CarrierSignature)
    with structlog.testing.capture_logs() as lines:
        unchecked = request_check(Settings(moed_env="development", twilio_signature_check=False))
    assert isinstance(unchecked.carrier, NoSignature)
    assert [line["event"] for line in lines] == ["carrier signatures are not checked"]
