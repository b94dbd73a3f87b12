"""Webhook endpoints: where a business wants to be told of events, and with which secret they are signed."""

from __future__ import annotations

import base64
import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from app.domain.addresses import is_public
from app.domain.events import TEST_TYPE, EventType
from app.domain.pages import Page, PageRequest
from app.domain.webhooks import (
    STRICT,
    DeliveryState,
    Endpoint,
    EndpointChange,
    EndpointWithSecret,
    NewEndpoint,
    UrlRules,
)
from app.errors import InvalidInput, InvalidState, NotFound
from app.models import WebhookDelivery, WebhookEndpoint
from app.services import checks
from app.services.calendars import as_local, zone_of
from app.services.database import Database
from app.services.events import record_event
from app.services.rows import check_version, read_page
from app.services.scheduling import utc_now

log = structlog.get_logger(__name__)

LONGEST_URL = 2000
MOST_ENDPOINTS = 50
"""Of one business: each event is sent to every one of them."""

OLD_SECRET_SIGNS = timedelta(hours=24)


class Webhooks:
    """The endpoints of each business."""

    def __init__(
        self, database: Database, now: Callable[[], datetime] = utc_now, rules: UrlRules = STRICT
    ) -> None:
        self._db = database
        self._now = now
        self._rules = rules

    def create_endpoint(self, business_id: int, new: NewEndpoint) -> EndpointWithSecret:
        """Make an endpoint; the only answer but a rotation's that holds the secret.

        Raises InvalidInput; InvalidState when the business has too many.
        """
        url = _checked_url(new.url, self._rules)
        types = _checked_types(new.event_types)
        description = checks.prose("description", new.description, 500)
        with self._db.tenant(business_id) as session:
            zone = zone_of(session, business_id)
            existing = select(func.count()).select_from(_living(business_id).subquery())
            if session.scalars(existing).one() >= MOST_ENDPOINTS:
                raise InvalidState(f"a business has at most {MOST_ENDPOINTS} webhook endpoints")
            row = WebhookEndpoint(
                business_id=business_id,
                url=url,
                description=description,
                event_types=types,
                secret=_new_secret(),
                enabled=new.enabled,
                created_at=self._now(),
            )
            session.add(row)
            session.flush()
            session.refresh(row)
            return _with_secret(row, zone)

    def list_endpoints(self, business_id: int, page: PageRequest) -> Page[Endpoint]:
        """All that were not deleted, oldest first."""
        with self._db.reading(business_id) as session:
            zone = zone_of(session, business_id)
            return read_page(
                session,
                _living(business_id),
                page,
                (WebhookEndpoint.created_at, WebhookEndpoint.id),
                lambda row: (row.created_at, row.id),
                lambda row: _details(row, zone),
            )

    def get_endpoint(self, business_id: int, endpoint_id: int) -> Endpoint:
        """One endpoint. Raises NotFound."""
        with self._db.reading(business_id) as session:
            return _details(_found(session, business_id, endpoint_id), zone_of(session, business_id))

    def update_endpoint(
        self, business_id: int, endpoint_id: int, change: EndpointChange, expected_version: int | None = None
    ) -> Endpoint:
        """Change an endpoint; to disable it drops what is on its way.

        Raises InvalidInput, NotFound, StaleVersion.
        """
        url = None if change.url is None else _checked_url(change.url, self._rules)
        types = None if change.event_types is None else _checked_types(change.event_types)
        text = change.description
        description = None if text is None else checks.prose("description", text, 500)
        with self._db.tenant(business_id) as session:
            row = _locked(session, business_id, endpoint_id)
            check_version(row.version, expected_version)
            row.url = row.url if url is None else url
            row.event_types = row.event_types if types is None else types
            row.description = row.description if description is None else description
            if change.enabled is not None and change.enabled != row.enabled:
                row.enabled, row.disabled_reason = change.enabled, None
            if not row.enabled:
                drop_pending(session, row)
            row.version += 1
            return _details(row, zone_of(session, business_id))

    def rotate_secret(self, business_id: int, endpoint_id: int) -> EndpointWithSecret:
        """Give an endpoint a new secret. For a day the older one signs too. Raises NotFound."""
        with self._db.tenant(business_id) as session:
            row = _locked(session, business_id, endpoint_id)
            row.previous_secret, row.previous_secret_until = row.secret, self._now() + OLD_SECRET_SIGNS
            row.secret = _new_secret()
            row.version += 1
            return _with_secret(row, zone_of(session, business_id))

    def delete_endpoint(self, business_id: int, endpoint_id: int) -> None:
        """Take an endpoint away, and what is on its way to it. Raises NotFound."""
        with self._db.tenant(business_id) as session:
            row = _locked(session, business_id, endpoint_id)
            row.deleted_at = self._now()
            drop_pending(session, row)

    def send_test(self, business_id: int, endpoint_id: int) -> int:
        """Send a `webhook.test` to an endpoint; the delivery's id. Raises NotFound, InvalidState (disabled)."""
        with self._db.tenant(business_id) as session:
            row = _locked(session, business_id, endpoint_id)
            if not row.enabled:
                raise InvalidState("the endpoint is disabled")
            data = {"endpoint_id": endpoint_id}
            event_id = record_event(session, business_id, TEST_TYPE, data, self._now(), only_to=endpoint_id)
            return session.scalars(
                select(WebhookDelivery.id).where(
                    WebhookDelivery.business_id == business_id, WebhookDelivery.event_id == event_id
                )
            ).one()


