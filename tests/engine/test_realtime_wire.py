"""The Realtime API's JSON: every event that the call uses, every command it gives, and what is malformed."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from worker.call import commands as cmd
from worker.call import events as ev
from worker.realtime import wire
from worker.realtime.session_config import SessionConfig
from worker.rehearsal.schema import validate_client_event

DELTA = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
DONE: dict[str, Any] = {
    "type": "response.done",
    "response": {
        "id": "r",
        "status": "failed",
        "status_details": {"type": "failed", "error": {"type": "server_error", "code": "rate_limited"}},
        "output": [
            {"id": "m", "type": "message"},
            {"id": "f", "type": "function_call", "call_id": "c", "name": "n", "arguments": "{"},
        ],
    },
}

EVENTS = [
    (
        {"type": "response.output_audio.delta", **DELTA, "delta": "//////////8="},
        ev.AudioDelta(1.0, 2, "r", "i", 0, "//////////8=", 1.0),
    ),
    (
        {"type": "response.output_audio_transcript.delta", **DELTA, "delta": "Hi"},
        ev.TranscriptDelta(1.0, 2, "r", "i", "Hi"),
    ),
    ({"type": "response.output_audio.done", **DELTA}, ev.AudioDone(1.0, 2, "r")),
    (
        {"type": "input_audio_buffer.speech_started", "item_id": "i", "audio_start_ms": 5},
        ev.SpeechStarted(1.0, 2, "i", 5),
    ),
    (
        {"type": "input_audio_buffer.speech_stopped", "item_id": "i", "audio_end_ms": 9},
        ev.SpeechStopped(1.0, 2, "i", 9),
    ),
    ({"type": "input_audio_buffer.committed", "item_id": "i"}, ev.TurnCommitted(1.0, 2, "i")),
    (
        {"type": "conversation.item.input_audio_transcription.completed", "item_id": "i", "transcript": "yes"},
        ev.TurnTranscribed(1.0, 2, "i", "yes"),
    ),
    (
        {"type": "conversation.item.input_audio_transcription.failed", "item_id": "i", "error": {}},
        ev.TurnTranscribed(1.0, 2, "i", None),
    ),
    (
        {"type": "response.created", "response": {"id": "r", "metadata": {"create_id": "reply_1"}}},
        ev.ResponseCreated(1.0, 2, "r", "reply_1"),
    ),
    (
        {"type": "response.created", "response": {"id": "r", "metadata": None}},
        ev.ResponseCreated(1.0, 2, "r", None),
    ),
    (
        {"type": "response.output_item.added", "response_id": "r", "item": {"id": "i", "type": "message"}},
        ev.ItemAdded(1.0, 2, "r", "i", "message"),
    ),
    (
        DONE,
        ev.ResponseDone(
            1.0,
            2,
            "r",
            ev.ResponseStatus.FAILED,
            ("m", "f"),
            (ev.FunctionCall("f", "c", "n", "{"),),
            "rate_limited",
        ),
    ),
    ({"type": "error", "error": {"code": "x", "event_id": None}}, ev.ApiError(1.0, 2, "x", None)),
    ({"type": "rate_limits.updated", "rate_limits": []}, None),
    ({"type": "something.new"}, None),
]


@pytest.mark.parametrize(
    ("message", "event"), EVENTS, ids=lambda value: getattr(value, "get", lambda _: "")("type")
)
def test_server_event_becomes_the_call_s(message: dict[str, Any], event: ev.Event | None) -> None:
    """With the time and the connection's generation; what the call has no use for is nothing."""
    assert wire.parse(json.dumps(message), 1.0, 2) == event


@pytest.mark.parametrize(
    "message", [message for message, event in EVENTS if event is not None], ids=lambda m: m["type"]
)
def test_any_field_is_missing_or_of_a_wrong_type_event_is_malformed_or_harmless(message: dict[str, Any]) -> None:
    """No nonsense of the peer ever raises anything else."""
    for name in message:
        for wrong in (None, 7, [], {}, "x", True):
            for changed in ({**message, name: wrong}, {k: v for k, v in message.items() if k != name}):
                with contextlib.suppress(wire.MalformedEventError):
                    wire.parse(json.dumps(changed), 1.0, 2)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"7", b'{"type":7}', b"\xff\xfe"])
def test_message_is_no_event_it_is_malformed(raw: bytes) -> None:
    """Not JSON, or no object with a type."""
    if raw == b'{"type":7}':
        assert wire.parse(raw, 0.0, 1) is None
    else:
        with pytest.raises(wire.MalformedEventError):
            wire.parse(raw, 0.0, 1)


COMMANDS = [
    cmd.CreateResponse("e1", "reply_1"),
    cmd.CreateResponse("e1", "reply_1", "Greet."),
    cmd.CancelResponse("e2", "resp_1"),
    cmd.CancelResponse("e2", None),
    cmd.AddItem("e3", {"type": "function_call_output", "call_id": "c", "output": "{}"}),
    cmd.DeleteItem("e4", "item_1"),
    cmd.TruncateItem("e5", "item_1", 0, 1234),
    cmd.CommitAudio("e6"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_command_is_an_event_that_the_api_s_own_types_allow(command: cmd.Command) -> None:
    """Checked strictly against the `openai` package."""
    event = json.loads(wire.encode(command, "The rules."))
    validate_client_event(event)
    assert event["event_id"] == command.event_id  # type: ignore[attr-defined]


def test_reply_with_instructions_keeps_the_session_s() -> None:
    """A response's instructions replace the session's: the hard rules must lead."""
    event = json.loads(wire.encode(cmd.CreateResponse("e", "r", "Greet."), "The rules."))
    assert event["response"]["instructions"] == "The rules.\n\nGreet."


CONFIG = SessionConfig(
    "The rules.", "marin", "en", "gpt-transcribe", [{"type": "function", "name": "t"}], 300, 500
)


def test_session_update_is_what_the_api_s_own_types_allow() -> None:
    """And leaves every response to us."""
    event = json.loads(wire.session_update("configure", CONFIG.update()))
    validate_client_event(event)
    detection = event["session"]["audio"]["input"]["turn_detection"]
    assert detection["create_response"] is False
    assert detection["interrupt_response"] is False
    assert "idle_timeout_ms" not in detection


@pytest.mark.parametrize(
    ("path", "value", "difference"),
    [
        (("audio", "input", "format", "type"), "audio/pcm", "input format"),
        (("audio", "output", "format"), None, "output format"),
        (("audio", "input", "turn_detection", "create_response"), True, "create_response"),
        (("audio", "input", "turn_detection"), None, "interrupt_response"),
        (("tools",), [], "tools"),
        (("audio",), 7, "input format"),
    ],
)
def test_session_is_not_as_asked_the_difference_is_named(
    path: tuple[str, ...], value: Any, difference: str
) -> None:
    """No call is run on a session that answers by itself or speaks another codec."""
    session = json.loads(json.dumps(CONFIG.update()))
    assert CONFIG.differences(session) == []
    place = session
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert difference in CONFIG.differences(session)
