"""API keys: a program's credential for one business, or for the operator."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

import structlog
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from app.domain.access import CREATE_BUSINESSES, OPERATOR, SCOPES, Credential
from app.domain.api_keys import ApiKeyDetails, CreatedApiKey, NewApiKey
from app.domain.pages import Page, PageRequest
from app.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from app.models import ApiKey
from app.services import checks
from app.services.calendars import as_local, zone_of
from app.services.database import Database
from app.services.rows import read_page
from app.services.scheduling import utc_now
from app.services.tokens import sha256_of

log = structlog.get_logger(__name__)

# moed_<prefix>_<32 random bytes>: the prefix tells keys apart in a list, the first word finds leaked ones.
_TOKEN = re.compile(r"moed_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", re.ASCII)
_USE_IS_WRITTEN_EVERY = timedelta(minutes=1)


class ApiKeys:
    """The keys of each business; business 0 is the operator."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now

    def authenticate(self, token: str) -> Credential:
        """Who this token is. Raises Unauthenticated, the same for every reason.

        Looked up by its SHA-256: nothing that is compared on the way tells how near a guess was.
        """
        if not _TOKEN.fullmatch(token):
            raise Unauthenticated("the API key is not valid")
        digest = sha256_of(token)
        now = self._now()
        with self._db.found(func.business_of_api_key(digest)) as (session, business_id):
            key = session.scalars(
                select(ApiKey).where(ApiKey.business_id == business_id, ApiKey.key_sha256 == digest)
            ).one_or_none()
            if key is None or key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
                raise Unauthenticated("the API key is not valid")
            if key.last_used_at is None or key.last_used_at <= now - _USE_IS_WRITTEN_EVERY:
                _note_use(session, key, now)
            return Credential(f"key:{key.id}", key.business_id, frozenset(key.scopes))

    def create_key(self, business_id: int, new: NewApiKey, actor: str, granted: frozenset[str]) -> CreatedApiKey:
        """Make a key (business 0: the operator's). Its token is in the answer and nowhere else.

        `granted` are the scopes of whoever makes it. Raises InvalidInput; Forbidden for a scope that is not
        among them; NotFound.
        """
        now = self._now()
        name = checks.line("name", new.name, 200)
        expires_at = None if new.expires_at is None else checks.instant("expires_at", new.expires_at)
        if expires_at is not None and expires_at <= now:
            raise InvalidInput("expires_at", "must be in the future")
        _check_scopes(business_id, new.scopes, granted)
        prefix = secrets.token_hex(4)
        token = f"moed_{prefix}_{secrets.token_urlsafe(32)}"
        with self._db.tenant(business_id) as session:
            zone = _zone_of(session, business_id)
            key = ApiKey(
                business_id=business_id,
                name=name,
                prefix=prefix,
                key_sha256=sha256_of(token),
                scopes=sorted(new.scopes),
                created_by=actor,
                created_at=now,
                expires_at=expires_at,
            )
            session.add(key)
            session.flush()
            details = _details(key, zone)
        log.info("API key made", business_id=business_id, key_id=details.id, actor=actor)
        return CreatedApiKey(details, token)

    def list_keys(self, business_id: int, page: PageRequest, *, revoked: bool = False) -> Page[ApiKeyDetails]:
        """The keys that were not revoked, or those that were; oldest first."""
        with self._db.reading(business_id) as session:
            zone = _zone_of(session, business_id)
            return read_page(
                session,
                select(ApiKey).where(ApiKey.business_id == business_id, ApiKey.revoked_at.is_not(None) == revoked),
                page,
                (ApiKey.created_at, ApiKey.id),
                lambda row: (row.created_at, row.id),
                lambda row: _details(row, zone),
            )

    def get_key(self, business_id: int, key_id: int) -> ApiKeyDetails:
        """One key. Raises NotFound, for a revoked one too."""
        with self._db.reading(business_id) as session:
            zone = _zone_of(session, business_id)
            key = session.get(ApiKey, (business_id, key_id))
            if key is None or key.revoked_at is not None:
                raise NotFound("no such API key")
            return _details(key, zone)

    def revoke_key(self, business_id: int, key_id: int, actor: str) -> ApiKeyDetails:
        """Make a key worthless, from now on and for good; again changes nothing. Raises NotFound."""
        with self._db.tenant(business_id) as session:
            zone = _zone_of(session, business_id)
            key = session.get(ApiKey, (business_id, key_id), with_for_update=True)
            if key is None:
                raise NotFound("no such API key")
            if key.revoked_at is None:
                key.revoked_at = self._now()
                log.info("API key revoked", business_id=business_id, key_id=key_id, actor=actor)
            return _details(key, zone)


def _note_use(session: Session, key: ApiKey, now: datetime) -> None:
    """Write `last_used_at`, unless somebody else is at it: of many requests at once none waits for another."""
    stale = (
        select(ApiKey.id)
        .where(
            ApiKey.business_id == key.business_id,
            ApiKey.id == key.id,
            or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= now - _USE_IS_WRITTEN_EVERY),
        )
        .with_for_update(skip_locked=True)
    )
    session.execute(
        update(ApiKey)
        .where(ApiKey.business_id == key.business_id, ApiKey.id.in_(stale))
        .values(last_used_at=now)
        .execution_options(synchronize_session=False)
    )


def _check_scopes(business_id: int, wanted: frozenset[str], granted: frozenset[str]) -> None:
    if not wanted:
        raise InvalidInput("scopes", "must name at least one scope")
    if not wanted <= set(SCOPES):
        raise InvalidInput("scopes", "names a scope that does not exist")
    if business_id != OPERATOR and CREATE_BUSINESSES in wanted:
        raise InvalidInput("scopes", f"{CREATE_BUSINESSES} is for the operator's keys only")
    if not wanted <= granted:
        raise Forbidden("nobody can give a scope that they do not have")


def _zone_of(session: Session, business_id: int) -> tzinfo:
    """The operator has no clock on the wall."""
    return UTC if business_id == OPERATOR else zone_of(session, business_id)


def _details(key: ApiKey, zone: tzinfo) -> ApiKeyDetails:
    def local(moment: datetime | None) -> datetime | None:
        return None if moment is None else as_local(moment, zone)

    return ApiKeyDetails(
        id=key.id,
        business_id=key.business_id,
        name=key.name,
        prefix=key.prefix,
        scopes=tuple(key.scopes),
        created_by=key.created_by,
        created_at=as_local(key.created_at, zone),
        expires_at=local(key.expires_at),
        revoked_at=local(key.revoked_at),
        last_used_at=local(key.last_used_at),
    )
