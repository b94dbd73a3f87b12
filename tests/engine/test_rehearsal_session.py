"""The session: configuration, items, refusals."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.fakes.rehearsal import MANUAL_VAD, PCMU, VirtualClient
from worker.rehearsal.brain import CallTool
from worker.rehearsal.scripted import Script, reply, says, silence, tone

ASSISTANT_AUDIO = [{"type": "output_audio", "transcript": "Hello."}]


def spoken(ms: int = 1000) -> tuple[VirtualClient, str]:
    """A session with one spoken item of so many ms, and the item's id."""
    client = VirtualClient(Script(replies=[reply(says("Hello there.", ms))])).configure()
    client.create()
    client.advance(5000)
    return client, client.last("response.output_audio.done")["item_id"]


def truncate(client: VirtualClient, item_id: str, audio_end_ms: int) -> None:
    client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=audio_end_ms)


def item_ids(client: VirtualClient) -> list[str]:
    return [item.id for item in client.session.conversation]


def test_a_new_session_shows_its_defaults() -> None:
    """As recorded: 24 kHz, server VAD that responds by itself, no transcription."""
    session = VirtualClient().last("session.created")["session"]
    assert session["object"] == "realtime.session"
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session["audio"]["input"]["transcription"] is None
    assert session["audio"]["input"]["turn_detection"]["create_response"] is True


def test_an_update_changes_only_what_it_names_and_answers_with_all() -> None:
    """Partial semantics; the answer names no event of the client's."""
    client = VirtualClient()
    client.send("session.update", event_id="cfg-1", session={"type": "realtime", "instructions": "Be brief."})
    assert client.events("session.updated") == []
    client.advance(65)
    session = client.last("session.updated")["session"]
    assert session["instructions"] == "Be brief."
    assert session["audio"] == client.last("session.created")["session"]["audio"]
    assert "cfg-1" not in json.dumps(client.last("session.updated"))


def test_turn_detection_is_replaced_and_completed_by_defaults() -> None:
    """An object is replaced as a whole."""
    client = VirtualClient().configure(MANUAL_VAD)
    client.update(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 700}}})
    client.advance(100)
    detection = client.last("session.updated")["session"]["audio"]["input"]["turn_detection"]
    assert detection["silence_duration_ms"] == 700
    assert detection["prefix_padding_ms"] == 300
    assert detection["create_response"] is True


def test_null_and_empty_clear() -> None:
    """`turn_detection: null`, `tools: []`, `transcription: null`."""
    client = VirtualClient().configure(tools=[{"type": "function", "name": "find"}])
    client.update(tools=[], audio={"input": {"turn_detection": None, "transcription": None}})
    client.advance(100)
    session = client.last("session.updated")["session"]
    assert session["tools"] == []
    assert session["audio"]["input"]["turn_detection"] is None
    assert session["audio"]["input"]["transcription"] is None


def test_an_empty_instruction_brings_the_servers_own_back() -> None:
    """As recorded in a seeded session."""
    client = VirtualClient().configure(instructions="Be brief.")
    client.update(instructions="")
    client.advance(100)
    default = client.last("session.created")["session"]["instructions"]
    assert client.last("session.updated")["session"]["instructions"] == default


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
        ({"max_output_tokens": 5000}, "session.max_output_tokens"),
        ({"audio": {"output": {"speed": 2.0}}}, "session.audio.output.speed"),
        ({"tools": [{"type": "function"}]}, "session.tools[0].name"),
        ({"tools": [{"type": "function", "name": "find it"}]}, "session.tools[0].name"),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 1.5}}}},
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 100}}}},
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        ({"model": "gpt-other"}, "session.model"),
    ],
)
def test_an_update_out_of_range_is_refused_whole(session: dict[str, Any], param: str) -> None:
    """Nothing of it is taken, the session lives."""
    client = VirtualClient()
    client.update(instructions="Never.", **session)
    client.advance(100)
    assert client.error["param"] == param
    assert client.events("session.updated") == []
    assert client.session.config.wire["instructions"] != "Never."


