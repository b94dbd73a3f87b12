"""What callers left for the receptionist."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas.messages import MessageChanges, MessageQuery, MessageSchema
from app.domain.messages import Message
from app.domain.pages import Page

blueprint = section("Messages", "What callers left for the receptionist.")


@operation(
    blueprint,
    "GET",
    "/messages",
    scope="messages:read",
    summary="List messages",
    description="The newest first.",
    query=MessageQuery,
    page_of=MessageSchema,
)
def list_messages(caller: Caller, query: dict[str, Any]) -> Page[Message]:
    """All, or those that are open or handled."""
    return services().messages.list_messages(caller.business_id, caller.page, handled=query.get("handled"))


@operation(
    blueprint,
    "GET",
    "/messages/<id:message_id>",
    scope="messages:read",
    summary="Get a message",
    answer=MessageSchema,
    problems=(404,),
)
def get_message(caller: Caller, message_id: int) -> Message:
    """One of them."""
    return services().messages.get_message(caller.business_id, message_id)


@operation(
    blueprint,
    "PATCH",
    "/messages/<id:message_id>",
    scope="messages:write",
    summary="Mark a message as handled, or as open again",
    body=MessageChanges,
    answer=MessageSchema,
    versioned=True,
    problems=(404,),
)
def update_message(caller: Caller, message_id: int, body: dict[str, Any]) -> Message:
    """Who was the first to see to it stays."""
    return services().messages.set_handled(
        caller.business_id,
        message_id,
        handled=body["handled"],
        actor=caller.actor,
        expected_version=caller.expected_version,
    )
