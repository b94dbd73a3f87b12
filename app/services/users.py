"""The people of a business who log in: owners, and receptionists."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

import structlog
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.adapters.passwords import PasswordHasher
from app.domain.access import BUSINESS_SCOPES, ROLE_SCOPES, Role
from app.domain.businesses import NewBusiness
from app.domain.pages import Page, PageRequest
from app.domain.passwords import check_password, is_email, password_bytes, same_email
from app.domain.users import NewUser, UserChanges, UserDetails
from app.errors import AlreadyExists, Forbidden, InvalidInput, InvalidState, NotFound
from app.models import User, UserSession
from app.services import checks
from app.services.businesses import insert_business
from app.services.calendars import as_local, zone_of
from app.services.database import Database
from app.services.limits import Limits
from app.services.rows import check_version, read_page
from app.services.scheduling import utc_now
from app.services.tokens import sha256_of

log = structlog.get_logger(__name__)

WRITE_USERS = "users:write"

MOST_PASSWORD_CHANGES = 10
PASSWORD_WINDOW_S = 15 * 60


class Users:
    """Users of each business. `granted` are always the scopes of whoever asks: nobody can give what they lack."""

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

    def create_user(self, business_id: int, new: NewUser, actor: str, granted: frozenset[str]) -> UserDetails:
        """Make a user. Raises InvalidInput, Forbidden, AlreadyExists (the e-mail, in any business), NotFound."""
        values = self._checked(new, granted)
        with self._db.tenant(business_id) as session:
            return self._insert(session, business_id, values, actor)

    def create_business_with_owner(self, business: NewBusiness, owner: NewUser, actor: str) -> UserDetails:
        """Make a business and its first owner, both or neither, for the operator.

        Raises InvalidInput, and AlreadyExists for an e-mail or a phone number.
        """
        values = self._checked(owner, BUSINESS_SCOPES)
        with self._db.new_tenant() as (session, business_id):
            insert_business(session, business_id, business)
            session.flush()
            return self._insert(session, business_id, values, actor)

    def list_users(self, business_id: int, page: PageRequest) -> Page[UserDetails]:
        """All users, also those who are not active, oldest first."""
        with self._db.reading(business_id) as session:
            zone = zone_of(session, business_id)
            return read_page(
                session,
                select(User).where(User.business_id == business_id),
                page,
                (User.created_at, User.id),
                lambda row: (row.created_at, row.id),
                lambda row: user_details(row, zone),
            )

    def get_user(self, business_id: int, user_id: int) -> UserDetails:
        """One user. Raises NotFound."""
        with self._db.reading(business_id) as session:
            return user_details(_user(session, business_id, user_id), zone_of(session, business_id))

    def update_user(
        self,
        business_id: int,
        user_id: int,
        changes: UserChanges,
        actor: str,
        granted: frozenset[str],
        expected_version: int | None = None,
    ) -> UserDetails:
        """Change name, role or whether somebody may log in; who may no more is logged out everywhere.

        Raises NotFound, InvalidInput, Forbidden, InvalidState (the last active owner stays one).
        """
        name = None if changes.name is None else checks.line("name", changes.name, 200)
        with self._db.tenant(business_id) as session:
            owners = _lock_owners(session, business_id)
            user = _user(session, business_id, user_id, locked=True)
            check_version(user.version, expected_version)
            role = Role(user.role) if changes.role is None else changes.role
            active = user.active if changes.active is None else changes.active
            if changes.role is not None or changes.active:
                _check_grant(role, granted)
            if owners == [user_id] and not (active and role is Role.OWNER):
                raise InvalidState("a business keeps at least one active owner")
            user.name = user.name if name is None else name
            user.role, user.active = role, active
            user.version += 1
            if not active:
                _end_sessions(session, user)
            log.info("user changed", business_id=business_id, user_id=user_id, actor=actor)
            return user_details(user, zone_of(session, business_id))

    def set_password(
        self,
        business_id: int,
        user_id: int,
        password: str,
        actor: str,
        granted: frozenset[str],
        current: str | None = None,
        kept_token: str | None = None,
    ) -> None:
        """Set a user's password and end their sessions, all but the one with `kept_token`.

        Users who set their own give the `current` one. Raises NotFound, InvalidInput, Forbidden (for a user who
        can do more than whoever asks), RateLimited, InvalidState (it was changed at the same moment).
        """
        own = actor == f"user:{user_id}"
        if not own and WRITE_USERS not in granted:
            raise Forbidden(f"others' passwords need the scope {WRITE_USERS}")
        with self._db.reading(business_id) as session:
            user = _user(session, business_id, user_id)
            email, before, role = user.email, user.password_hash, Role(user.role)
        new = check_password("password", password, email)
        if own:
            self._check_current(user_id, before, current)
        else:
            _check_grant(role, granted)
        password_hash = self._hasher.make(new)
        with self._db.tenant(business_id) as session:
            user = _user(session, business_id, user_id, locked=True)
            if user.password_hash != before:
                raise InvalidState("the password was changed in the meantime")
            user.password_hash = password_hash
            _end_sessions(session, user, kept_token)
        log.info("password set", business_id=business_id, user_id=user_id, actor=actor)

    def _checked(self, new: NewUser, granted: frozenset[str]) -> dict[str, Any]:
        """The columns of a new user. No transaction may be open: the hash takes a tenth of a second."""
        email = same_email(new.email)
        if not is_email(email):
            raise InvalidInput("email", "must be an e-mail address")
        name = checks.line("name", new.name, 200)
        password = check_password("password", new.password, email)
        _check_grant(new.role, granted)
        return {"email": email, "name": name, "role": new.role, "password_hash": self._hasher.make(password)}

    def _insert(self, session: Session, business_id: int, values: dict[str, Any], actor: str) -> UserDetails:
        """Row security hides another tenant's row, so only the unique constraint knows; it answers with no row."""
        zone = zone_of(session, business_id)
        user_id = session.scalars(
            insert(User)
            .values(business_id=business_id, created_at=self._now(), **values)
            .on_conflict_do_nothing(index_elements=["email"])
            .returning(User.id)
        ).one_or_none()
        if user_id is None:
            raise AlreadyExists("email", "somebody has this e-mail already")
        log.info("user made", business_id=business_id, user_id=user_id, role=values["role"], actor=actor)
        return user_details(_user(session, business_id, user_id), zone)

    def _check_current(self, user_id: int, stored: str, current: str | None) -> None:
        """A session that was left open is not enough to take an account over, nor to guess its password."""
        if current is None:
            raise InvalidInput("current_password", "is needed to change one's own password")
        self._limits.count(f"password of user {user_id}", MOST_PASSWORD_CHANGES, PASSWORD_WINDOW_S)
        if not self._hasher.fits(stored, password_bytes(current)):
            raise InvalidInput("current_password", "is not the password")


