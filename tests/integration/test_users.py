"""Users: who may be made by whom, that a business keeps an owner, and what ends sessions."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from app.domain.access import BUSINESS_SCOPES, ROLE_SCOPES, Role
from app.domain.pages import PageRequest
from app.domain.users import NewUser, UserChanges, UserDetails
from app.errors import (
    AlreadyExists,
    Forbidden,
    InvalidInput,
    InvalidState,
    MoedError,
    NotFound,
    RateLimited,
    StaleVersion,
    Unauthenticated,
    WrongLogin,
)
from app.services import Services, build_services
from app.services.users import MOST_PASSWORD_CHANGES
from tests.factories import Clock, SomeBusiness, as_tenant, new_business
from tests.fakes.passwords import CheapHasher

PASSWORD, NEW_PASSWORD = "correct horse", "another horse"
RECEPTIONIST = ROLE_SCOPES[Role.RECEPTIONIST]


@pytest.fixture
def services(engine: Engine, clock: Clock) -> Services:
    """The services with a hasher that costs nothing."""
    return build_services(engine, clock, CheapHasher())


def new_user(services: Services, business: SomeBusiness, role: Role = Role.OWNER, **changes: str) -> UserDetails:
    values = {"email": f"{secrets.token_hex(6)}@example.com", "name": "Dana Levi", "password": PASSWORD, **changes}
    return services.users.create_user(business.id, NewUser(role=role, **values), "operator", BUSINESS_SCOPES)


def change(
    services: Services, user: UserDetails, granted: frozenset[str] = BUSINESS_SCOPES, **changes: object
) -> UserDetails:
    return services.users.update_user(user.business_id, user.id, UserChanges(**changes), "user:1", granted)


def set_password(services: Services, user: UserDetails, actor: str = "user:0", **rest: object) -> None:
    values = {"granted": BUSINESS_SCOPES, **rest}
    services.users.set_password(user.business_id, user.id, NEW_PASSWORD, actor, **values)


def log_in(services: Services, user: UserDetails, password: str = PASSWORD) -> str:
    return services.sessions.log_in(user.email, password, user.email).token


def is_over(services: Services, token: str) -> bool:
    try:
        services.sessions.authenticate(token)
    except Unauthenticated:
        return True
    return False


def test_a_new_user_is_active_and_can_log_in(services: Services, business: SomeBusiness) -> None:
    """Under the e-mail in lower case, whatever was typed."""
    user = new_user(services, business, Role.RECEPTIONIST, email=" Noa.Levi@Example.COM ", name=" Noa ")
    assert (user.email, user.name, user.role) == ("noa.levi@example.com", "Noa", Role.RECEPTIONIST)
    assert (user.active, user.version, user.last_login_at) == (True, 1, None)
    assert user.created_at.isoformat() == "2026-11-22T08:00:00+02:00"
    assert services.users.get_user(business.id, user.id) == user
    assert not is_over(services, log_in(services, user))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "dana@example.com\x00"}, "email"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"password": "short"}, "password"),
        ({"email": "dana.levi@example.com", "password": "Dana.Levi@example.com"}, "password"),
    ],
)
def test_a_user_that_makes_no_sense_is_refused(
    services: Services, business: SomeBusiness, changes: dict[str, str], field: str
) -> None:
    """And the field is named."""
    with pytest.raises(InvalidInput) as refused:
        new_user(services, business, **changes)
    assert refused.value.field == field
    assert services.users.list_users(business.id, PageRequest()).items == ()


def test_an_e_mail_is_one_user_s_in_all_businesses(services: Services, business: SomeBusiness) -> None:
    """The login asks for nothing else."""
    user = new_user(services, business)
    for place in (business, new_business(services)):
        with pytest.raises(AlreadyExists) as refused:
            new_user(services, place, email=user.email.upper())
        assert refused.value.field == "email"


def test_of_two_made_at_once_with_one_e_mail_one_is(services: Services, business: SomeBusiness) -> None:
    """The other is told, not the log."""

    def make(_: int) -> str:
        try:
            new_user(services, business, email="twice@example.com")
        except AlreadyExists:
            return "there"
        return "made"

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(make, range(8))) == ["made"] + ["there"] * 7


def test_a_business_that_is_not_there_gets_no_user(services: Services, business: SomeBusiness) -> None:
    """Nobody could see them."""
    nowhere = SomeBusiness(2**62, "", ())
    with pytest.raises(NotFound):
        new_user(services, nowhere)


def test_nobody_makes_somebody_who_can_do_more(services: Services, business: SomeBusiness) -> None:
    """Not by making one, promoting one, letting one in again, or setting a password."""
    granted = RECEPTIONIST | {"users:write", "users:read"}
    new_user(services, business)
    owner, helper = new_user(services, business), new_user(services, business, Role.RECEPTIONIST)
    new = NewUser("x@example.com", "X", Role.OWNER, PASSWORD)
    with pytest.raises(Forbidden):
        services.users.create_user(business.id, new, "key:1", granted)
    with pytest.raises(Forbidden):
        change(services, helper, granted, role=Role.OWNER)
    with pytest.raises(Forbidden):
        set_password(services, owner, granted=granted)
    change(services, owner, granted, active=False)
    with pytest.raises(Forbidden):
        change(services, owner, granted, active=True)
    set_password(services, helper, granted=granted)
    assert change(services, helper, granted, active=True).role is Role.RECEPTIONIST


def test_another_business_s_user_is_not_there(services: Services, business: SomeBusiness) -> None:
    """Neither seen nor changed."""
    theirs = new_user(services, new_business(services))
    asks = [
        lambda: services.users.get_user(business.id, theirs.id),
        lambda: services.users.update_user(
            business.id, theirs.id, UserChanges(name="X"), "user:1", BUSINESS_SCOPES
        ),
        lambda: services.users.set_password(business.id, theirs.id, NEW_PASSWORD, "user:1", BUSINESS_SCOPES),
    ]
    for ask in asks:
        with pytest.raises(NotFound):
            ask()
    assert services.users.list_users(business.id, PageRequest()).items == ()
    assert log_in(services, theirs)


def test_users_are_listed_a_page_at_a_time(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """Oldest first; two of one instant by id; none twice and none left out."""
    made = []
    for number in range(5):
        made.append(new_user(services, business))
        clock.advance(seconds=number % 2)
    first = services.users.list_users(business.id, PageRequest(2))
    second = services.users.list_users(business.id, PageRequest(2, first.next_after))
    third = services.users.list_users(business.id, PageRequest(2, second.next_after))
    assert [*first.items, *second.items, *third.items] == made
    assert third.next_after is None


def test_a_change_leaves_the_rest_and_counts_the_version(services: Services, business: SomeBusiness) -> None:
    """So that two who edit at once do not overwrite each other."""
    user = new_user(services, business)
    changed = change(services, user, name="Dana Cohen")
    assert (changed.name, changed.role, changed.active, changed.version) == ("Dana Cohen", Role.OWNER, True, 2)
    with pytest.raises(StaleVersion):
        services.users.update_user(
            business.id, user.id, UserChanges(name="Noa"), "user:1", BUSINESS_SCOPES, expected_version=1
        )
    assert services.users.get_user(business.id, user.id) == changed


@pytest.mark.parametrize("changes", [{"active": False}, {"role": Role.RECEPTIONIST}])
def test_the_last_active_owner_stays_one(
    services: Services, business: SomeBusiness, changes: dict[str, object]
) -> None:
    """Else nobody could let anybody in; one who is not active does not count, nor does another business's."""
    new_user(services, new_business(services))
    owner, second = new_user(services, business), new_user(services, business)
    new_user(services, business, Role.RECEPTIONIST)
    change(services, second, **changes)
    with pytest.raises(InvalidState):
        change(services, owner, **changes)
    kept = services.users.get_user(business.id, owner.id)
    assert (kept.role, kept.active, kept.version) == (Role.OWNER, True, 1)
    assert change(services, owner, name="Still here").version == 2