def test_the_voice_is_locked_after_the_first_audio() -> None:
    """Repeating it is no change."""
    client, _ = spoken()
    client.update(audio={"output": {"voice": "cedar"}})
    assert client.error["code"] == "cannot_update_voice"
    client.update(audio={"output": {"voice": "marin"}})
    client.advance(100)
    assert client.last("session.updated")["session"]["audio"]["output"]["voice"] == "marin"


def test_the_voice_can_change_before_any_audio() -> None:
    """Text locks nothing."""
    client = VirtualClient().configure(output_modalities=["text"])
    client.create()
    client.advance(5000)
    client.update(audio={"output": {"voice": "cedar"}})
    assert client.session.refusals == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_json"),
        (b'{"type":"response.create"}', "invalid_event"),
        ("[]", "invalid_event"),
        ('"response.create"', "invalid_event"),
        ('{"event_id":"e"}', "invalid_event"),
        ('{"type":"response.destroy","event_id":"e"}', "invalid_value"),
        ('{"type":["response.create"]}', "invalid_event"),
    ],
)
def test_nonsense_is_answered_and_the_session_lives(message: str | bytes, code: str) -> None:
    """Bad JSON, a binary frame, no object, no type, an unknown type."""
    client = VirtualClient().configure()
    client.session.receive(message)
    assert client.error["type"] == "invalid_request_error"
    assert client.error["code"] == code
    client.create()
    client.advance(5000)
    assert client.last("response.done")["response"]["status"] == "completed"


def test_an_error_names_the_clients_event() -> None:
    """`error.event_id` is theirs, `event_id` the server's."""
    client = VirtualClient()
    client.send("response.cancel", event_id="mine-1")
    assert client.error["event_id"] == "mine-1"
    assert client.last("error")["event_id"] != "mine-1"


def test_an_output_buffer_clear_is_not_for_websockets() -> None:
    """Protocol 1.4: WebRTC and SIP only."""
    client = VirtualClient()
    client.send("output_audio_buffer.clear")
    assert client.error["code"] == "unsupported_by_rehearsal_engine"


def test_items_form_a_chain() -> None:
    """At the end, after `root`, after an id; each added and done at once."""
    client = VirtualClient()
    client.say_item("one", id="one")
    client.say_item("two", id="two")
    client.send("conversation.item.create", previous_item_id="root", item=text_item("first"))
    client.send("conversation.item.create", previous_item_id="one", item=text_item("between"))
    assert item_ids(client) == ["first", "one", "between", "two"]
    assert [event["previous_item_id"] for event in client.events("conversation.item.added")] == [
        None,
        "one",
        None,
        "one",
    ]
    assert client.types[-2:] == ["conversation.item.added", "conversation.item.done"]


def text_item(item_id: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": item_id}]
    return {"id": item_id, "type": "message", "role": "user", "content": content}


def test_the_chain_closes_behind_a_deleted_item() -> None:
    """The next item follows the one before it."""
    client = VirtualClient()
    client.say_item("one", id="one")
    client.say_item("two", id="two")
    client.send("conversation.item.delete", item_id="two")
    client.say_item("three", id="three")
    assert client.last("conversation.item.deleted")["item_id"] == "two"
    assert client.last("conversation.item.added")["previous_item_id"] == "one"


@pytest.mark.parametrize("kind", ["retrieve", "delete"])
def test_an_unknown_item_is_refused(kind: str) -> None:
    """By its parameter."""
    client = VirtualClient()
    client.send(f"conversation.item.{kind}", item_id="nobody")
    assert (client.error["code"], client.error["param"]) == ("item_not_found", "item_id")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"previous_item_id": "nobody", "item": text_item("x")}, "item_not_found", "previous_item_id"),
        ({"item": text_item("one")}, "invalid_value", "item.id"),
        (
            {"item": {"type": "function_call_output", "call_id": "call_1", "output": ""}},
            "invalid_tool_call_id",
            None,
        ),
        (
            {"item": {"type": "function_call_output", "call_id": "call/1", "output": ""}},
            "invalid_value",
            "item.call_id",
        ),
        (
            {"item": {"type": "message", "role": "assistant", "content": ASSISTANT_AUDIO}},
            "missing_required_parameter",
            "item.content[0].text",
        ),
        (
            {"item": {"type": "message", "role": "user", "content": [{"text": "x"}]}},
            "missing_required_parameter",
            "item.content[0].type",
        ),
        (
            {"item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": ""}]}},
            "unsupported_by_rehearsal_engine",
            "item.content[0].type",
        ),
    ],
)
def test_an_item_that_cannot_be_created_is_refused(fields: dict[str, Any], code: str, param: str | None) -> None:
    """Unknown neighbours, taken ids, outputs of no call, an assistant's audio."""
    client = VirtualClient()
    client.say_item("one", id="one")
    client.send("conversation.item.create", **fields)
    assert (client.error["code"], client.error["param"]) == (code, param)
    assert item_ids(client) == ["one"]


