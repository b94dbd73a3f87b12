"""Who asks, checked before anything else is looked at."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Literal

from flask import current_app, request
from werkzeug.exceptions import PreconditionRequired

from app.api import etags
from app.domain.access import CREATE_BUSINESSES, OPERATOR, Credential
from app.domain.appointments import Source
from app.domain.pages import PageRequest
from app.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from app.services import Services

BUSINESS_HEADER = "Moed-Business"
CSRF_HEADER = "X-CSRF-Token"
SESSION_COOKIE = "moed_session"

_SAFE = ("GET", "HEAD", "OPTIONS")
_ID = re.compile(r"[1-9][0-9]{0,17}")
_KEY = re.compile(r"[!-~]{1,255}")

IfMatch = Literal["required", "optional"]


@dataclass(frozen=True, slots=True)
class Caller:
    """What a view needs to know of the request: who, for which business, against which version, which page."""

    credential: Credential
    tenant: int
    expected_version: int | None = None
    idempotency_key: str | None = None
    page: PageRequest = field(default_factory=PageRequest)

    @property
    def business_id(self) -> int:
        """The business that the request is about; an operator names it in a header."""
        if self.tenant == OPERATOR:
            raise InvalidInput(BUSINESS_HEADER, "an operator's key must name the business in this header")
        return self.tenant

    def own(self, business_id: int) -> int:
        """The same id, if the request may be about this business. Raises NotFound: "not yours" is "never was"."""
        if self.tenant not in (OPERATOR, business_id):
            raise NotFound("no such business")
        return business_id

    @property
    def actor(self) -> str:
        """What the audit trail keeps."""
        return self.credential.actor

    @property
    def source(self) -> Source:
        """Which front door: people have sessions, programs have keys."""
        return Source.API if self.credential.csrf_token is None else Source.DASHBOARD

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the credential has this scope."""
        if scope not in self.credential.scopes:
            raise Forbidden(f"the credential lacks the scope {scope}")


def admit(services: Services, scope: str | None, match: IfMatch | None) -> Caller:
    """The caller of this request. Raises Unauthenticated, Forbidden, RateLimited, InvalidInput, 428."""
    credential = _credential(services)
    tenant = _tenant(credential)
    caller = Caller(credential, tenant, idempotency_key=_idempotency_key(credential))
    services.limits.count(f"api:{credential.business_id}:{credential.actor}", current_app.config["API_RATE"], 60)
    if scope is not None:
        caller.require(scope)
        if scope == CREATE_BUSINESSES and not credential.is_operator:
            raise Forbidden("only an operator's key may do this")
    if match is None:
        return caller
    version = etags.expected_version()
    if version is None and match == "required" and "If-Match" not in request.headers:
        raise PreconditionRequired("Send the ETag of the version that you saw in If-Match.")
    return Caller(credential, tenant, version, caller.idempotency_key)


def _credential(services: Services) -> Credential:
    """Of the Authorization header; else of the cookie, with its CSRF token where the request changes something."""
    header = request.headers.get("Authorization")
    if header is not None:
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise Unauthenticated("the Authorization header must be: Bearer, a space, an API key")
        return services.api_keys.authenticate(token.strip())
    cookie = request.cookies.get(SESSION_COOKIE)
    if cookie is None:
        raise Unauthenticated("send an API key in the Authorization header, or log in")
    credential = services.sessions.authenticate(cookie)
    if request.method not in _SAFE:
        offered = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(offered.encode(), (credential.csrf_token or "").encode()):
            raise Forbidden(f"a session's changes need its CSRF token in {CSRF_HEADER}")
    return credential


def _tenant(credential: Credential) -> int:
    """The credential's business; for an operator the one that the header names, if any."""
    named = request.headers.get(BUSINESS_HEADER)
    if named is None:
        return credential.business_id
    if not _ID.fullmatch(named):
        raise InvalidInput(BUSINESS_HEADER, "must be a business id")
    if not credential.is_operator and int(named) != credential.business_id:
        raise Forbidden("the credential belongs to another business")
    return int(named)


def _idempotency_key(credential: Credential) -> str | None:
    """The client's key, made this credential's own; short enough for every service."""
    offered = request.headers.get("Idempotency-Key")
    if offered is None:
        return None
    if not _KEY.fullmatch(offered):
        raise InvalidInput("Idempotency-Key", "must have 1 to 255 visible ASCII characters")
    return f"{credential.actor}:{hashlib.sha256(offered.encode()).hexdigest()}"
