"""Sessions: who gets one, for how long it holds, and that a failed login tells nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, text
from structlog.testing import capture_logs

from app.domain.access import BUSINESS_SCOPES, OPERATOR, ROLE_SCOPES, Credential, Role
from app.domain.api_keys import NewApiKey
from app.domain.users import NewSession, NewUser, UserChanges, UserDetails
from app.errors import NotFound, RateLimited, Unauthenticated, WrongLogin
from app.services import Services, build_services
from app.services.sessions import MOST_BY_ADDRESS, MOST_BY_EMAIL
from tests.factories import Clock, SomeBusiness, as_tenant, new_business
from tests.fakes.passwords import CheapHasher

PASSWORD = "correct horse"


@pytest.fixture
def hasher() -> CheapHasher:
    return CheapHasher()


@pytest.fixture
def services(engine: Engine, clock: Clock, hasher: CheapHasher) -> Services:
    """The services with a hasher that costs nothing."""
    return build_services(engine, clock, hasher)


@pytest.fixture
def address() -> str:
    """Where this test's logins come from, and no other's."""
    return secrets.token_hex(8)


@pytest.fixture
def log_in(services: Services, address: str) -> Callable[..., NewSession]:
    """Log in with the password that all users here have."""

    def log_in(email: str, password: str = PASSWORD) -> NewSession:
        return services.sessions.log_in(email, password, address)

    return log_in


def new_user(services: Services, business: SomeBusiness, role: Role = Role.OWNER) -> UserDetails:
    new = NewUser(f"{secrets.token_hex(6)}@example.com", "Dana Levi", role, PASSWORD)
    return services.users.create_user(business.id, new, "operator", BUSINESS_SCOPES)


@pytest.fixture
def user(services: Services, business: SomeBusiness) -> UserDetails:
    """An owner."""
    return new_user(services, business)


LogIn = Callable[..., NewSession]


@pytest.mark.parametrize("role", Role)
def test_a_session_is_its_user_s_credential(
    services: Services, business: SomeBusiness, log_in: LogIn, role: Role
) -> None:
    """With the scopes of the role, and a token against requests from other sites."""
    user = new_user(services, business, role)
    session = log_in(user.email)
    credential = services.sessions.authenticate(session.token)
    assert (credential.actor, credential.business_id) == (f"user:{user.id}", business.id)
    assert credential.scopes == ROLE_SCOPES[role]
    assert credential.csrf_token not in (None, "", session.token)
    assert services.sessions.who(credential) == session.user
    assert session.user.last_login_at is not None


def test_an_e_mail_in_another_case_is_the_same(user: UserDetails, log_in: LogIn) -> None:
    """People type it as they like."""
    assert log_in(f" {user.email.upper()} ").user.id == user.id


def test_each_login_has_a_token_of_its_own(services: Services, user: UserDetails, log_in: LogIn) -> None:
    """So a token that was planted in a browser is worth nothing after its user logs in."""
    tokens = {log_in(user.email).token for _ in range(3)}
    assert len(tokens) == 3
    assert len({services.sessions.authenticate(token).csrf_token for token in tokens}) == 3
    planted = secrets.token_urlsafe(32)
    with pytest.raises(Unauthenticated):
        services.sessions.authenticate(planted)


def test_wrong_logins_are_all_the_same(
    services: Services, business: SomeBusiness, hasher: CheapHasher, engine: Engine, log_in: LogIn
) -> None:
    """One error text, one check of one hash, and the same statements: a stranger learns nothing."""
    known, stopped = new_user(services, business), new_user(services, business)
    services.users.update_user(business.id, stopped.id, UserChanges(active=False), "user:1", BUSINESS_SCOPES)
    attempts = [
        (known.email, "wrong horse"),
        (stopped.email, PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("no e-mail at all", PASSWORD),
        ("\x00\ud800", PASSWORD),
        ("", ""),
        (known.email, PASSWORD + "\x00"),
        (known.email, "\ud800"),
        (known.email, "x" * 1_000_000),
    ]
    seen = set()
    statements: list[str] = []

    def remember(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", remember)
    try:
        for email, password in attempts:
            statements.clear()
            before = len(hasher.checked)
            with pytest.raises(WrongLogin) as refused:
                log_in(email, password)
            kinds = tuple(sorted({statement.split()[0] for statement in statements}))
            seen.add((str(refused.value), len(hasher.checked) - before, kinds))
    finally:
        event.remove(engine, "before_cursor_execute", remember)
    assert len(seen) == 1
    assert seen.pop()[1] == 1
    assert hasher.checked.count(hasher.nobodys) == 4


def test_too_many_logins_as_one_user_are_refused(
    services: Services, user: UserDetails, clock: Clock, hasher: CheapHasher
) -> None:
    """From wherever they come, with the right password too, and without hashing anything."""
    for number in range(MOST_BY_EMAIL):
        with pytest.raises(WrongLogin):
            services.sessions.log_in(user.email, "wrong horse", f"{user.email} {number}")
    checked = len(hasher.checked)
    clock.advance(minutes=5)
    with pytest.raises(RateLimited) as refused:
        services.sessions.log_in(user.email.upper(), PASSWORD, f"{user.email} x")
    assert refused.value.retry_after_s == 600
    assert len(hasher.checked) == checked
    clock.advance(minutes=10)
    services.sessions.log_in(user.email, PASSWORD, f"{user.email} x")


def test_too_many_logins_from_one_address_are_refused(user: UserDetails, log_in: LogIn) -> None:
    """As whomever they are; nobody else's are."""
    for number in range(MOST_BY_ADDRESS):
        with pytest.raises(WrongLogin):
            log_in(f"{number}{user.email}")
    with pytest.raises(RateLimited):
        log_in(user.email)