def test_of_all_owners_demoted_at_once_one_stays(services: Services, business: SomeBusiness) -> None:
    """Each sees what the one before it left."""
    owners = [new_user(services, business) for _ in range(8)]

    def demote(owner: UserDetails) -> str:
        try:
            change(services, owner, role=Role.RECEPTIONIST)
        except InvalidState:
            return "kept"
        return "demoted"

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(demote, owners)) == ["demoted"] * 7 + ["kept"]


def test_who_is_stopped_is_logged_out_everywhere(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """And comes in again only with a new login, once they may."""
    new_user(services, business)
    user = new_user(services, business)
    tokens = [log_in(services, user) for _ in range(2)]
    change(services, user, active=False)
    with as_tenant(engine, business.id) as connection:
        assert connection.execute(text("SELECT count(*) FROM user_sessions")).scalar_one() == 0
    with pytest.raises(WrongLogin):
        log_in(services, user)
    change(services, user, active=True)
    assert [is_over(services, token) for token in tokens] == [True, True]
    assert not is_over(services, log_in(services, user))


def test_a_new_password_ends_the_other_sessions(services: Services, business: SomeBusiness) -> None:
    """The one in which it was set goes on; the old password is worth nothing."""
    user, other = new_user(services, business), new_user(services, business)
    mine, elsewhere, theirs = log_in(services, user), log_in(services, user), log_in(services, other)
    set_password(services, user, f"user:{user.id}", current=PASSWORD, kept_token=mine)
    assert [is_over(services, token) for token in (mine, elsewhere, theirs)] == [False, True, False]
    with pytest.raises(WrongLogin):
        log_in(services, user)
    assert log_in(services, user, NEW_PASSWORD)


@pytest.mark.parametrize("current", [None, "", "wrong horse", NEW_PASSWORD])
def test_one_s_own_password_is_changed_with_the_current_one(
    services: Services, business: SomeBusiness, current: str | None
) -> None:
    """A session that somebody left open is not enough, whatever its scopes."""
    user = new_user(services, business)
    with pytest.raises(InvalidInput) as refused:
        set_password(services, user, f"user:{user.id}", current=current)
    assert refused.value.field == "current_password"
    assert log_in(services, user)


def test_the_current_password_can_t_be_guessed(services: Services, business: SomeBusiness) -> None:
    """After some tries the right one is refused as well."""
    user = new_user(services, business)
    for _ in range(MOST_PASSWORD_CHANGES):
        with pytest.raises(InvalidInput):
            set_password(services, user, f"user:{user.id}", current="wrong horse")
    with pytest.raises(RateLimited):
        set_password(services, user, f"user:{user.id}", current=PASSWORD)


def test_an_owner_sets_another_s_password_and_ends_their_sessions(
    services: Services, business: SomeBusiness
) -> None:
    """For who forgot it."""
    user = new_user(services, business, Role.RECEPTIONIST)
    token = log_in(services, user)
    set_password(services, user)
    assert is_over(services, token)
    assert log_in(services, user, NEW_PASSWORD)


@pytest.mark.parametrize("password", ["short", "x" * 201, "\x00" * 10])
def test_a_password_that_may_not_be_is_not_set(services: Services, business: SomeBusiness, password: str) -> None:
    """The old one stays."""
    user = new_user(services, business)
    with pytest.raises(InvalidInput):
        services.users.set_password(business.id, user.id, password, "user:0", BUSINESS_SCOPES)
    assert log_in(services, user)


def test_of_two_passwords_set_at_once_one_is(
    engine: Engine, clock: Clock, services: Services, business: SomeBusiness
) -> None:
    """The other one is told: a password that was replaced meanwhile proves nothing."""
    user = new_user(services, business)

    class Meanwhile(CheapHasher):
        def make(self, password: bytes) -> str:
            set_password(services, user)
            return super().make(password)

    slow = build_services(engine, clock, Meanwhile())
    with pytest.raises(InvalidState):
        slow.users.set_password(
            business.id, user.id, "third horse!", f"user:{user.id}", BUSINESS_SCOPES, current=PASSWORD
        )
    assert log_in(services, user, NEW_PASSWORD)


def test_nothing_personal_is_logged_or_shown(services: Services, business: SomeBusiness) -> None:
    """Ids are; names, e-mails and passwords are not, in errors neither."""
    errors: list[MoedError] = []
    with capture_logs() as logs:
        user = new_user(services, business)
        change(services, user, name="Noa Cohen")
        set_password(services, user)
        for repeat in (
            lambda: new_user(services, business, email=user.email),
            lambda: change(services, user, active=False),
        ):
            try:
                repeat()
            except MoedError as error:
                errors.append(error)
    assert [entry["event"] for entry in logs] == ["user made", "user changed", "password set"]
    assert len(errors) == 2
    told = repr((logs, errors, user))
    for secret in (user.email, user.name, "Noa Cohen", PASSWORD, NEW_PASSWORD):
        assert secret not in told