def user_details(user: User, zone: tzinfo) -> UserDetails:
    """What leaves the services of a row."""
    return UserDetails(
        id=user.id,
        business_id=user.business_id,
        email=user.email,
        name=user.name,
        role=Role(user.role),
        active=user.active,
        version=user.version,
        created_at=as_local(user.created_at, zone),
        last_login_at=None if user.last_login_at is None else as_local(user.last_login_at, zone),
    )


def _user(session: Session, business_id: int, user_id: int, *, locked: bool = False) -> User:
    lock = {"key_share": True} if locked else None
    user = session.get(User, (business_id, user_id), with_for_update=lock)
    if user is None:
        raise NotFound("no such user")
    return user


def _lock_owners(session: Session, business_id: int) -> list[int]:
    """The active owners, locked in one order: of two that are demoted at once, the second sees the first."""
    return list(
        session.scalars(
            select(User.id)
            .where(User.business_id == business_id, User.role == Role.OWNER, User.active)
            .order_by(User.id)
            .with_for_update(key_share=True)
        )
    )


def _check_grant(role: Role, granted: frozenset[str]) -> None:
    if not ROLE_SCOPES[role] <= granted:
        raise Forbidden("nobody can give a role that may do more than they")


def _end_sessions(session: Session, user: User, kept_token: str | None = None) -> None:
    ended = delete(UserSession).where(UserSession.business_id == user.business_id, UserSession.user_id == user.id)
    if kept_token is not None:
        ended = ended.where(UserSession.token_sha256 != sha256_of(kept_token))
    session.execute(ended.execution_options(synchronize_session=False))