def test_a_hash_of_older_parameters_is_renewed(
    services: Services, engine: Engine, clock: Clock, user: UserDetails, log_in: LogIn, business: SomeBusiness
) -> None:
    """At the next login, once; the password stays."""
    newer = CheapHasher("later")
    later = build_services(engine, clock, newer)
    for _ in range(2):
        later.sessions.log_in(user.email, PASSWORD, user.email)
    with as_tenant(engine, business.id) as connection:
        stored = connection.execute(text("SELECT password_hash FROM users")).scalar_one()
    assert newer.made == 1
    assert stored.startswith("later:")


def test_a_session_lives_while_it_is_used(
    services: Services, user: UserDetails, clock: Clock, log_in: LogIn
) -> None:
    """Up to twelve hours between two requests."""
    token = log_in(user.email).token
    for _ in range(3):
        clock.advance(hours=11, minutes=59)
        services.sessions.authenticate(token)
    clock.advance(hours=12)
    with pytest.raises(Unauthenticated):
        services.sessions.authenticate(token)


def test_a_session_ends_after_two_weeks_however_busy(
    services: Services, user: UserDetails, clock: Clock, log_in: LogIn
) -> None:
    """At the instant that was told when it began."""
    session = log_in(user.email)
    assert session.expires_at == clock.now + timedelta(days=14)
    while clock.now < session.expires_at - timedelta(hours=8):
        services.sessions.authenticate(session.token)
        clock.advance(hours=8)
    services.sessions.authenticate(session.token)
    clock.advance(hours=8)
    with pytest.raises(Unauthenticated):
        services.sessions.authenticate(session.token)


def test_use_is_written_at_most_once_a_minute(
    services: Services, user: UserDetails, clock: Clock, engine: Engine, business: SomeBusiness, log_in: LogIn
) -> None:
    """A dashboard that polls does not write on every request."""
    token = log_in(user.email).token
    seen = []
    for _ in range(4):
        clock.advance(seconds=30)
        services.sessions.authenticate(token)
        with as_tenant(engine, business.id) as connection:
            seen.append(connection.execute(text("SELECT last_seen_at FROM user_sessions")).scalar_one())
    began_at = clock.now - timedelta(minutes=2)
    assert seen == [began_at] + [began_at + timedelta(minutes=1)] * 2 + [clock.now]


def test_many_requests_of_one_session_all_pass(
    services: Services, user: UserDetails, clock: Clock, log_in: LogIn
) -> None:
    """None waits for another one that writes the last use."""
    token = log_in(user.email).token
    clock.advance(minutes=2)
    with ThreadPoolExecutor(20) as threads:
        credentials = set(threads.map(lambda _: services.sessions.authenticate(token), range(60)))
    assert len(credentials) == 1


