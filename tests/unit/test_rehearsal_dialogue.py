"""The rehearsal's receptionist: text in, words or tool calls out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from worker.rehearsal.speaking.dialogue import (
    ASK_AGAIN,
    ASK_NAME,
    FAREWELL,
    NO_TOOLS,
    NOTHING_OFFERED,
    REHEARSAL,
    Call,
    Say,
    decide,
)
from worker.rehearsal.speaking.phrases import FIRST_NAMES, KNOWN_PHRASES, LAST_NAMES, SENTENCES

TOOLS = [{"name": "check_availability"}, {"name": "schedule_appointment"}]
INSTRUCTIONS = "Today: 2026-11-22\nIt is Sunday."
OFFERS = [
    {"offer_id": "o1", "say": "Monday at nine"},
    {"offer_id": "o2", "say": "Monday at ten"},
    {"offer_id": "o3", "say": "Tuesday at nine"},
]
FOUND = {"success": True, "offers": OFFERS, "say": "I have them."}
BOOKED = {
    "success": True,
    "appointment_id": 12,
    "appointment_number": 1042,
    "say": "You are booked for Monday at ten. Your appointment number is 1 0 4 2.",
}

Item = Mapping[str, Any]


def heard(words: str | None) -> Item:
    return {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": words}]}


def said(words: str | None) -> Item:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": words}]}


def answered(output: Mapping[str, Any]) -> Item:
    return {"type": "function_call_output", "call_id": "c", "output": json.dumps(output)}


def after(*items: Item) -> Say | Call:
    return decide(items, TOOLS, INSTRUCTIONS)


def test_call_begins_the_greeting_is_what_was_asked_for() -> None:
    """And says that it is a rehearsal."""
    greeting = decide([], TOOLS, f"{INSTRUCTIONS}\n\nGreet with exactly these words: «Clinic, hello.»")
    assert greeting == Say(f"{REHEARSAL} Clinic, hello.")


def test_appointment_is_wanted_the_calendar_is_asked() -> None:
    """No time is named before."""
    assert after(heard("i would like to book an appointment please")) == Call("check_availability", {})


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ("what about tomorrow", {"date": "2026-11-23"}),
        ("do you have anything today", {"date": "2026-11-22"}),
        ("what about on sunday", {"date": "2026-11-29"}),
        ("do you have anything on monday at ten o'clock", {"date": "2026-11-23", "time": "10:00"}),
        ("how about two thirty", {"time": "14:30"}),
    ],
)
def test_day_or_time_is_wished_the_calendar_is_asked_for_it(words: str, wish: dict[str, str]) -> None:
    """Today comes from the instructions; a weekday is the next one."""
    assert after(heard(words)) == Call("check_availability", wish)


def test_times_were_found_they_are_offered_in_the_tool_s_words() -> None:
    """All of them, and a question."""
    offer = after(heard("an appointment"), answered(FOUND))
    assert offer == Say("I have Monday at nine; Monday at ten; or Tuesday at nine. Which one would you like?")


def test_wish_was_refused_reason_and_alternatives_are_told() -> None:
    """In the tool's own words."""
    refused = {
        "success": False,
        "code": "taken",
        "say": "That time is taken. I have nine.",
        "alternatives": OFFERS,
    }
    assert after(heard("what about ten"), answered(refused)) == Say(
        "That time is taken. I have nine. Which one would you like?"
    )


def test_offer_is_chosen_the_name_is_asked() -> None:
    """Also when the offers were spoken over: what was said is answered."""
    question = after(heard("an appointment"), answered(FOUND), said(None), heard("the second one please"))
    assert question == Say(f"Monday at ten. {ASK_NAME}")


def test_name_is_given_the_chosen_offer_is_booked() -> None:
    """With the offer's id and the name, and nothing guessed."""
    items = [heard("an appointment"), answered(FOUND), heard("the second one"), said(ASK_NAME)]
    assert after(*items, heard("my name is dana levy")) == Say(ASK_AGAIN)
    booking = after(*items, heard("my name is david cohen"))
    assert booking == Call("schedule_appointment", {"offer_id": "o2", "customer_name": "David Cohen"})


def test_row_is_committed_the_number_is_told_digit_by_digit() -> None:
    """Only what the tool said, and its number."""
    told = after(heard("my name is david cohen"), answered(BOOKED))
    assert told == Say("You are booked for Monday at ten. Your appointment number is", "1042")


def test_booking_failed_nothing_is_claimed() -> None:
    """The tool's words alone."""
    failed = {"success": False, "code": "calendar_unavailable", "say": "I can't reach the calendar."}
    assert after(heard("my name is david cohen"), answered(failed)) == Say("I can't reach the calendar.")


def test_already_booked_the_name_again_books_nothing() -> None:
    """One booking a choice."""
    items = [heard("an appointment"), answered(FOUND), heard("the first one"), heard("my name is david cohen")]
    assert not isinstance(after(*items, answered(BOOKED), heard("my name is david cohen")), Call)


def test_name_comes_before_any_offer_the_caller_is_asked_what_they_want() -> None:
    """A name alone is no wish."""
    assert after(heard("my name is david cohen")) == Say(NOTHING_OFFERED)


@pytest.mark.parametrize("words", [None, "", "gibberish"])
def test_caller_was_not_understood_it_is_said(words: str | None) -> None:
    """And asked again, never guessed."""
    assert after(heard(words)) == Say(ASK_AGAIN)


def test_caller_asks_to_repeat_the_last_thing_is_said_again() -> None:
    """Whatever it was."""
    items = (heard("an appointment"), answered(FOUND))
    assert after(*items, said("…"), heard("please repeat that")) == after(*items)


def test_caller_says_goodbye_so_does_the_bot() -> None:
    """The caller hangs up."""
    assert after(heard("thank you goodbye")) == Say(FAREWELL)


def test_there_are_no_tools_nothing_is_offered() -> None:
    """As with `call_goal = message`."""
    assert decide([heard("an appointment")], [], INSTRUCTIONS) == Say(NO_TOOLS)


def test_names_and_phrases_stand_in_the_grammar() -> None:
    """What is shown to people is what can be heard."""
    assert all(name in SENTENCES for name in (*FIRST_NAMES, *LAST_NAMES))
    shown = " ".join(KNOWN_PHRASES).lower().replace(",", "").split()
    known = set(SENTENCES.replace("[", " ").replace("]", " ").replace("(", " ").replace(")", " ").split())
    assert set(shown) <= {word.strip(";") for word in known}
