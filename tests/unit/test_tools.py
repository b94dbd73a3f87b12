"""The model's tools: arguments that nobody may trust, offers of this call alone, and what is said of a booking."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.appointments import (
    AppointmentDetails,
    BookAppointment,
    FindSlots,
    FreeSlot,
    SlotSearch,
    Source,
    Status,
)
from app.domain.calls import BusinessProfile, CallBriefing, CallGoal
from app.errors import CalendarUnavailable, MoedError, OutcomeUnknown, SlotRefused, SlotTaken
from worker.prompts.instructions import build_instructions
from worker.tools import refusals
from worker.tools.goals import TOOLS
from worker.tools.registry import MOST_CALLS, Toolbox, ToolContext

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


def slot(hours: float) -> FreeSlot:
    starts_at = NOW + timedelta(hours=hours)
    return FreeSlot(starts_at, starts_at + timedelta(minutes=30), 1)


class FakeCalendar:
    """Offers `free`, books what it is told; `error` is raised instead. Remembers what it was asked."""

    def __init__(self, error: MoedError | None = None) -> None:
        self.free = (slot(1), slot(2))
        self.refusal_code: str | None = None
        self.error = error
        self.queries: list[FindSlots] = []
        self.commands: list[BookAppointment] = []

    def find_slots(self, query: FindSlots) -> SlotSearch:
        self.queries.append(query)
        return SlotSearch(self.free, self.refusal_code)

    def book_appointment(self, command: BookAppointment) -> AppointmentDetails:
        self.commands.append(command)
        if self.error is not None:
            raise self.error
        return AppointmentDetails(
            id=12,
            business_id=command.business_id,
            number=1042,
            resource_id=1,
            starts_at=command.starts_at,
            ends_at=command.starts_at + timedelta(minutes=30),
            status=Status.CONFIRMED,
            source=Source.VOICE,
            customer_name=command.customer_name,
        )


def profile(goal: CallGoal = CallGoal.APPOINTMENT, language: str = "en") -> BusinessProfile:
    return BusinessProfile(
        id=7,
        name="Clinic",
        timezone="Asia/Jerusalem",
        language=language,
        call_goal=goal,
        greeting="Hello",
        instructions="Parking is behind the house.",
        voice="marin",
        barge_in_enabled=True,
        barge_in_after_greeting=False,
        silence_timeout_ms=8000,
        max_call_minutes=20,
    )


def toolbox(calendar: FakeCalendar, **kind: Any) -> Toolbox:
    briefing = CallBriefing(3, "CA1", profile(**kind), 1, "+972525551234")
    return Toolbox(ToolContext(briefing, calendar), TOOLS)


def run(tools: Toolbox, name: str, tool_call_id: str = "c1", **arguments: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(tools.run(tool_call_id, name, json.dumps(arguments)))
    return result


def test_goal_is_appointment_calendar_tools_are_registered_and_else_none() -> None:
    """`call_goal` is the one switch."""
    assert toolbox(FakeCalendar()).names == ["check_availability", "schedule_appointment"]
    assert toolbox(FakeCalendar(), goal=CallGoal.MESSAGE).names == []


def test_goal_is_message_calling_a_calendar_tool_books_nothing() -> None:
    """A model that calls what it was not given is told so."""
    calendar = FakeCalendar()
    assert (
        run(toolbox(calendar, goal=CallGoal.MESSAGE), "schedule_appointment", offer_id="o1")["code"]
        == "unknown_tool"
    )
    assert calendar.commands == []


def test_availability_gives_offers_with_words() -> None:
    """Ids for the model, sentences for the caller, in the business's zone."""
    answer = run(toolbox(FakeCalendar()), "check_availability")
    assert [offer["offer_id"] for offer in answer["offers"]] == ["o1", "o2"]
    assert answer["offers"][0]["say"] == "Sunday, November 22 at 9:00 AM"
    assert answer["say"] == "I have Sunday, November 22 at 9:00 AM or Sunday, November 22 at 10:00 AM."


def test_wish_is_refused_reason_and_alternatives_are_told() -> None:
    """The model never invents a reason."""
    calendar = FakeCalendar()
    calendar.refusal_code = "closed_date"
    answer = run(toolbox(calendar), "check_availability", date="2026-12-25", time="10:00")
    assert (answer["success"], answer["code"]) == (False, "closed_date")
    assert len(answer["alternatives"]) == 2
    assert str(calendar.queries[0].day) == "2026-12-25"
    assert str(calendar.queries[0].at) == "10:00:00"


def test_offer_is_booked_with_the_call_s_own_identity() -> None:
    """Business, caller, call and key come from the call; the answer carries the committed row."""
    calendar = FakeCalendar()
    tools = toolbox(calendar)
    run(tools, "check_availability")
    answer = run(tools, "schedule_appointment", "c2", offer_id="o2", customer_name="  Dana   Levi ")
    (command,) = calendar.commands
    assert (command.business_id, command.call_id, command.customer_phone) == (7, 3, "+972525551234")
    assert (command.starts_at, command.customer_name) == (slot(2).starts_at, "Dana Levi")
    assert command.idempotency_key == "CA1:c2"
    assert answer == {
        "success": True,
        "appointment_id": 12,
        "appointment_number": 1042,
        "say": "You are booked for Sunday, November 22 at 10:00 AM. Your appointment number is 1 0 4 2.",
    }


