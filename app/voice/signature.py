"""Who may call the webhooks: only the carrier, which signs each request (protocol.md 2.4)."""

from __future__ import annotations

from typing import Protocol

import structlog
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from app.settings import Settings

log = structlog.get_logger(__name__)

HEADER = "X-Twilio-Signature"


class RequestCheck(Protocol):
    """Says whether a webhook comes from the carrier."""

    def accepts(self, target: str, form: MultiDict[str, str], signature: str) -> bool:
        """`target` is path and query as sent, `form` the POST parameters, `signature` the header ("" if none)."""
        ...


class SignatureCheck:
    """Accepts what was signed with the account's token for this server's *public* URL.

    Behind a router the process sees `http://` and any `Host`, so the URL is built from the setting and
    never from the request.
    """

    def __init__(self, auth_token: str, public_base_url: str) -> None:
        self._validator = RequestValidator(auth_token)
        self._public_base_url = public_base_url

    def accepts(self, target: str, form: MultiDict[str, str], signature: str) -> bool:
        """Whether `signature` fits. A parameter that came several times counts with all its values."""
        return bool(self._validator.validate(self._public_base_url + target, form, signature))


class NoSignatureCheck:
    """Accepts everybody. For development and the demo; app.settings refuses it in production."""

    def accepts(self, target: str, form: MultiDict[str, str], signature: str) -> bool:
        """Always true."""
        return True


def request_check(settings: Settings) -> RequestCheck:
    """The check that `settings` ask for, chosen once."""
    if settings.twilio_signature_check:
        return SignatureCheck(settings.twilio_auth_token, settings.public_base_url)
    log.warning("carrier signatures are not checked")
    return NoSignatureCheck()
