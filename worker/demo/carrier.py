"""The carrier: calls the webhooks as it would, signed, and connects the phone to the stream it is told."""

from __future__ import annotations

import secrets
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from xml.etree import ElementTree

from twilio.request_validator import RequestValidator

from worker.rehearsal.phone import Phone

TIMEOUT_S = 15


class CallRefused(Exception):
    """The webhook's answer connects nobody; the text is what it said."""


@dataclass(frozen=True)
class Carrier:
    """An account at the carrier: its token signs webhooks and the media handshake."""

    base_url: str
    auth_token: str

    def call(self, to_number: str, from_number: str) -> Phone:
        """A new call: `/voice/incoming`, then the stream that its TwiML names. The phone is not dialled yet."""
        call_sid = "CA" + secrets.token_hex(16)
        form = {"CallSid": call_sid, "From": from_number, "To": to_number, "Direction": "inbound"}
        return self._connect(self._post("/voice/incoming", form), call_sid)

    def after(self, phone: Phone) -> str:
        """What `/voice/after` says once the stream is over: the name of its first verb."""
        answer = ElementTree.fromstring(self._post("/voice/after", {"CallSid": phone.call_sid}))  # noqa: S314 - our own
        return answer[0].tag if len(answer) else "Hangup"

    def _connect(self, twiml: str, call_sid: str) -> Phone:
        answer = ElementTree.fromstring(twiml)  # noqa: S314 - our own web process wrote it
        stream = answer.find("Connect/Stream")
        if stream is None:
            raise CallRefused(" ".join(text.strip() for text in answer.itertext() if text.strip()))
        url = stream.attrib["url"]
        parameters = {item.attrib["name"]: item.attrib["value"] for item in stream.iter("Parameter")}
        return Phone(url, call_sid, parameters, {"X-Twilio-Signature": self._sign(url, {})})

    def _post(self, path: str, form: dict[str, str]) -> str:
        url = self.base_url + path
        request = urllib.request.Request(  # noqa: S310 - http on the loopback
            url,
            data=urllib.parse.urlencode(form).encode(),
            headers={
                "X-Twilio-Signature": self._sign(url, form),
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=TIMEOUT_S) as answer:
                body: bytes = answer.read()
        except urllib.error.HTTPError as error:
            raise CallRefused(f"{path} answered {error.code}") from None
        return body.decode()

    def _sign(self, url: str, form: dict[str, str]) -> str:
        signature: str = RequestValidator(self.auth_token).compute_signature(url, form)
        return signature
