"""API keys: what a token proves, who may give what to whom, and that tokens are nowhere but in the answer."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, event, text
from structlog.testing import capture_logs

from app.domain.access import BUSINESS_SCOPES, CREATE_BUSINESSES, OPERATOR, SCOPES
from app.domain.api_keys import CreatedApiKey, NewApiKey
from app.domain.pages import PageRequest
from app.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from app.services import Services
from tests.factories import Clock, SomeBusiness, as_tenant, new_business

ALL = frozenset(SCOPES)
READ = frozenset({"appointments:read"})


def make_key(services: Services, business_id: int, **changes: object) -> CreatedApiKey:
    values = {"name": "Till", "scopes": READ, "expires_at": None, **changes}
    return services.api_keys.create_key(business_id, NewApiKey(**values), "user:1", ALL)


def test_a_new_key_s_token_is_its_business_s_credential(services: Services, business: SomeBusiness) -> None:
    """With the scopes that it was made with, and nothing of a session."""
    made = make_key(services, business.id)
    credential = services.api_keys.authenticate(made.token)
    assert re.fullmatch(r"moed_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", made.token)
    assert made.token.split("_")[1] == made.details.prefix
    assert (credential.actor, credential.business_id) == (f"key:{made.details.id}", business.id)
    assert (credential.scopes, credential.csrf_token, credential.is_operator) == (READ, None, False)


def test_an_operator_s_key_belongs_to_no_business(services: Services) -> None:
    """And may have the scope that no business has."""
    made = make_key(services, OPERATOR, scopes=frozenset({CREATE_BUSINESSES}))
    credential = services.api_keys.authenticate(made.token)
    assert credential.is_operator
    assert credential.scopes == {CREATE_BUSINESSES}
    assert made.details.created_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "moed_00000000_" + "A" * 43,
        "moed_00000000_" + "A" * 42,
        "moed_00000000_" + "A" * 43 + "\n",
        "Bearer x",
        "\x00",
        "\ud800" * 57,
        "moed_" + "א" * 8 + "_" + "A" * 43,
        "x" * 100_000,
    ],
)
def test_a_token_that_is_none_is_refused(services: Services, token: str) -> None:
    """Unknown or malformed: the same error."""
    with pytest.raises(Unauthenticated, match="not valid"):
        services.api_keys.authenticate(token)


def test_a_token_with_one_letter_changed_is_refused(services: Services, business: SomeBusiness) -> None:
    """The readable prefix proves nothing."""
    token = make_key(services, business.id).token
    other = token[:-1] + ("A" if token[-1] != "A" else "B")
    with pytest.raises(Unauthenticated):
        services.api_keys.authenticate(other)


def test_a_revoked_key_is_refused_at_once_and_for_good(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Revoking again changes nothing, not even the instant."""
    made = make_key(services, business.id)
    first = services.api_keys.revoke_key(business.id, made.details.id, "user:1")
    clock.advance(hours=1)
    again = services.api_keys.revoke_key(business.id, made.details.id, "user:2")
    assert first.revoked_at is not None
    assert again == first
    with pytest.raises(Unauthenticated):
        services.api_keys.authenticate(made.token)
    with pytest.raises(NotFound):
        services.api_keys.get_key(business.id, made.details.id)
    assert services.api_keys.list_keys(business.id, PageRequest()).items == ()
    assert services.api_keys.list_keys(business.id, PageRequest(), revoked=True).items == (first,)


def test_a_key_holds_until_the_instant_at_which_it_expires(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Its last moment is the one before."""
    token = make_key(services, business.id, expires_at=clock.now + timedelta(hours=1)).token
    clock.advance(minutes=59, seconds=59)
    services.api_keys.authenticate(token)
    clock.advance(seconds=1)
    with pytest.raises(Unauthenticated):
        services.api_keys.authenticate(token)


def test_the_last_use_is_written_at_most_once_a_minute(
    services: Services, business: SomeBusiness, clock: Clock, engine: Engine
) -> None:
    """A busy key does not write on every request."""
    made = make_key(services, business.id)
    updates: list[str] = []

    def remember(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("UPDATE api_keys"):
            updates.append(statement)

    event.listen(engine, "before_cursor_execute", remember)
    try:
        seen = []
        for _ in range(3):
            services.api_keys.authenticate(made.token)
            seen.append(services.api_keys.get_key(business.id, made.details.id).last_used_at)
            clock.advance(seconds=30)
    finally:
        event.remove(engine, "before_cursor_execute", remember)
    assert len(updates) == 2
    assert seen[0] == seen[1] == clock.now - timedelta(seconds=90)
    assert seen[2] == clock.now - timedelta(seconds=30)


def test_a_key_that_is_being_changed_can_still_be_used(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Writing the last use never waits for a lock."""
    made = make_key(services, business.id)
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("SELECT id FROM api_keys WHERE id = :id FOR UPDATE"), {"id": made.details.id})
        services.api_keys.authenticate(made.token)
    assert services.api_keys.get_key(business.id, made.details.id).last_used_at is None


