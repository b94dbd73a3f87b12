"""What the model may do. `call_goal` decides which tools exist in a call, and nothing else does.

The model is untrusted: its arguments are checked against the tool's schema, and who the business, the call and
the caller are comes from the call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
import structlog
from marshmallow import Schema, ValidationError, fields

from app.domain.appointments import AppointmentDetails, BookAppointment, FindSlots, FreeSlot, SlotSearch
from app.domain.calls import CallBriefing, CallGoal
from app.errors import MoedError, OutcomeUnknown
from worker.tools import refusals

log = structlog.get_logger(__name__)

Result = dict[str, Any]
MOST_CALLS = 30
LONGEST_ARGUMENTS = 4000


class Calendar(Protocol):
    """The scheduling service, as the tools use it."""

    def find_slots(self, query: FindSlots) -> SlotSearch: ...

    def book_appointment(self, command: BookAppointment) -> AppointmentDetails: ...


@dataclass(slots=True)
class ToolContext:
    """What a call's tools share: whose call it is, and what was offered in it."""

    briefing: CallBriefing
    calendar: Calendar
    offers: dict[str, FreeSlot] = field(default_factory=dict)
    booked: dict[tuple[str, str], Result] = field(default_factory=dict)
    outcome_unknown: bool = False

    @property
    def language(self) -> str:
        return self.briefing.business.language


@dataclass(frozen=True, slots=True)
class Tool:
    """One function of the model's. `run(context, tool_call_id, arguments)` gets arguments that fit `schema`."""

    name: str
    description: str
    schema: Schema
    run: Callable[[ToolContext, str, Mapping[str, Any]], Result]

    def definition(self) -> Result:
        """As the Realtime API wants it; the JSON schema is derived from the one that checks the arguments."""
        properties = {name: _property(item) for name, item in self.schema.fields.items()}
        required = [name for name, item in self.schema.fields.items() if item.required]
        parameters = {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }
        return {"type": "function", "name": self.name, "description": self.description, "parameters": parameters}


class Toolbox:
    """The tools of one call."""

    def __init__(self, context: ToolContext, tools: Mapping[CallGoal, tuple[Tool, ...]]) -> None:
        self._context = context
        self._tools = {tool.name: tool for tool in tools.get(context.briefing.business.call_goal, ())}
        self._calls = 0

    @property
    def definitions(self) -> list[Result]:
        return [tool.definition() for tool in self._tools.values()]

    @property
    def names(self) -> list[str]:
        return list(self._tools)

    def run(self, tool_call_id: str, name: str, arguments: str) -> str:
        """Run one call of the model's; the answer is JSON whatever happens."""
        return orjson.dumps(self._run(tool_call_id, name, arguments)).decode()

    def timed_out(self, name: str) -> str:
        """The answer when the deadline came first. Nothing was written: a deadline that falls into a COMMIT is
        not a timeout but `OutcomeUnknown` (see `app.services.database`)."""
        log.warning("tool timed out", tool=name, call_id=self._context.briefing.call_id)
        return orjson.dumps(refusals.by_code("calendar_unavailable", self._context.language)).decode()

    def _run(self, tool_call_id: str, name: str, arguments: str) -> Result:
        language, call_id = self._context.language, self._context.briefing.call_id
        self._calls += 1
        tool = self._tools.get(name)
        if tool is None:
            log.warning("unknown tool called", call_id=call_id)
            return refusals.by_code("unknown_tool", language)
        if self._calls > MOST_CALLS:
            return refusals.by_code("too_many_calls", language)
        try:
            values = tool.schema.loads(arguments[:LONGEST_ARGUMENTS] or "{}")
        except (ValidationError, ValueError) as error:
            return refusals.invalid_arguments(error, language)
        began = time.monotonic()
        try:
            result = tool.run(self._context, tool_call_id, values)
        except MoedError as error:
            self._context.outcome_unknown = self._context.outcome_unknown or isinstance(error, OutcomeUnknown)
            log.warning("tool refused", tool=name, code=error.code, call_id=call_id)
            return refusals.for_model(error, language)
        log.debug("tool ran", tool=name, call_id=call_id, took_ms=round((time.monotonic() - began) * 1000))
        return result


_FORMATS: dict[type[fields.Field[Any]], Mapping[str, str]] = {
    fields.Date: {"format": "date"},
    fields.Time: {"pattern": "^[0-2][0-9]:[0-5][0-9]$"},
}


def _property(item: fields.Field[Any]) -> Result:
    return {"type": "string", **_FORMATS.get(type(item), {}), "description": item.metadata["description"]}