def test_a_session_that_was_ended_is_over(services: Services, user: UserDetails, log_in: LogIn) -> None:
    """That one and no other; ending it again is no error."""
    first, second = log_in(user.email).token, log_in(user.email).token
    for _ in range(2):
        services.sessions.log_out(first)
    with pytest.raises(Unauthenticated):
        services.sessions.authenticate(first)
    services.sessions.authenticate(second)


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "\x00" * 43, "\ud800" * 43, "א" * 43, "A" * 43 + "\n"])
def test_a_token_that_is_none_is_refused(services: Services, token: str) -> None:
    """And logging out with it is no error."""
    with pytest.raises(Unauthenticated):
        services.sessions.authenticate(token)
    services.sessions.log_out(token)


def test_a_user_who_is_stopped_is_out_at_once(
    services: Services, business: SomeBusiness, user: UserDetails, engine: Engine, log_in: LogIn
) -> None:
    """Even where the session's row was left."""
    new_user(services, business)
    token = log_in(user.email).token
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("UPDATE users SET active = false WHERE id = :id"), {"id": user.id})
    with pytest.raises(Unauthenticated):
        services.sessions.authenticate(token)


def test_a_role_that_was_changed_counts_at_once(
    services: Services, business: SomeBusiness, user: UserDetails, log_in: LogIn
) -> None:
    """Scopes come from the user's row, not from the login."""
    new_user(services, business)
    token = log_in(user.email).token
    services.users.update_user(
        business.id, user.id, UserChanges(role=Role.RECEPTIONIST), "user:1", BUSINESS_SCOPES
    )
    assert services.sessions.authenticate(token).scopes == ROLE_SCOPES[Role.RECEPTIONIST]


def test_a_password_that_is_changed_during_a_login_keeps_it_out(
    engine: Engine, clock: Clock, business: SomeBusiness, user: UserDetails, services: Services
) -> None:
    """The hash is checked without a lock, and compared again under it."""

    class Meanwhile(CheapHasher):
        def fits(self, stored: str, password: bytes) -> bool:
            fits = super().fits(stored, password)
            services.users.set_password(business.id, user.id, "another horse", "user:1", BUSINESS_SCOPES)
            return fits

    slow = build_services(engine, clock, Meanwhile())
    with pytest.raises(WrongLogin):
        slow.sessions.log_in(user.email, PASSWORD, user.email)
    with as_tenant(engine, business.id) as connection:
        assert connection.execute(text("SELECT count(*) FROM user_sessions")).scalar_one() == 0


def test_sessions_that_are_over_are_removed_at_the_next_login(
    services: Services, user: UserDetails, clock: Clock, engine: Engine, business: SomeBusiness, log_in: LogIn
) -> None:
    """Who logs in every morning leaves no heap behind."""
    for _ in range(4):
        log_in(user.email)
        clock.advance(hours=7)
    with as_tenant(engine, business.id) as connection:
        assert connection.execute(text("SELECT count(*) FROM user_sessions")).scalar_one() == 2


def test_who_is_asked_of_users_only(services: Services, business: SomeBusiness, user: UserDetails) -> None:
    """A key is nobody, and another business's user is not there."""
    key = services.api_keys.create_key(
        business.id, NewApiKey("Till", frozenset({"calls:read"})), "user:1", BUSINESS_SCOPES
    )
    other = new_business(services)
    for credential in (
        services.api_keys.authenticate(key.token),
        Credential(f"user:{user.id}", other.id, BUSINESS_SCOPES),
        Credential(f"user:{user.id}", OPERATOR, BUSINESS_SCOPES),
    ):
        with pytest.raises(NotFound):
            services.sessions.who(credential)


def test_neither_token_nor_password_nor_e_mail_is_stored_or_logged(
    services: Services, user: UserDetails, engine: Engine, business: SomeBusiness, log_in: LogIn
) -> None:
    """Not by a login, not by a failed one, and `repr` hides them."""
    with capture_logs() as logs:
        session = log_in(user.email)
        with pytest.raises(WrongLogin) as refused:
            log_in(user.email, "wrong horse")
        services.sessions.authenticate(session.token)
        services.sessions.log_out(log_in(user.email).token)
    with as_tenant(engine, business.id) as connection:
        row = connection.execute(text("SELECT * FROM user_sessions")).one()
    assert {entry["event"] for entry in logs} == {"logged in", "login refused"}
    told = repr((logs, session, refused.value, user))
    for secret in (session.token, PASSWORD, "wrong horse", user.email, user.name):
        assert secret not in told
    assert session.token not in repr(row)
