"""What the rehearsal's receptionist says and does: rules over the conversation so far, nothing remembered.

It plays by the same rules as the model: a time only from `check_availability`, "booked" only after
`schedule_appointment` succeeded. Names that it does not know it asks for again, and never guesses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from worker.rehearsal.speaking.phrases import (
    FIRST_NAMES,
    HOURS,
    LAST_NAMES,
    MINUTES,
    ORDINALS,
    WEEKDAYS,
)

Item = Mapping[str, Any]

REHEARSAL = "This is a rehearsal."
ASK_AGAIN = "Sorry, I did not understand that. Please say it again."
ASK_NAME = "What is your first and last name?"
NO_TOOLS = "I am sorry, I can't take appointments on this line."
NOTHING_OFFERED = "Would you like to book an appointment?"
FAREWELL = "Thank you for calling. Goodbye."


@dataclass(frozen=True, slots=True)
class Say:
    """Words; `number` is spoken after them, digit by digit."""

    text: str
    number: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call."""

    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _State:
    """What the conversation has come to."""

    offers: Sequence[Mapping[str, str]] = ()
    chosen: Mapping[str, str] | None = None
    name: str = ""
    booked: bool = False


def decide(items: Sequence[Item], tools: Sequence[Mapping[str, Any]], instructions: str) -> Say | Call:
    """The next thing to say or do. `items` are the conversation's, in order; `instructions` the effective ones."""
    turns = [item for item in items if item.get("role") == "user" or item["type"] == "function_call_output"]
    if not turns:
        return Say(f"{REHEARSAL} {_greeting(instructions)}")
    if not {"check_availability", "schedule_appointment"} <= {tool["name"] for tool in tools}:
        return Say(NO_TOOLS)
    last = turns[-1]
    if last["type"] == "function_call_output":
        return _after_tool(json.loads(last["output"]))
    words = _words(last)
    if "repeat" in words or "again" in words:
        before = list(items[: items.index(last)])
        return decide(before, tools, instructions)
    return _after_turn(words, _read(items), instructions)


def _after_turn(words: Sequence[str], state: _State, instructions: str) -> Say | Call:
    wish = _wish(words, _today(instructions))
    if "goodbye" in words or "thank" in words:
        return Say(FAREWELL)
    if wish:
        return Call("check_availability", wish)
    if "appointment" in words:
        return Call("check_availability")
    if state.chosen is not None and state.name and not state.booked:
        return Call("schedule_appointment", {"offer_id": state.chosen["offer_id"], "customer_name": state.name})
    if _ordinal(words) is not None and state.chosen is not None:
        return Say(f"{state.chosen['say']}. {ASK_NAME}")
    if _name(words):
        return Say(NOTHING_OFFERED) if not state.offers else Say(_offer(state.offers))
    return Say(ASK_AGAIN)


def _after_tool(output: Mapping[str, Any]) -> Say:
    offers = output.get("offers") or output.get("alternatives") or ()
    if output.get("success") and "appointment_number" in output:
        text, _, _ = str(output["say"]).rpartition(" number is ")
        return Say(f"{text} number is", str(output["appointment_number"]))
    if output.get("success"):
        return Say(_offer(offers))
    return Say(f"{output['say']} Which one would you like?" if offers else str(output["say"]))


def _offer(offers: Sequence[Mapping[str, str]]) -> str:
    *first, last = [offer["say"] for offer in offers]
    times = f"{'; '.join(first)}; or {last}" if first else last
    return f"I have {times}. Which one would you like?"


def _read(items: Sequence[Item]) -> _State:
    state = _State()
    for item in items:
        if item["type"] == "function_call_output":
            output = json.loads(item["output"])
            offers = output.get("offers") or output.get("alternatives")
            if offers:
                state.offers, state.chosen = offers, None
            state.booked = state.booked or bool(output.get("success") and "appointment_id" in output)
        elif item.get("role") == "user":
            words = _words(item)
            ordinal = _ordinal(words)
            if ordinal is not None and ordinal < len(state.offers):
                state.chosen = state.offers[ordinal]
            state.name = _name(words) or state.name
    return state


def _words(item: Item) -> list[str]:
    """What the caller said; nothing when it was not understood."""
    texts = [part.get("transcript") or part.get("text") or "" for part in item["content"]]
    return " ".join(texts).lower().replace(",", " ").split()


def _ordinal(words: Sequence[str]) -> int | None:
    return next((ORDINALS[word] for word in words if word in ORDINALS), None)


def _name(words: Sequence[str]) -> str:
    for first, last in pairwise(words):
        if first in FIRST_NAMES and last in LAST_NAMES:
            return f"{first} {last}".title()
    return ""


def _wish(words: Sequence[str], today: date) -> dict[str, str]:
    """The day and time that were asked for, as the tool wants them."""
    wish = {}
    for word in words:
        if word in ("today", "tomorrow"):
            wish["date"] = (today + timedelta(days=word == "tomorrow")).isoformat()
        elif word in WEEKDAYS:
            ahead = (WEEKDAYS.index(word) - today.weekday()) % 7 or 7
            wish["date"] = (today + timedelta(days=ahead)).isoformat()
    for hour, minute in pairwise(words):
        if hour in HOURS and minute in MINUTES:
            wish["time"] = f"{HOURS[hour]:02}:{MINUTES[minute]:02}"
    return wish


def _greeting(instructions: str) -> str:
    """The words that the instructions quote."""
    quoted = re.search("«(.+?)»", instructions)
    return quoted[1] if quoted else "Hello."


def _today(instructions: str) -> date:
    found = re.search(r"^Today: (\d{4}-\d{2}-\d{2})", instructions, re.MULTILINE)
    if found is None:
        raise ValueError("the instructions do not say what day it is")
    return date.fromisoformat(found[1])
