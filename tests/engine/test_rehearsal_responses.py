"""Responses: the recorded order and timings, tool calls, cancels, failures, out-of-band ones."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from tests.fakes.rehearsal import VirtualClient
from worker.rehearsal.brain import (
    Act,
    Brain,
    CallTool,
    Fail,
    Incomplete,
    Pause,
    ResponseRequest,
    Speak,
    SpeechStarted,
    SpeechStopped,
)
from worker.rehearsal.responses import CHUNK_BYTES
from worker.rehearsal.scripted import Script, marks, reply, says, tone

TEXT = "response.output_audio_transcript.delta"
AUDIO = "response.output_audio.delta"
OPENING = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
CLOSING = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
CALL = [
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "conversation.item.done",
    "response.output_item.done",
]


def phone(*acts: Act, script: Script | None = None) -> VirtualClient:
    """A configured session whose first response does this."""
    return VirtualClient(script or Script(replies=[reply(*acts)])).configure()


def folded(types: Iterable[str]) -> list[str]:
    """Runs of one type as one."""
    result: list[str] = []
    for kind in types:
        if result[-1:] != [kind]:
            result.append(kind)
    return result


def heard(client: VirtualClient, number: int = 0) -> bytes:
    """All audio of a response."""
    return b"".join(
        base64.b64decode(entry.event["delta"])
        for entry in client.log
        if entry.type == AUDIO and entry.place is not None and entry.place[0] == number
    )


def text(client: VirtualClient) -> str:
    return "".join(event["delta"] for event in client.events(TEXT))


def test_a_spoken_response_has_the_recorded_order() -> None:
    """Protocol 1.6 A: the item's mirror after its output item, done in the reverse order, rate limits last."""
    client = phone(says("Hello, how may I help?", 2000))
    client.create()
    client.advance(5000)
    own = client.of_response(0)
    assert own[:4] == OPENING
    assert own[-6:] == CLOSING
    assert set(own[4:-6]) == {TEXT, AUDIO}
    assert client.types[-1] == "rate_limits.updated"
    created, done = client.last("response.created")["response"], client.last("response.done")["response"]
    assert (created["status"], created["output"], created["usage"]) == ("in_progress", [], None)
    assert (done["status"], done["status_details"]) == ("completed", None)
    (item,) = done["output"]
    assert item["content"] == [{"type": "output_audio", "transcript": "Hello, how may I help?"}]
    assert item["status"] == "completed"


def test_a_spoken_response_has_the_recorded_timings() -> None:
    """created +93, first transcript +403, first audio +524 and, with 3 s of speech, done within 0.3 s of that."""
    client = phone(says("This is a sentence of about three seconds.", 3000))
    client.create()
    sent_at = client.loop.now_ms()
    client.advance(5000)

    def first(kind: str) -> float:
        return next(entry.at_ms for entry in client.log if entry.type == kind) - sent_at

    assert [first("response.created"), first(TEXT), first(AUDIO)] == [93, 403, 524]
    assert 524 + 200 < first("response.done") < 524 + 300


def test_text_runs_ahead_of_the_audio() -> None:
    """Three pieces of text before the first sound, and never less text than sound."""
    client = phone(says("One two three four five six seven eight nine ten eleven twelve.", 2000))
    client.create()
    client.advance(5000)
    own = client.of_response(0)
    assert own[4 : own.index(AUDIO)].count(TEXT) >= 3
    assert own.index(AUDIO) < len(own) - 1 - own[::-1].index(TEXT) < len(own) - 1 - own[::-1].index(AUDIO)


def test_the_deltas_add_up_and_are_of_odd_sizes() -> None:
    """No delta but by chance is a multiple of a telephone's frame."""
    speech = says("Hello there.", 3000, mark=0x11)
    client = phone(speech)
    client.create()
    client.advance(5000)
    assert heard(client) == speech.pcmu
    assert text(client) == speech.text
    assert not any(size % 160 == 0 for size in CHUNK_BYTES)


