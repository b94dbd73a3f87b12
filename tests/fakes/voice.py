"""A web process without a database: the real routes over a fake of the calls service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from flask import Flask
from flask.testing import FlaskClient
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from app.adapters.carrier_signature import CarrierSignature
from app.api import error_handlers, request_ids
from app.api.health import health_blueprint
from app.domain.calls import AcceptedCall, AfterStream, IncomingCall
from app.voice.signature import RequestCheck
from app.voice.twiml import CallUrls
from app.voice.views import voice_blueprint

AUTH_TOKEN = "s3cret"
PUBLIC_BASE_URL = "https://moed.example"
URLS = CallUrls(media="wss://media.example/media", after_stream=f"{PUBLIC_BASE_URL}/voice/after")

CHECK = RequestCheck(PUBLIC_BASE_URL, CarrierSignature(AUTH_TOKEN))

CALL_SID = "CA0123456789abcdef0123456789abcdef"
TO = "+97231234567"
FROM = "+972521234567"
FORM = {"CallSid": CALL_SID, "From": FROM, "To": TO}


@dataclass
class FakeCalls:
    """Answers what the test put in, and remembers what it was asked."""

    accepts: AcceptedCall | Exception = field(
        default_factory=lambda: AcceptedCall(call_id=7, business_id=1, language="he", media_token="tok-1")
    )
    then: AfterStream | Exception = field(default_factory=lambda: AfterStream("hang_up", "en"))
    accepted: list[IncomingCall] = field(default_factory=list)
    asked_after: list[str] = field(default_factory=list)

    def accept_call(self, call: IncomingCall) -> AcceptedCall:
        """Remember `call`."""
        self.accepted.append(call)
        if isinstance(self.accepts, Exception):
            raise self.accepts
        return self.accepts

    def after_stream(self, call_sid: str) -> AfterStream:
        """Remember `call_sid`."""
        self.asked_after.append(call_sid)
        if isinstance(self.then, Exception):
            raise self.then
        return self.then


def web_app(calls: FakeCalls, check: RequestCheck | None = None) -> Flask:
    """A Flask app with the voice and health routes, errors and request ids, as the process has them."""
    app = Flask(__name__, static_folder=None)
    request_ids.register(app)
    error_handlers.register(app)
    app.register_blueprint(health_blueprint(list))
    app.register_blueprint(voice_blueprint(calls, check or CHECK, URLS))
    return app


def signed(url: str, form: Mapping[str, str] | MultiDict[str, str], token: str = AUTH_TOKEN) -> dict[str, str]:
    """The carrier's header for `form` posted to `url`."""
    return {"X-Twilio-Signature": RequestValidator(token).compute_signature(url, form)}


def post(client: FlaskClient, path: str, form: Mapping[str, str] | MultiDict[str, str]) -> TestResponse:
    """`form` posted to `path` as the carrier does it."""
    return client.post(path, data=form, headers=signed(PUBLIC_BASE_URL + path, form))


def twiml_of(response: TestResponse) -> ElementTree.Element:
    """The answer, parsed. Fails unless it is TwiML."""
    assert response.status_code == 200
    assert response.mimetype == "text/xml"
    root = ElementTree.fromstring(response.get_data())  # noqa: S314 - our own answer
    assert root.tag == "Response"
    return root
