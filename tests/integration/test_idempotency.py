"""Idempotency keys: of many with one key one begins, and the others get its answer or are told to wait."""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.domain.access import OPERATOR
from app.domain.idempotency import StoredAnswer
from app.errors import IdempotencyConflict, IdempotencyInFlight, InvalidInput
from app.services import Services
from tests.factories import Clock, SomeBusiness, new_business

OWNER = "key:1"
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
HASH, OTHER_HASH = b"1" * 32, b"2" * 32
ANSWER = StoredAnswer(201, {"ETag": '"1"', "Location": "/x"}, '{"name": "דנה"}')
ONCE_MORE = StoredAnswer(201, {}, "{}")


def begin(services: Services, business: SomeBusiness, key: str = KEY, owner: str = OWNER) -> StoredAnswer | None:
    return services.idempotency.begin(business.id, owner, key, HASH)


def finish(services: Services, business: SomeBusiness, answer: StoredAnswer = ANSWER) -> None:
    services.idempotency.finish(business.id, OWNER, KEY, answer)


def test_the_first_begins_and_the_next_gets_its_answer(services: Services, business: SomeBusiness) -> None:
    """As often as it asks, to the letter."""
    assert begin(services, business) is None
    finish(services, business)
    assert [begin(services, business) for _ in range(3)] == [ANSWER] * 3


def test_an_answer_without_a_body_is_kept_too(services: Services, business: SomeBusiness) -> None:
    """A 204 has none."""
    begin(services, business)
    finish(services, business, StoredAnswer(204, {}, ""))
    assert begin(services, business) == StoredAnswer(204, {}, "")


def test_while_the_first_is_at_work_the_next_is_told_to_wait(services: Services, business: SomeBusiness) -> None:
    """It is not done twice."""
    begin(services, business)
    with pytest.raises(IdempotencyInFlight):
        begin(services, business)


def test_another_request_under_the_same_key_is_refused(services: Services, business: SomeBusiness) -> None:
    """In flight and afterwards: a client that counts its keys wrongly must notice."""
    begin(services, business)
    for _ in range(2):
        with pytest.raises(IdempotencyConflict):
            services.idempotency.begin(business.id, OWNER, KEY, OTHER_HASH)
        finish(services, business)


def test_of_a_hundred_at_once_exactly_one_begins(services: Services, business: SomeBusiness) -> None:
    """The others are told to wait, and then all get the one answer."""
    together = threading.Barrier(100)

    def ask(_: int) -> str:
        together.wait()
        try:
            return "began" if begin(services, business) is None else "answered"
        except IdempotencyInFlight:
            return "waits"

    with ThreadPoolExecutor(100) as threads:
        outcomes = list(threads.map(ask, range(100)))
        assert sorted(outcomes) == ["began"] + ["waits"] * 99
        finish(services, business)
        together.reset()
        assert set(threads.map(ask, range(100))) == {"answered"}


def test_what_was_abandoned_can_be_tried_again(services: Services, business: SomeBusiness) -> None:
    """With another body too: nothing was answered yet."""
    begin(services, business)
    services.idempotency.abandon(business.id, OWNER, KEY)
    assert services.idempotency.begin(business.id, OWNER, KEY, OTHER_HASH) is None


def test_an_answer_that_was_given_stays(services: Services, business: SomeBusiness) -> None:
    """Whoever was slow and believed to be dead can neither change nor remove it."""
    begin(services, business)
    finish(services, business)
    finish(services, business, ONCE_MORE)
    services.idempotency.abandon(business.id, OWNER, KEY)
    assert begin(services, business) == ANSWER


def test_a_key_in_flight_for_more_than_a_minute_is_taken_over(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Its process died; by one of those who ask, for a minute again."""
    begin(services, business)
    clock.advance(seconds=60)
    with pytest.raises(IdempotencyInFlight):
        begin(services, business)
    clock.advance(seconds=1)
    assert begin(services, business) is None
    with pytest.raises(IdempotencyInFlight):
        begin(services, business)


def test_of_many_that_take_over_at_once_exactly_one_does(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Under the row's lock."""
    begin(services, business)
    clock.advance(seconds=61)

    def ask(_: int) -> bool:
        try:
            return begin(services, business) is None
        except IdempotencyInFlight:
            return False

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(ask, range(40))) == 1


def test_an_answer_is_kept_for_a_day(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """Then the key is as good as new, whatever is asked with it."""
    begin(services, business)
    finish(services, business)
    clock.advance(hours=23, minutes=59)
    assert begin(services, business) == ANSWER
    clock.advance(minutes=1)
    assert services.idempotency.begin(business.id, OWNER, KEY, OTHER_HASH) is None


def test_a_key_is_its_sender_s_alone(services: Services, business: SomeBusiness) -> None:
    """Neither another credential nor another business nor the operator meets it."""
    other = new_business(services)
    begin(services, business)
    finish(services, business)
    assert begin(services, business, owner="key:2") is None
    assert begin(services, other) is None
    services.idempotency.abandon(OPERATOR, OWNER, KEY)
    assert services.idempotency.begin(OPERATOR, OWNER, KEY, HASH) is None
    assert begin(services, business) == ANSWER


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "\x00", "מפתח", "\ud800"])
def test_a_key_that_can_t_be_stored_is_refused(services: Services, business: SomeBusiness, key: str) -> None:
    """Naming the header."""
    with pytest.raises(InvalidInput) as refused:
        begin(services, business, key)
    assert refused.value.field == "Idempotency-Key"


@pytest.mark.parametrize("key", ["x", "x" * 255, "two words", '"quoted"'])
def test_any_other_key_will_do(services: Services, business: SomeBusiness, key: str) -> None:
    """Clients make them up."""
    assert begin(services, business, key) is None


def test_a_stored_answer_does_not_show_itself() -> None:
    """It may hold a customer's name, or a key that is shown once."""
    secret = secrets.token_hex(8)
    assert secret not in repr(StoredAnswer(201, {"X": secret}, secret))
