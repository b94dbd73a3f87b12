"""Logging in: a user's e-mail and password against a token that a browser keeps."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from app.adapters.passwords import PasswordHasher
from app.domain.access import ROLE_SCOPES, Credential, Role
from app.domain.passwords import is_email, password_bytes, same_email
from app.domain.users import NewSession, UserDetails
from app.errors import NotFound, Unauthenticated, WrongLogin
from app.models import User, UserSession
from app.services.calendars import as_local, zone_of
from app.services.database import Database
from app.services.limits import Limits
from app.services.scheduling import utc_now
from app.services.tokens import sha256_of
from app.services.users import user_details

log = structlog.get_logger(__name__)

LONGEST_IDLE = timedelta(hours=12)
LONGEST_SESSION = timedelta(days=14)

LOGIN_WINDOW_S = 15 * 60
MOST_BY_EMAIL = 10
MOST_BY_ADDRESS = 50

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_USE_IS_WRITTEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Who has the e-mail of a login; for an e-mail that nobody has, a hash that nothing fits."""

    business_id: int | None
    user_id: int
    password_hash: str
    active: bool


class Sessions:
    """Sessions of users. Each can be ended by the server at any moment: nothing is in the token but chance."""

    def __init__(
        self,
        database: Database,
        limits: Limits,
        hasher: PasswordHasher,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._db = database
        self._limits = limits
        self._hasher = hasher
        self._now = now

    def log_in(self, email: str, password: str, address: str) -> NewSession:
        """Begin a session. `address` is the client's, for the limit.

        Raises WrongLogin, the same and after the same work for an unknown e-mail, a wrong password and a user
        who is not active; RateLimited.
        """
        email = same_email(email)
        self._limits.count(f"login from {address}", MOST_BY_ADDRESS, LOGIN_WINDOW_S)
        self._limits.count(f"login as {email}", MOST_BY_EMAIL, LOGIN_WINDOW_S)
        candidate = self._candidate(email)
        # No transaction is open here: this takes a tenth of a second.
        fits = self._hasher.fits(candidate.password_hash, password_bytes(password))
        if candidate.business_id is None or not fits or not candidate.active:
            log.info("login refused")
            raise WrongLogin("the e-mail or the password is wrong")
        renewed = None
        if self._hasher.is_outdated(candidate.password_hash):
            renewed = self._hasher.make(password_bytes(password))
        return self._begin(candidate.business_id, candidate, renewed)

    def authenticate(self, token: str) -> Credential:
        """Whose session this token is, with the scopes of their role. Raises Unauthenticated."""
        if not _TOKEN.fullmatch(token):
            raise Unauthenticated("the session is over")
        now, digest = self._now(), sha256_of(token)
        with self._db.found(func.business_of_session(digest)) as (session, business_id):
            row = session.execute(
                select(UserSession, User)
                .join(User, (User.business_id == UserSession.business_id) & (User.id == UserSession.user_id))
                .where(UserSession.business_id == business_id, UserSession.token_sha256 == digest)
            ).one_or_none()
            if row is None:
                raise Unauthenticated("the session is over")
            ours, user = row
            if not user.active or ours.expires_at <= now or ours.last_seen_at <= now - LONGEST_IDLE:
                raise Unauthenticated("the session is over")
            if ours.last_seen_at <= now - _USE_IS_WRITTEN_EVERY:
                _note_use(session, ours, now)
            return _credential(user, token)

    def log_out(self, token: str) -> None:
        """End a session; one that is over, or never was, is ended already."""
        digest = sha256_of(token)
        with self._db.found(func.business_of_session(digest)) as (session, business_id):
            session.execute(
                delete(UserSession).where(
                    UserSession.business_id == business_id, UserSession.token_sha256 == digest
                )
            )

    def who(self, credential: Credential) -> UserDetails:
        """The user whose session it is. Raises NotFound for a credential that is no user's."""
        kind, _, number = credential.actor.partition(":")
        if kind != "user":
            raise NotFound("the credential is no user's")
        with self._db.reading(credential.business_id) as session:
            user = session.get(User, (credential.business_id, int(number)))
            if user is None:
                raise NotFound("no such user")
            return user_details(user, zone_of(session, credential.business_id))

    def _candidate(self, email: str) -> _Candidate:
        """The same statements and an equally costly hash, whether somebody has the e-mail or not."""
        known = email if is_email(email) else "nobody"
        with self._db.found(func.business_of_email(known)) as (session, business_id):
            user = session.scalars(
                select(User).where(User.business_id == business_id, User.email == known)
            ).one_or_none()
            if user is None:
                return _Candidate(None, 0, self._hasher.nobodys, active=False)
            return _Candidate(user.business_id, user.id, user.password_hash, user.active)

    def _begin(self, business_id: int, candidate: _Candidate, renewed: str | None) -> NewSession:
        """Under the user's lock: nobody gets in whose password was changed or who was stopped meanwhile."""
        token = secrets.token_urlsafe(32)
        now = self._now()
        with self._db.tenant(business_id) as session:
            user = session.get(User, (business_id, candidate.user_id), with_for_update={"key_share": True})
            if user is None or not user.active or user.password_hash != candidate.password_hash:
                raise WrongLogin("the e-mail or the password is wrong")
            if renewed is not None:
                user.password_hash = renewed
            user.last_login_at = now
            _forget_ended(session, user, now)
            ours = UserSession(
                business_id=business_id,
                token_sha256=sha256_of(token),
                user_id=user.id,
                created_at=now,
                last_seen_at=now,
                expires_at=now + LONGEST_SESSION,
            )
            session.add(ours)
            zone = zone_of(session, business_id)
            ends_at = as_local(ours.expires_at, zone)
            begun = NewSession(user_details(user, zone), _credential(user, token), ends_at, token)
        log.info("logged in", business_id=business_id, user_id=begun.user.id)
        return begun


def _credential(user: User, token: str) -> Credential:
    return Credential(f"user:{user.id}", user.business_id, ROLE_SCOPES[Role(user.role)], csrf_token(token))


def csrf_token(token: str) -> str:
    """What an unsafe request of this session repeats in a header: the cookie alone is sent by any page."""
    digest = hashlib.sha256(b"csrf:" + token.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _note_use(session: Session, ours: UserSession, now: datetime) -> None:
    """Write `last_seen_at`, unless somebody else is at it: of many requests at once none waits for another."""
    stale = (
        select(UserSession.token_sha256)
        .where(
            UserSession.business_id == ours.business_id,
            UserSession.token_sha256 == ours.token_sha256,
            UserSession.last_seen_at <= now - _USE_IS_WRITTEN_EVERY,
        )
        .with_for_update(skip_locked=True)
    )
    session.execute(
        update(UserSession)
        .where(UserSession.business_id == ours.business_id, UserSession.token_sha256.in_(stale))
        .values(last_seen_at=now)
        .execution_options(synchronize_session=False)
    )


def _forget_ended(session: Session, user: User, now: datetime) -> None:
    """The user's sessions that are over anyway: who logs in again and again leaves no heap behind."""
    session.execute(
        delete(UserSession)
        .where(
            UserSession.business_id == user.business_id,
            UserSession.user_id == user.id,
            or_(UserSession.expires_at <= now, UserSession.last_seen_at <= now - LONGEST_IDLE),
        )
        .execution_options(synchronize_session=False)
    )
