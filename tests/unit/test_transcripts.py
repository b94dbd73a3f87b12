"""A timeline without words: what goes, what stays, and that the next stream can still be told of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.domain.calls import TimelineEntry
from app.domain.transcripts import without_words
from worker.call.history import Done
from worker.plan import said_and_done

BOOKED = {"success": True, "appointment_id": 7, "appointment_number": 1001, "say": "You are booked, Dana."}


def tool_call(output: object) -> dict[str, Any]:
    return {
        "tool_call_id": "call_1",
        "name": "schedule_appointment",
        "arguments": '{"customer_name": "Dana"}',
        "output": output,
        "took_ms": 31,
    }


@pytest.mark.parametrize(
    ("kind", "data", "left"),
    [
        ("caller_turn", {"text": "I am Dana", "until_ms": 900, "noise": False}, {"until_ms": 900, "noise": False}),
        (
            "bot_turn",
            {"text": "Hello Dana", "heard": "Hello", "heard_ms": 500, "sent_ms": 900},
            {"heard_ms": 500, "sent_ms": 900},
        ),
        (
            "barge_in",
            {"heard": "Hello", "playing": True, "response_id": "r1"},
            {"playing": True, "response_id": "r1"},
        ),
        ("recorded_sentence", {"name": "apology", "reason": "lost"}, {"name": "apology", "reason": "lost"}),
        ("call_started", {}, {}),
        ("a_new_kind", {"name": "Dana", "nested": {"ms": 1}, "list": ["Dana"], "ms": 1}, {"ms": 1}),
    ],
)
def test_words_go_and_measures_stay(kind: str, data: dict[str, Any], left: dict[str, Any]) -> None:
    """Of a kind that nobody has thought of, numbers alone."""
    assert without_words(kind, data) == left
    assert without_words(kind, left) == left


def test_a_tool_call_keeps_its_outcome() -> None:
    """Whether it succeeded and what it made; not what was given or said."""
    left = without_words("tool_call", tool_call(json.dumps(BOOKED)))
    assert json.loads(left.pop("output")) == {"success": True, "appointment_id": 7, "appointment_number": 1001}
    assert left == {
        "tool_call_id": "call_1",
        "name": "schedule_appointment",
        "arguments": "{}",
        "took_ms": 31,
    }


@pytest.mark.parametrize("output", ["Dana", "[1]", '"Dana"', None, 7, {"say": "Dana"}])
def test_an_output_that_is_no_object_leaves_nothing(output: object) -> None:
    """It may hold anything."""
    assert without_words("tool_call", tool_call(output))["output"] == "{}"


def test_the_next_stream_is_told_of_a_tool_call_without_words() -> None:
    """What was booked must not be booked again."""
    entry = TimelineEntry(5, "tool_call", without_words("tool_call", tool_call(json.dumps(BOOKED))))
    [told] = said_and_done(
        [entry, TimelineEntry(6, "caller_turn", {"noise": False}), TimelineEntry(7, "bot_turn")]
    )
    assert isinstance(told, Done)
    assert json.loads(told.output)["appointment_number"] == 1001
