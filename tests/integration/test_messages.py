"""Messages: left once, listed newest first, handled by somebody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.messages import Message, NewMessage
from app.domain.pages import PageRequest
from app.errors import InvalidInput, NotFound, StaleVersion
from app.services import Services
from tests.factories import Clock, SomeBusiness, as_tenant, incoming_call, new_business

DANA = "+972521234567"


def leave(services: Services, business: SomeBusiness, body: str = "Please call back", **values: Any) -> Message:
    return services.messages.leave_message(NewMessage(business.id, body, **values))


def bodies(services: Services, business: SomeBusiness, handled: bool | None = None) -> list[str]:
    page = services.messages.list_messages(business.id, PageRequest(), handled=handled)
    return [message.body for message in page.items]


def test_a_message_is_stored_as_it_was_left(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """With its call; instants are local; open until somebody sees to it."""
    call_id = services.calls.accept_call(incoming_call(business)).call_id
    left = leave(services, business, " Two\nlines ", caller_name="Dana", caller_number=DANA, call_id=call_id)
    assert left == services.messages.get_message(business.id, left.id)
    assert (left.body, left.caller_name, left.caller_number) == ("Two\nlines", "Dana", DANA)
    assert (left.call_id, left.handled, left.handled_by, left.version) == (call_id, False, None, 1)
    assert left.created_at.isoformat() == "2026-11-22T08:00:00+02:00"
    assert left.timezone == "Asia/Jerusalem"
    assert all(secret not in repr(left) for secret in ("Dana", DANA, "lines"))


def test_a_message_is_an_event(services: Services, engine: Engine, business: SomeBusiness) -> None:
    """Written with it, about the message and its call."""
    call_id = services.calls.accept_call(incoming_call(business)).call_id
    left = leave(services, business, caller_name="Dana", caller_number=DANA, call_id=call_id)
    with as_tenant(engine, business.id) as connection:
        [event] = connection.execute(text("SELECT * FROM events")).all()
    assert (event.type, event.message_row_id, event.call_id) == ("message.created", left.id, call_id)
    told = event.payload["data"]
    assert (told["id"], told["body"], told["caller_number"]) == (left.id, left.body, DANA)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("body", {"body": " \n "}),
        ("body", {"body": "x" * 4001}),
        ("body", {"body": "x\x00"}),
        ("caller_name", {"caller_name": "a\r\nb"}),
        ("caller_number", {"caller_number": "052-1234567"}),
    ],
)
def test_a_message_that_breaks_a_rule_is_refused(
    services: Services, business: SomeBusiness, field: str, values: dict[str, Any]
) -> None:
    """And nothing is stored."""
    with pytest.raises(InvalidInput) as refused:
        leave(services, business, **values)
    assert refused.value.field == field
    assert bodies(services, business) == []


def test_messages_are_listed_newest_first_in_pages(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Each once."""
    for number in range(5):
        leave(services, business, f"message {number}")
        clock.advance(seconds=number % 2)
    first = services.messages.list_messages(business.id, PageRequest(3))
    rest = services.messages.list_messages(business.id, PageRequest(3, first.next_after))
    assert [item.body[-1] for item in (*first.items, *rest.items)] == ["4", "3", "2", "1", "0"]
    assert rest.next_after is None


def test_a_message_is_handled_and_opened_again(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """Each change is a new version; the filter follows."""
    left = leave(services, business)
    leave(services, business, "another")
    clock.advance(hours=1)
    handled = services.messages.set_handled(business.id, left.id, handled=True, actor="user:3", expected_version=1)
    assert (handled.handled_by, handled.version) == ("user:3", 2)
    assert handled.handled_at is not None
    assert handled.handled_at.isoformat() == "2026-11-22T09:00:00+02:00"
    assert bodies(services, business, handled=True) == ["Please call back"]
    assert bodies(services, business, handled=False) == ["another"]
    opened = services.messages.set_handled(business.id, left.id, handled=False, actor="user:4")
    assert opened == replace(left, version=3)


def test_the_first_to_handle_a_message_stays(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """The second time changes nothing."""
    left = leave(services, business)
    first = services.messages.set_handled(business.id, left.id, handled=True, actor="user:3")
    clock.advance(hours=1)
    assert services.messages.set_handled(business.id, left.id, handled=True, actor="key:7") == first


def test_a_version_that_is_no_longer_there_changes_nothing(services: Services, business: SomeBusiness) -> None:
    """Somebody else was faster."""
    left = leave(services, business)
    services.messages.set_handled(business.id, left.id, handled=True, actor="user:3", expected_version=1)
    with pytest.raises(StaleVersion):
        services.messages.set_handled(business.id, left.id, handled=False, actor="user:4", expected_version=1)
    assert services.messages.get_message(business.id, left.id).handled_by == "user:3"


def test_another_business_s_message_is_not_there(services: Services, business: SomeBusiness) -> None:
    """Not listed, not read, not handled; nor can a message name another's call."""
    other = new_business(services)
    left = leave(services, business)
    call_id = services.calls.accept_call(incoming_call(business)).call_id
    assert bodies(services, other) == []
    with pytest.raises(NotFound):
        services.messages.get_message(other.id, left.id)
    with pytest.raises(NotFound):
        services.messages.set_handled(other.id, left.id, handled=True, actor="user:1")
    with pytest.raises(NotFound):
        leave(services, other, call_id=call_id)
    assert not services.messages.get_message(business.id, left.id).handled