def test_history_can_be_seeded() -> None:
    """User and assistant text, a call and its output: what a new connection is given after a loss."""
    client = VirtualClient()
    client.say_item("tomorrow please")
    content = [{"type": "output_text", "text": "One moment."}]
    client.send("conversation.item.create", item={"type": "message", "role": "assistant", "content": content})
    call = {"type": "function_call", "call_id": "call_1", "name": "find", "arguments": "{}"}
    client.send("conversation.item.create", item=call)
    output = {"type": "function_call_output", "call_id": "call_1", "output": "{}"}
    client.send("conversation.item.create", item=output)
    assert client.session.refusals == []
    client.configure().create()
    client.advance(1000)
    (request,) = client.requests
    assert [item["type"] for item in request.items] == [
        "message",
        "message",
        "function_call",
        "function_call_output",
    ]


def test_a_spoken_item_can_be_truncated_up_to_its_end() -> None:
    """The transcript goes; the whole length is allowed."""
    client, item_id = spoken(1000)
    truncate(client, item_id, 1000)
    truncate(client, item_id, 400)
    assert client.session.refusals == []
    assert client.last("conversation.item.truncated")["audio_end_ms"] == 400
    client.send("conversation.item.retrieve", item_id=item_id)
    assert client.last("conversation.item.retrieved")["item"]["content"][0]["transcript"] is None


def test_a_truncation_past_the_end_is_refused() -> None:
    """Also past the end of an earlier truncation."""
    client, item_id = spoken(1000)
    truncate(client, item_id, 1001)
    assert client.error["message"] == "Audio content of 1000ms is already shorter than 1001ms"
    truncate(client, item_id, 500)
    truncate(client, item_id, 600)
    assert client.error["message"] == "Audio content of 500ms is already shorter than 600ms"


def test_a_negative_truncation_is_refused() -> None:
    """With its own code and parameter."""
    client, item_id = spoken()
    truncate(client, item_id, -1)
    assert (client.error["code"], client.error["param"]) == ("integer_below_min_value", "audio_end_ms")


def test_only_the_models_audio_can_be_truncated() -> None:
    """Not a caller's item, not a seeded one, not one of which no audio was sent yet."""
    client = VirtualClient().configure()
    client.say_item("hello", id="caller")
    truncate(client, "caller", 0)
    client.create()
    client.advance(93 + 310 + 50)
    assert client.events("response.output_audio.delta") == []
    truncate(client, client.last("response.output_item.added")["item"]["id"], 0)
    messages = [error["message"] for error in client.session.refusals]
    assert messages == ["Only model output audio messages can be truncated"] * 2


def test_a_deleted_spoken_item_can_not_be_truncated() -> None:
    """It is not found."""
    client, item_id = spoken()
    client.send("conversation.item.delete", item_id=item_id)
    truncate(client, item_id, 100)
    assert client.error["code"] == "item_not_found"