def test_many_requests_at_once_all_authenticate(services: Services, business: SomeBusiness) -> None:
    """None is refused because another one writes the last use."""
    token = make_key(services, business.id).token
    with ThreadPoolExecutor(20) as threads:
        credentials = list(threads.map(lambda _: services.api_keys.authenticate(token), range(60)))
    assert len(set(credentials)) == 1


def test_nobody_gives_what_they_do_not_have(services: Services, business: SomeBusiness) -> None:
    """A key made by a key can do no more than its maker."""
    new = NewApiKey("Till", READ | {"appointments:write"})
    with pytest.raises(Forbidden):
        services.api_keys.create_key(business.id, new, "key:1", READ)
    same = services.api_keys.create_key(business.id, NewApiKey("Till", READ), "key:1", READ)
    assert set(same.details.scopes) == READ


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scopes": frozenset()}, "scopes"),
        ({"scopes": frozenset({"everything:write"})}, "scopes"),
        ({"scopes": frozenset({CREATE_BUSINESSES})}, "scopes"),
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"expires_at": Clock().now}, "expires_at"),
        ({"expires_at": datetime(2027, 1, 1)}, "expires_at"),  # noqa: DTZ001 - it is to be refused
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    services: Services, business: SomeBusiness, changes: dict[str, object], field: str
) -> None:
    """And the field is named."""
    with pytest.raises(InvalidInput) as refused:
        make_key(services, business.id, **changes)
    assert refused.value.field == field
    assert services.api_keys.list_keys(business.id, PageRequest()).items == ()


def test_a_business_that_is_not_there_gets_no_key(services: Services) -> None:
    """Its keys would belong to nobody."""
    with pytest.raises(NotFound):
        make_key(services, 2**62)


def test_another_business_s_key_is_not_there(services: Services, business: SomeBusiness) -> None:
    """Neither seen nor revoked; nor are the operator's."""
    other = new_business(services)
    made = make_key(services, other.id)
    operators = make_key(services, OPERATOR)
    for key in (made, operators):
        with pytest.raises(NotFound):
            services.api_keys.get_key(business.id, key.details.id)
        with pytest.raises(NotFound):
            services.api_keys.revoke_key(business.id, key.details.id, "user:1")
        services.api_keys.authenticate(key.token)
    assert services.api_keys.list_keys(business.id, PageRequest()).items == ()


def test_keys_are_listed_a_page_at_a_time(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """Oldest first; two of one instant by id; none twice and none left out."""
    made = []
    for number in range(5):
        made.append(make_key(services, business.id, name=f"Key {number}").details)
        clock.advance(seconds=number % 2)
    first = services.api_keys.list_keys(business.id, PageRequest(2))
    second = services.api_keys.list_keys(business.id, PageRequest(2, first.next_after))
    third = services.api_keys.list_keys(business.id, PageRequest(2, second.next_after))
    assert [*first.items, *second.items, *third.items] == made
    assert third.next_after is None


def test_instants_are_told_in_the_business_s_zone(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """As everywhere."""
    details = make_key(services, business.id, expires_at=clock.now + timedelta(days=1)).details
    assert details.created_at.isoformat() == "2026-11-22T08:00:00+02:00"
    assert details.expires_at is not None
    assert details.expires_at.isoformat() == "2026-11-23T08:00:00+02:00"


def test_the_token_is_neither_stored_nor_logged(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Only its SHA-256 is kept, and `repr` hides it."""
    with capture_logs() as logs:
        made = make_key(services, business.id)
        services.api_keys.authenticate(made.token)
        services.api_keys.revoke_key(business.id, made.details.id, "user:1")
    secret = made.token.rpartition(made.details.prefix)[2].removeprefix("_")
    with as_tenant(engine, business.id) as connection:
        row = connection.execute(text("SELECT * FROM api_keys")).one()
    assert [entry["event"] for entry in logs] == ["API key made", "API key revoked"]
    assert secret not in repr(row)
    assert secret not in repr(logs)
    assert secret not in repr(made)


def test_all_of_a_business_s_scopes_can_be_given(services: Services, business: SomeBusiness) -> None:
    """What the first key of a business gets."""
    made = make_key(services, business.id, scopes=BUSINESS_SCOPES)
    assert services.api_keys.authenticate(made.token).scopes == BUSINESS_SCOPES