def drop_pending(session: Session, endpoint: WebhookEndpoint) -> None:
    """Nothing more goes to an endpoint, whose row is locked."""
    session.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.business_id == endpoint.business_id,
            WebhookDelivery.endpoint_id == endpoint.id,
            WebhookDelivery.state == DeliveryState.PENDING,
        )
        .values(state=DeliveryState.DROPPED, next_attempt_at=None)
        .execution_options(synchronize_session=False)
    )


def _living(business_id: int) -> Select[WebhookEndpoint]:
    return select(WebhookEndpoint).where(
        WebhookEndpoint.business_id == business_id, WebhookEndpoint.deleted_at.is_(None)
    )


def _found(session: Session, business_id: int, endpoint_id: int) -> WebhookEndpoint:
    row = session.get(WebhookEndpoint, (business_id, endpoint_id))
    if row is None or row.deleted_at is not None:
        raise NotFound("no such webhook endpoint")
    return row


def _locked(session: Session, business_id: int, endpoint_id: int) -> WebhookEndpoint:
    """The row, which others may still refer to."""
    session.get(WebhookEndpoint, (business_id, endpoint_id), with_for_update={"key_share": True})
    return _found(session, business_id, endpoint_id)


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _checked_types(types: tuple[str, ...]) -> list[str]:
    if not types:
        raise InvalidInput("event_types", "must name at least one type")
    if not set(types) <= set(EventType):
        raise InvalidInput("event_types", f"must be among {', '.join(EventType)}")
    return sorted(set(types))


def _checked_url(url: str, rules: UrlRules) -> str:
    """A URL that can be sent to. Where its name leads is looked at on every attempt: that can change."""
    if not 1 <= len(url) <= LONGEST_URL or any(not "!" <= mark <= "~" for mark in url):
        raise InvalidInput("url", f"must have 1 to {LONGEST_URL} visible ASCII characters (names in punycode)")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in rules.schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInput("url", f"must be a complete URL that begins with {' or '.join(rules.schemes)}://")
    if "@" in parts.netloc or "#" in url or "\\" in url:
        raise InvalidInput("url", "must have no user, password, fragment or backslash")
    if rules.public_only and _is_private_literal(parts):
        raise InvalidInput("url", "must lead to the public internet")
    return url


def _is_private_literal(parts: SplitResult) -> bool:
    """Whether it is written as an address that nothing can be sent to."""
    try:
        address = ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return parts.hostname == "localhost"
    return not is_public(str(address))


def _with_secret(row: WebhookEndpoint, zone: ZoneInfo) -> EndpointWithSecret:
    return EndpointWithSecret(**asdict(_details(row, zone)), secret=row.secret)


def _details(row: WebhookEndpoint, zone: ZoneInfo) -> Endpoint:
    return Endpoint(
        id=row.id,
        business_id=row.business_id,
        url=row.url,
        description=row.description,
        event_types=tuple(row.event_types),
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        version=row.version,
        created_at=as_local(row.created_at, zone),
    )