def test_an_append_is_never_answered() -> None:
    """Not even with its event_id."""
    client = VirtualClient().configure()
    before = len(client.log)
    client.append(silence(200))
    client.send("input_audio_buffer.append", audio="////", event_id="a")
    assert len(client.log) == before
    assert client.session.appended_bytes == 1603


@pytest.mark.parametrize("audio", ["*", "abc", "é"])
def test_audio_that_is_no_base64_is_refused(audio: str) -> None:
    """The session lives."""
    client = VirtualClient().configure()
    client.send("input_audio_buffer.append", audio=audio)
    assert (client.error["code"], client.error["param"]) == ("invalid_value", "audio")


def test_audio_in_a_format_of_no_telephone_is_refused() -> None:
    """The engine speaks mu-law only, and says so."""
    client = VirtualClient()
    client.append(silence(20))
    assert client.error["code"] == "unsupported_by_rehearsal_engine"
    client.create()
    assert client.error["param"] == "session.audio.output.format"


def test_a_commit_of_nothing_is_refused() -> None:
    """Less than 100 ms, as after a clear."""
    client = VirtualClient().configure(None)
    client.send("input_audio_buffer.commit")
    client.append(silence(80))
    client.send("input_audio_buffer.commit")
    client.append(silence(200))
    client.send("input_audio_buffer.clear")
    assert client.types[-1] == "input_audio_buffer.cleared"
    client.send("input_audio_buffer.commit")
    assert client.session.refused_codes == ["input_audio_buffer_commit_empty"] * 3
    assert "80.00ms" in client.session.refusals[1]["message"]


def test_a_commit_makes_an_item_and_no_response() -> None:
    """Even where turn detection would create one."""
    client = VirtualClient().configure({"type": "server_vad"})
    client.append(silence(100))
    client.send("input_audio_buffer.commit")
    client.advance(3000)
    assert client.types[-5:] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert client.last("conversation.item.added")["item"]["content"] == [
        {"type": "input_audio", "transcript": None}
    ]


def test_a_session_ends_after_an_hour() -> None:
    """1001, which looks like a clean end (protocol 1.6 K)."""
    client = VirtualClient().configure()
    client.advance(60 * 60 * 1000)
    assert client.closed == (1001, "Your session hit the maximum duration of 60 minutes.")


def test_nothing_is_sent_after_the_socket_is_gone() -> None:
    """Not by timers, not in answer."""
    client = VirtualClient().configure()
    client.create()
    client.session.stop()
    before = len(client.log)
    client.create()
    client.advance(5000)
    assert len(client.log) == before


def test_the_brain_sees_what_a_model_would_see() -> None:
    """Items with transcripts, the effective instructions and tools, its own call's output."""
    script = Script(replies=[reply(CallTool("find", '{"day": 1}'))], turns=["tomorrow"])
    client = VirtualClient(script).configure(
        instructions="Be brief.", tools=[{"type": "function", "name": "find", "parameters": {}}]
    )
    client.speak(600)
    client.advance(1000)
    client.create()
    client.advance(1000)
    call = client.last("response.done")["response"]["output"][0]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"free": true}'}
    client.send("conversation.item.create", item=output)
    client.create(instructions="Just this once.", tools=[], tool_choice="none")
    client.advance(1000)
    first, second = client.requests
    assert first.items[0]["content"][0]["transcript"] == "tomorrow"
    assert (first.instructions, len(first.tools), first.tool_choice) == ("Be brief.", 1, "auto")
    assert (second.instructions, second.tools, second.tool_choice) == ("Just this once.", (), "none")
    assert [item["type"] for item in second.items] == ["message", "function_call", "function_call_output"]
    assert client.session.refusals == []


def test_an_append_with_an_unknown_field_is_refused() -> None:
    """The fast path takes plain ones only."""
    client = VirtualClient().configure()
    client.send("input_audio_buffer.append", audio=base64.b64encode(tone(20)).decode(), format=PCMU)
    assert client.error["param"] == "format"