def test_offer_was_never_made_the_model_must_check_first() -> None:
    """An invented offer books nothing."""
    calendar = FakeCalendar()
    assert (
        run(toolbox(calendar), "schedule_appointment", offer_id="o1", customer_name="Dana")["code"]
        == "check_first"
    )
    assert calendar.commands == []


def test_same_offer_and_name_again_is_the_same_booking() -> None:
    """A model that repeats itself does not book twice."""
    calendar = FakeCalendar()
    tools = toolbox(calendar)
    run(tools, "check_availability")
    first = run(tools, "schedule_appointment", "c2", offer_id="o1", customer_name="Dana Levi")
    again = run(tools, "schedule_appointment", "c3", offer_id="o1", customer_name="dana levi")
    assert first == again
    assert len(calendar.commands) == 1


ERRORS = [
    (SlotTaken("gone", [slot(3)]), "slot_taken"),
    (SlotRefused("daily_limit", "full", [slot(3)]), "daily_limit"),
    (CalendarUnavailable("down"), "calendar_unavailable"),
    (OutcomeUnknown("lost"), "outcome_unknown"),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=[code for _, code in ERRORS])
def test_booking_fails_the_answer_says_so(error: MoedError, code: str) -> None:
    """`success` is false, and there are words for it."""
    tools = toolbox(FakeCalendar(error))
    run(tools, "check_availability")
    answer = run(tools, "schedule_appointment", offer_id="o1", customer_name="Dana")
    assert (answer["success"], answer["code"]) == (False, code)
    assert answer["say"]
    assert "appointment_id" not in answer


def test_slot_was_taken_alternatives_are_new_offers() -> None:
    """They can be booked at once."""
    calendar = FakeCalendar(SlotTaken("gone", [slot(3)]))
    tools = toolbox(calendar)
    run(tools, "check_availability")
    (offer,) = run(tools, "schedule_appointment", offer_id="o1", customer_name="Dana")["alternatives"]
    calendar.error = None
    assert run(tools, "schedule_appointment", "c4", offer_id=offer["offer_id"], customer_name="Dana")["success"]


def test_outcome_is_unknown_nothing_more_is_booked_in_this_call() -> None:
    """A second try might book twice."""
    calendar = FakeCalendar(OutcomeUnknown("lost"))
    tools = toolbox(calendar)
    run(tools, "check_availability")
    run(tools, "schedule_appointment", offer_id="o1", customer_name="Dana")
    calendar.error = None
    assert (
        run(tools, "schedule_appointment", "c9", offer_id="o2", customer_name="Dana")["code"] == "outcome_unknown"
    )
    assert len(calendar.commands) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        '{"offer_id": 7, "customer_name": "x"}',
        '{"offer_id": "o1"}',
        '{"offer_id": "o1", "customer_name": ""}',
        '{"offer_id": "o1", "customer_name": "x", "business_id": 8}',
        '{"offer_id": "o1", "customer_name": "' + "x" * 5000,
    ],
)
def test_arguments_are_nonsense_nothing_happens(arguments: str) -> None:
    """Partial JSON, wrong types, another tenant's id: the model is told which."""
    calendar = FakeCalendar()
    tools = toolbox(calendar)
    run(tools, "check_availability")
    answer = json.loads(tools.run("c1", "schedule_appointment", arguments))
    assert answer["code"] == "invalid_arguments"
    assert answer["fields"]
    assert calendar.commands == []


@pytest.mark.parametrize(
    "bad", [{"date": "tomorrow"}, {"date": "2026-02-30"}, {"time": "25:00"}, {"time": "9"}, {"day": "x"}]
)
def test_date_or_time_is_no_date_or_time_it_is_refused(bad: dict[str, str]) -> None:
    """The field is named, so that the model can mend it."""
    calendar = FakeCalendar()
    answer = run(toolbox(calendar), "check_availability", **bad)
    assert set(answer["fields"]) == set(bad)
    assert calendar.queries == []


def test_model_calls_without_end_the_tools_stop() -> None:
    """Thirty calls are enough for anybody."""
    calendar = FakeCalendar()
    tools = toolbox(calendar)
    codes = [run(tools, "check_availability").get("code") for _ in range(MOST_CALLS + 1)]
    assert codes == [None] * MOST_CALLS + ["too_many_calls"]


def test_every_code_has_words_in_every_language() -> None:
    """The model speaks the caller's language, in refusals too."""
    for code, sentences in refusals.SENTENCES.items():
        assert set(sentences) == {"en", "he"}, code
        assert all(sentences.values()), code


def test_definitions_are_json_schemas_that_allow_nothing_else() -> None:
    """What checks the arguments is what the model is told."""
    for definition in toolbox(FakeCalendar()).definitions:
        assert definition["parameters"]["additionalProperties"] is False
        assert all(p["description"] for p in definition["parameters"]["properties"].values())


@pytest.mark.parametrize("language", ["en", "he"])
def test_instructions_hold_the_hard_rules_and_today(language: str) -> None:
    """In both languages, with the business's own day and words."""
    text = build_instructions(profile(language=language), datetime(2026, 11, 22, 23, 0, tzinfo=UTC))
    assert "Today: 2026-11-23" in text
    assert "check_availability" in text
    assert '"success": true' in text
    assert "appointment_id" in text
    assert "Parking is behind the house." in text


@pytest.mark.parametrize("language", ["en", "he"])
def test_goal_is_message_instructions_name_no_calendar_tool(language: str) -> None:
    """And forbid to claim a booking."""
    text = build_instructions(profile(CallGoal.MESSAGE, language), NOW)
    assert "schedule_appointment" not in text