def test_acts_of_speech_grow_one_item() -> None:
    """A sentence each, joined by spaces."""
    client = phone(says("One.", 200), Pause(1000), says("Two.", 200))
    client.create()
    client.advance(5000)
    (item,) = client.last("response.done")["response"]["output"]
    assert item["content"][0]["transcript"] == "One. Two."
    assert text(client) == "One. Two."
    assert len(heard(client)) == 400 * 8


def test_a_function_call_has_the_recorded_order() -> None:
    """Protocol 1.6 C."""
    client = phone(CallTool("find", '{"day": "monday", "time": "10:00"}'))
    client.create()
    client.advance(5000)
    assert folded(client.of_response(0)) == ["response.created", *CALL, "response.done"]
    deltas = "".join(event["delta"] for event in client.events("response.function_call_arguments.delta"))
    done = client.last("response.function_call_arguments.done")
    (item,) = client.last("response.done")["response"]["output"]
    assert deltas == done["arguments"] == item["arguments"] == '{"day": "monday", "time": "10:00"}'
    assert done["call_id"] == item["call_id"]
    assert item["status"] == "completed"


def test_a_response_may_speak_and_call_and_call_again() -> None:
    """Three items, numbered; the message is closed before the call opens."""
    client = phone(says("One moment.", 300), CallTool("find", "{}"), CallTool("find", '{"day": 2}'))
    client.create()
    client.advance(5000)
    own = folded(client.of_response(0))
    assert own[-13:] == [*CALL, *CALL, "response.done"]
    output = client.last("response.done")["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "function_call"]
    assert [event["output_index"] for event in client.events("response.output_item.done")] == [0, 1, 2]
    assert output[1]["call_id"] != output[2]["call_id"]


def test_a_text_response_has_no_audio() -> None:
    """`output_modalities: ["text"]`, of the response or of the session."""
    client = phone(says("Hello.", 500))
    client.create(output_modalities=["text"])
    client.advance(5000)
    assert folded(client.of_response(0))[3:-3] == [
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
    ]
    (item,) = client.last("response.done")["response"]["output"]
    assert item["content"] == [{"type": "output_text", "text": "Hello."}]


def test_a_response_without_acts_completes_without_output() -> None:
    """Created and done, nothing between."""
    client = phone()
    client.create()
    client.advance(5000)
    assert client.of_response(0) == ["response.created", "response.done"]


def test_a_create_while_one_is_active_is_refused_and_the_active_one_goes_on() -> None:
    """Protocol 1.6 F: before created as well, until done."""
    client = phone(says("Hello.", 500))
    client.create()
    client.send("response.create", event_id="early")
    client.advance(500)
    client.send("response.create", event_id="late")
    assert client.session.refused_codes == ["conversation_already_has_active_response"] * 2
    assert [refusal["event_id"] for refusal in client.session.refusals] == ["early", "late"]
    assert client.session.runs[0].id in client.error["message"]
    client.advance(5000)
    assert client.last("response.done")["response"]["status"] == "completed"
    assert len(client.session.runs) == 1


def test_a_create_right_after_done_is_taken() -> None:
    """In the very moment of `done`, before anything else is sent."""
    client = phone()
    client.create()
    while not client.events("response.done"):
        client.advance(1)
    client.create()
    client.advance(5000)
    assert client.session.refusals == []
    assert len(client.events("response.done")) == 2


def test_a_cancel_ends_the_active_response() -> None:
    """Protocol 1.6 E: closing events with what was sent so far, status incomplete, reason client_cancelled."""
    client = phone(says("Hello, how may I help you on this fine day?", 4000))
    client.create()
    client.advance(600)
    so_far, words = len(heard(client)), text(client)
    client.send("response.cancel", response_id=client.session.runs[0].id)
    client.advance(5000)
    assert len(heard(client)) == so_far > 0
    assert client.of_response(0)[-6:] == CLOSING
    done = client.last("response.done")["response"]
    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    (item,) = done["output"]
    assert (item["status"], item["content"][0]["transcript"]) == ("incomplete", words)
    assert client.last("response.output_audio_transcript.done")["transcript"] == words
    assert client.session.active is None


@pytest.mark.parametrize(
    ("after_ms", "closing"),
    [
        (10, ["response.created", "response.done"]),
        (93 + 100, ["response.created", "response.done"]),
        (93 + 320, ["conversation.item.done", "response.output_item.done", "response.done"]),
    ],
)
def test_a_cancel_closes_only_what_was_opened(after_ms: int, closing: list[str]) -> None:
    """Before created (which still comes), before any item, inside one."""
    client = phone(says("Hello.", 1000))
    client.create()
    client.advance(after_ms)
    client.send("response.cancel")
    client.advance(5000)
    assert client.of_response(0)[-len(closing) :] == closing
    assert client.last("response.done")["response"]["status"] == "cancelled"
    assert client.session.refusals == []


def test_a_cancelled_call_keeps_its_partial_arguments() -> None:
    """Which are no JSON: nobody may run it."""
    client = phone(CallTool("book", '{"offer_id": "a-long-offer-id", "customer_name": "Dana Levi"}'))
    client.create()
    client.advance(93 + 310 + 10)
    client.send("response.cancel")
    client.advance(1000)
    done = client.last("response.function_call_arguments.done")
    assert '{"offer_id"'.startswith(done["arguments"][:8])
    assert not done["arguments"].endswith("}")
    assert client.last("response.done")["response"]["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize("response", [{}, {"response_id": "resp_unknown"}])
def test_a_cancel_without_an_active_response_is_refused(response: dict[str, Any]) -> None:
    """Harmless: the session lives."""
    client = phone()
    client.send("response.cancel", event_id="c1", **response)
    assert client.error["code"] == "response_cancel_not_active"
    assert client.error["message"] == "Cancellation failed: no active response found"
    assert client.error["event_id"] == "c1"


def test_a_cancel_after_done_is_refused() -> None:
    """By id as well."""
    client = phone(says("Hello.", 200))
    client.create()
    client.advance(5000)
    client.send("response.cancel", response_id=client.session.runs[0].id)
    assert client.session.refused_codes == ["response_cancel_not_active"]


def test_a_second_cancel_is_refused() -> None:
    """The first is being answered."""
    client = phone(says("Hello.", 2000))
    client.create()
    client.advance(600)
    client.send("response.cancel", event_id="c1")
    client.send("response.cancel", event_id="c2")
    client.advance(1000)
    assert [refusal["event_id"] for refusal in client.session.refusals] == ["c2"]
    assert len(client.events("response.done")) == 1


def test_a_failed_response_says_why() -> None:
    """Protocol 1.6 J: what was open is closed first."""
    client = phone(says("Hel", 200), Fail("rate_limit_exceeded", "Slow down."))
    client.create()
    client.advance(5000)
    done = client.last("response.done")["response"]
    assert done["status"] == "failed"
    assert done["status_details"]["error"]["code"] == "rate_limit_exceeded"
    assert client.of_response(0)[-6:] == CLOSING


def test_an_incomplete_response_says_why() -> None:
    """`max_output_tokens`, with a call cut short."""
    client = phone(CallTool("find", '{"da'), Incomplete())
    client.create()
    client.advance(5000)
    done = client.last("response.done")["response"]
    assert done["status"] == "incomplete"
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert done["output"][0]["status"] == "incomplete"


def test_an_out_of_band_response_runs_beside_the_default_one() -> None:
    """Protocol 1.6 H: no item in the conversation, its metadata echoed, not cancelled by accident."""
    client = phone(script=Script(replies=[reply(says("Hello.", 4000)), reply(says("A summary."))]))
    client.create()
    client.create(conversation="none", metadata={"topic": "summary"}, output_modalities=["text"], input=[])
    client.advance(600)
    client.send("response.cancel")
    client.advance(5000)
    assert client.session.refusals == []
    created = client.events("response.created")[1]["response"]
    assert (created["conversation_id"], created["metadata"]) == (None, {"topic": "summary"})
    assert not any(kind.startswith("conversation.") for kind in client.of_response(1))
    done = {event["response"]["id"]: event["response"]["status"] for event in client.events("response.done")}
    assert [done[run.id] for run in client.session.runs] == ["cancelled", "completed"]
    assert client.requests[1].items == ()
    assert client.requests[1].out_of_band


def test_an_out_of_band_response_can_be_cancelled_by_its_id() -> None:
    """The default one goes on."""
    client = phone(script=Script(replies=[reply(says("Hello.", 1000)), reply(says("A summary.", 9000))]))
    client.create()
    client.create(conversation="none")
    client.advance(600)
    client.send("response.cancel", response_id=client.session.runs[1].id)
    client.advance(5000)
    assert [run.response.status for run in client.session.runs] == ["completed", "cancelled"]


def test_a_response_may_refer_to_items() -> None:
    """References are looked up; an unknown one is refused with its path."""
    client = phone()
    client.say_item("hello", id="one")
    client.create(conversation="none", input=[{"type": "item_reference", "id": "one"}])
    client.advance(1000)
    assert client.requests[0].items[0]["id"] == "one"
    client.create(input=[{"type": "item_reference", "id": "two"}])
    assert (client.error["code"], client.error["param"]) == ("item_not_found", "response.input[0].id")


def test_only_two_conversations_exist() -> None:
    """`auto` and `none`."""
    client = phone()
    client.create(conversation="other")
    assert (client.error["code"], client.error["param"]) == ("invalid_value", "response.conversation")


def test_overrides_are_checked_like_a_session() -> None:
    """Both modalities at once, too much metadata."""
    client = phone()
    client.create(output_modalities=["text", "audio"])
    assert client.error["param"] == "response.output_modalities"
    client.create(metadata={"k" * 65: "v"})
    assert client.error["param"] == "response.metadata"
    assert client.session.runs == []


class Thinker(Brain):
    """A brain whose acts come from a generator that notes how it ended; hears and transcribes nothing."""

    def __init__(self, *, fails: bool = False) -> None:
        self.closed = False
        self.asked = 0
        self.ended = False
        self._fails = fails

    def hear(self, pcmu: bytes) -> Sequence[SpeechStarted | SpeechStopped]:
        return ()

    def transcribe(self, pcmu: bytes) -> str | None:
        return ""

    def respond(self, request: ResponseRequest) -> Iterator[Act]:
        try:
            while True:
                self.asked += 1
                if self._fails:
                    raise RuntimeError("no idea")
                yield Speak("More.", tone(500, mark=0x12))
        finally:
            self.closed = True

    def close(self) -> None:
        self.ended = True


def test_acts_are_asked_for_one_by_one() -> None:
    """The next only when the last was sent; a cancel closes the generator."""
    brain = Thinker()
    client = VirtualClient(brain=brain).configure()
    client.create()
    client.advance(600)
    assert 1 <= brain.asked <= 3
    client.send("response.cancel")
    client.advance(100)
    assert brain.closed
    client.session.stop()
    assert brain.ended


def test_a_brain_that_raises_makes_a_failed_response() -> None:
    """And the session goes on."""
    client = VirtualClient(brain=Thinker(fails=True)).configure()
    client.create()
    client.advance(1000)
    assert client.last("response.done")["response"]["status"] == "failed"
    client.create()
    client.advance(1000)
    assert len(client.events("response.done")) == 2


def test_marks_tell_tones_apart() -> None:
    """What a test's telephone uses to know what it heard."""
    assert marks(tone(20, 0x11) + b"\xff" * 160 + tone(20, 0x12)) == {0x11, 0x12}
