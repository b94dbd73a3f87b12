"""The strict validator: what the engine sends is what the types say, and what it takes as well."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.rehearsal import VirtualClient
from worker.rehearsal.brain import CallTool, Fail
from worker.rehearsal.faults import CallerSpeaks, Received, Rule
from worker.rehearsal.schema import SchemaError, validate_client_event, validate_server_event
from worker.rehearsal.scripted import Script, reply, says, tone

Event = dict[str, Any]
Path = tuple[str | int, ...]

FREE_FORM = ("parameters", "metadata")


def samples() -> dict[str, Event]:
    """One event of each type that the engine can send."""
    script = Script(
        replies=[
            reply(says("Hello."), CallTool("find", '{"day": "monday"}')),
            reply(says("In text.")),
            reply(Fail()),
        ],
        rules=[
            Rule(Received("input_audio_buffer.clear"), CallerSpeaks("yes")),
            Rule(Received("input_audio_buffer.clear", 2), CallerSpeaks(None)),
        ],
    )
    client = VirtualClient(script).configure(tools=[{"type": "function", "name": "find", "parameters": {"a": 1}}])
    client.create(metadata={"a": "b"})
    client.advance(3000)
    client.create(output_modalities=["text"])
    client.advance(3000)
    spoken = client.last("response.output_audio.done")["item_id"]
    client.send("conversation.item.truncate", item_id=spoken, content_index=0, audio_end_ms=100)
    client.send("conversation.item.retrieve", item_id=spoken)
    client.send("conversation.item.delete", item_id=spoken)
    for _ in range(2):
        client.send("input_audio_buffer.clear")
        client.advance(3000)
    client.create()
    client.advance(3000)
    idle = {"type": "server_vad", "idle_timeout_ms": 5000, "create_response": False}
    client.configure(idle)
    client.create()
    client.advance(5000)
    client.append(tone(20))
    client.advance(5000)
    client.send("response.cancel")
    return {entry.type: copy.deepcopy(dict(entry.event)) for entry in reversed(client.log)}


SAMPLES = samples()


def dicts(value: Any, path: Path = ()) -> Iterator[tuple[Path, Event]]:
    """Every object in an event, with its path, but what is inside free-form ones."""
    if isinstance(value, dict):
        yield path, value
        for name, inner in value.items():
            if name not in FREE_FORM:
                yield from dicts(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from dicts(inner, (*path, index))


def at(event: Event, path: Path) -> Event:
    """The object at a path."""
    value: Any = event
    for step in path:
        value = value[step]
    found: Event = value
    return found


FAMILIES = {
    "session": "created updated",
    "conversation.item": "added done retrieved deleted truncated",
    "conversation.item.input_audio_transcription": "delta completed failed",
    "input_audio_buffer": "speech_started speech_stopped committed cleared timeout_triggered",
    "response": "created done",
    "response.output_item": "added done",
    "response.content_part": "added done",
    "response.output_audio": "delta done",
    "response.output_audio_transcript": "delta done",
    "response.output_text": "delta done",
    "response.function_call_arguments": "delta done",
    "rate_limits": "updated",
}


def test_every_type_of_the_protocol_is_sampled() -> None:
    """The list of protocol 1.5, less what never comes over a WebSocket without MCP."""
    expected = {f"{family}.{name}" for family, names in FAMILIES.items() for name in names.split()}
    assert set(SAMPLES) == expected | {"error"}


def complaint(event: Event) -> SchemaError | None:
    """Why it does not validate, or None."""
    try:
        validate_server_event(event)
    except SchemaError as error:
        return error
    return None


def test_the_events_of_the_engine_pass() -> None:
    """What was sent validates again, from a copy."""
    assert [kind for kind, event in SAMPLES.items() if complaint(event)] == []


def test_an_event_without_one_of_its_fields_fails() -> None:
    """Top-level fields, one at a time; only `obfuscation` may be missing."""
    passed = {
        name
        for event in SAMPLES.values()
        for name in event
        if not complaint({key: value for key, value in event.items() if key != name})
    }
    assert passed == {"obfuscation"}


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        ("session.created", ["session.id", "session.audio", "session.expires_at", "session.type"]),
        ("session.updated", ["session.audio.input.turn_detection", "session.audio.output.voice"]),
        ("response.created", ["response.id", "response.status", "response.conversation_id", "response.metadata"]),
        ("response.done", ["response.output", "response.usage", "response.status_details"]),
        ("response.output_item.added", ["item.id", "item.type"]),
        ("conversation.item.done", ["item.id", "item.type"]),
        ("error", ["error.type", "error.code", "error.message", "error.param", "error.event_id"]),
        ("conversation.item.input_audio_transcription.completed", ["usage.seconds", "usage.type"]),
        ("response.content_part.done", ["part.type"]),
    ],
)
def test_an_event_without_an_inner_field_fails(kind: str, paths: list[str]) -> None:
    """The types call most of these optional; the wire always has them."""
    for path in paths:
        event = copy.deepcopy(SAMPLES[kind])
        *outer, name = path.split(".")
        del at(event, tuple(outer))[name]
        with pytest.raises(SchemaError) as caught:
            validate_server_event(event)
        assert caught.value.param is not None


def test_an_unknown_field_at_any_depth_fails() -> None:
    """The library would keep it; here it is named."""
    for sample in SAMPLES.values():
        for path, _ in dicts(sample):
            event = copy.deepcopy(sample)
            at(event, path)["surprise"] = 1
            found = complaint(event)
            assert found is not None, (sample["type"], path)
            assert str(found.param).endswith("surprise")


def test_a_value_of_another_type_is_not_coerced() -> None:
    """A number for a string and a string for a number."""
    for event in SAMPLES.values():
        for name, value in event.items():
            if name != "obfuscation" and isinstance(value, str | int):
                wrong = 3 if isinstance(value, str) else str(value)
                assert complaint({**event, name: wrong}), (event["type"], name)


def test_an_unknown_type_of_server_event_fails() -> None:
    """A beta name, for one."""
    with pytest.raises(SchemaError):
        validate_server_event({**SAMPLES["response.output_audio.delta"], "type": "response.audio.delta"})


def test_extra_fields_of_the_wire_pass_only_where_they_were_recorded() -> None:
    """`obfuscation` on a delta, `phase` on an item; nowhere else."""
    validate_server_event({**SAMPLES["response.output_text.delta"], "obfuscation": "x"})
    event = copy.deepcopy(SAMPLES["response.done"])
    event["response"]["obfuscation"] = "x"
    with pytest.raises(SchemaError):
        validate_server_event(event)


ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
DETECTION = "session.audio.input.turn_detection"


def update(**session: Any) -> Event:
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def vad(**detection: Any) -> Event:
    return update(audio={"input": {"turn_detection": {"type": "server_vad", **detection}}})


def item(**fields: Any) -> Event:
    return {"type": "conversation.item.create", "item": {**ITEM, **fields}}


def respond(**response: Any) -> Event:
    return {"type": "response.create", "response": response}


REFUSED = [
    ({}, "invalid_event", None),
    ({"type": "session.destroy"}, "invalid_value", "type"),
    ({"type": "session.update"}, "missing_required_parameter", "session"),
    ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
    (update(foo=1), "unknown_parameter", "session.foo"),
    (update(input_audio_format="g711_ulaw"), "unknown_parameter", "session.input_audio_format"),
    (vad(threshhold=0.5), "unknown_parameter", f"{DETECTION}.threshhold"),
    (vad(threshold="0.5"), "invalid_type", f"{DETECTION}.threshold"),
    (vad(type="vad"), "invalid_value", f"{DETECTION}.type"),
    (item(role="caller"), "invalid_value", "item.role"),
    (item(type="note"), "invalid_value", "item.type"),
    (item(content=[{"type": "output_text", "text": "x"}]), "invalid_value", "item.content[0].type"),
    (item(content=[{"type": "input_text", "text": 3}]), "invalid_type", "item.content[0].text"),
    (
        {"type": "conversation.item.create", "item": {"type": "function_call_output", "output": "x"}},
        "missing_required_parameter",
        "item.call_id",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1.5},
        "invalid_type",
        "audio_end_ms",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0},
        "missing_required_parameter",
        "audio_end_ms",
    ),
    ({"type": "response.cancel", "event_id": 3}, "invalid_type", "event_id"),
    (respond(tool_choice="always"), "invalid_value", "response.tool_choice"),
    (respond(max_output_tokens="lots"), "invalid_type", "response.max_output_tokens"),
    (respond(output_modalities=["video"]), "invalid_value", "response.output_modalities[0]"),
    (respond(metadata={"Count": 3}), "invalid_type", "response.metadata.Count"),
    (respond(temperature=0.8), "unknown_parameter", "response.temperature"),
    (respond(input=[{"type": "item_reference"}]), "missing_required_parameter", "response.input[0].id"),
]


@pytest.mark.parametrize(("event", "code", "param"), REFUSED, ids=[f"{c}:{p}" for _, c, p in REFUSED])
def test_a_client_event_that_the_types_do_not_allow_is_refused(event: Event, code: str, param: str | None) -> None:
    """With the API's code, and the path as the API writes it."""
    with pytest.raises(SchemaError) as caught:
        validate_client_event(event)
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize(
    "event",
    [
        update(tools=[{"type": "function", "name": "x", "parameters": {"type": "object", "A": {"b": 1}}}]),
        update(tool_choice={"type": "function", "name": "x"}, max_output_tokens="inf", tracing=None),
        vad(threshold=0.5, create_response=False),
        update(audio={"input": {"turn_detection": None}, "output": {"voice": {"id": "voice_1"}}}),
        item(),
        respond(input=[{"type": "item_reference", "id": "x"}, ITEM], conversation="none"),
        {"type": "response.create"},
        {"type": "input_audio_buffer.append", "audio": ""},
    ],
)
def test_a_client_event_that_the_types_allow_passes(event: Event) -> None:
    """Unions, references and free-form objects included."""
    validate_client_event(event)
