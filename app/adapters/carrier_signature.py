"""Whether a request comes from the carrier, which signs each one (docs/protocols.md, "Signature")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import structlog
from twilio.request_validator import RequestValidator

from app.settings import Settings

log = structlog.get_logger(__name__)


class SignatureCheck(Protocol):
    """`url` is the public one, exactly as the carrier was given it; `form` the POST parameters."""

    def accepts(self, url: str, form: Mapping[str, str], signature: str | None) -> bool: ...


class CarrierSignature:
    """Accepts what was signed with the account's token. A form's repeated keys count with all their values."""

    def __init__(self, auth_token: str) -> None:
        self._validator = RequestValidator(auth_token)

    def accepts(self, url: str, form: Mapping[str, str], signature: str | None) -> bool:
        return signature is not None and bool(self._validator.validate(url, form, signature))


class NoSignature:
    """Accepts everybody. For development and the demo; `app.settings` refuses it in production."""

    def accepts(self, url: str, form: Mapping[str, str], signature: str | None) -> bool:
        return True


def signature_check(settings: Settings) -> SignatureCheck:
    """The check that `settings` ask for, chosen once."""
    if settings.twilio_signature_check:
        return CarrierSignature(settings.twilio_auth_token)
    log.warning("carrier signatures are not checked")
    return NoSignature()
