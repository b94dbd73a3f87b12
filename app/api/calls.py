"""Calls that were answered, and their timelines."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas.calls import CallQuery, CallSchema, CallWithTimelineSchema
from app.domain.calls import CallFilter, CallRecord, CallState, CallSummary
from app.domain.pages import Page

blueprint = section("Calls", "Telephone calls that were answered, and what happened in them.")


@operation(
    blueprint,
    "GET",
    "/calls",
    scope="calls:read",
    summary="List calls",
    description="The newest first.",
    query=CallQuery,
    page_of=CallSchema,
)
def list_calls(caller: Caller, query: dict[str, Any]) -> Page[CallSummary]:
    """Without their timelines."""
    state = query.pop("state", None)
    wanted = CallFilter(**query, state=None if state is None else CallState(state))
    return services().call_log.list_calls(caller.business_id, wanted, caller.page)


@operation(
    blueprint,
    "GET",
    "/calls/<id:call_id>",
    scope="calls:read",
    summary="Get a call with its timeline",
    answer=CallWithTimelineSchema,
    problems=(404,),
)
def get_call(caller: Caller, call_id: int) -> CallRecord:
    """All that is known of it."""
    return services().call_log.get_call(caller.business_id, call_id)
