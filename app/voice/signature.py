"""Who may call the webhooks: only the carrier, which signs each request (docs/protocols.md, "Signature")."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.datastructures import MultiDict

from app.adapters.carrier_signature import SignatureCheck, signature_check
from app.settings import Settings

HEADER = "X-Twilio-Signature"


@dataclass(frozen=True, slots=True)
class RequestCheck:
    """Says whether a webhook was signed for this server's *public* URL.

    Behind a router the process sees `http://` and any `Host`, so the URL is built from the setting and
    never from the request.
    """

    public_base_url: str
    carrier: SignatureCheck

    def accepts(self, target: str, form: MultiDict[str, str], signature: str) -> bool:
        """`target` is path and query as sent; of a parameter that came several times every value counts."""
        return self.carrier.accepts(self.public_base_url + target, form, signature)


def request_check(settings: Settings) -> RequestCheck:
    """The check that `settings` ask for, chosen once."""
    return RequestCheck(settings.public_base_url, signature_check(settings))
