"""The caller's turns: detection, commits, transcription, what they start and stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.fakes.rehearsal import MANUAL_VAD, VirtualClient
from worker.rehearsal.brain import Act, Brain, HearingConfig, ResponseRequest, Speak, SpeechStarted, SpeechStopped
from worker.rehearsal.scripted import LoudnessEars, Script, ScriptedBrain, reply, says, silence, tone

AUTOMATIC_VAD = {**MANUAL_VAD, "create_response": True, "interrupt_response": True}
TURN = [
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
TRANSCRIPTION = "conversation.item.input_audio_transcription"


def test_a_turn_has_the_recorded_order() -> None:
    """Protocol 1.6 B: one item id from speech_started to the transcription, after everything else."""
    client = VirtualClient(Script(turns=["tomorrow at ten"])).configure()
    client.append(silence(1000))
    client.speak(600)
    client.advance(1000)
    assert client.types[2:] == [
        "input_audio_buffer.speech_started",
        *TURN,
        f"{TRANSCRIPTION}.delta",
        f"{TRANSCRIPTION}.completed",
    ]
    started, stopped = client.log[2].event, client.log[3].event
    assert started["audio_start_ms"] == 1000 - 300
    assert stopped["audio_end_ms"] == 1600 + 500
    ids = {client.last(kind)["item_id"] for kind in (TURN[0], TURN[1], f"{TRANSCRIPTION}.completed")}
    assert ids == {started["item_id"]}
    assert client.last("conversation.item.done")["item"]["content"] == [
        {"type": "input_audio", "transcript": None}
    ]
    assert client.last(f"{TRANSCRIPTION}.completed")["transcript"] == "tomorrow at ten"


def test_a_committed_turn_is_the_audio_that_was_spoken() -> None:
    """From the padding to the end of the silence."""
    client = VirtualClient().configure()
    client.append(silence(1000) + tone(600, 0x11) + silence(600))
    client.advance(1000)
    (pcmu,) = client.turns_heard
    assert pcmu == silence(300) + tone(600, 0x11) + silence(500)


def test_turns_follow_each_other_in_the_chain() -> None:
    """Each names the item before it."""
    client = VirtualClient().configure()
    for _ in range(3):
        client.speak(400)
    committed = client.events("input_audio_buffer.committed")
    assert [event["previous_item_id"] for event in committed] == [None, *[e["item_id"] for e in committed[:2]]]


@pytest.mark.parametrize(
    ("text", "outcome"), [("", f"{TRANSCRIPTION}.completed"), (None, f"{TRANSCRIPTION}.failed")]
)
def test_noise_and_failure_end_a_transcription_too(text: str | None, outcome: str) -> None:
    """An empty transcript, or `failed` with an error; no delta."""
    client = VirtualClient(Script(turns=[text])).configure()
    client.speak(300)
    client.advance(1000)
    assert client.types[-1] == outcome
    assert f"{TRANSCRIPTION}.delta" not in client.types


def test_without_transcription_there_is_none() -> None:
    """`transcription: null`."""
    client = VirtualClient().configure()
    client.update(audio={"input": {"transcription": None}})
    client.speak(300)
    client.advance(1000)
    assert not any(kind.startswith(TRANSCRIPTION) for kind in client.types)


def test_without_turn_detection_nothing_is_heard() -> None:
    """`turn_detection: null`: the client commits."""
    client = VirtualClient().configure(None)
    client.speak(300)
    client.advance(1000)
    assert client.types == ["session.created", "session.updated"]


@pytest.mark.parametrize("create", [True, False])
def test_a_turn_creates_a_response_only_where_configured(create: bool) -> None:
    """`create_response`."""
    client = VirtualClient().configure({**MANUAL_VAD, "create_response": create})
    client.speak(300)
    client.advance(5000)
    assert len(client.events("response.done")) == (1 if create else 0)


@pytest.mark.parametrize("interrupt", [True, False])
def test_speech_cancels_a_response_only_where_configured(interrupt: bool) -> None:
    """`interrupt_response`: cancelled by the server, reason turn_detected."""
    script = Script(replies=[reply(says("A very long sentence indeed.", 9000))])
    client = VirtualClient(script).configure({**MANUAL_VAD, "interrupt_response": interrupt})
    client.create()
    client.advance(700)
    client.append(tone(100))
    client.advance(5000)
    done = client.last("response.done")["response"]
    assert done["status"] == ("cancelled" if interrupt else "completed")
    if interrupt:
        assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


def test_a_client_cancel_beside_the_servers_own_is_refused() -> None:
    """Protocol 1.6 D: it races, and the API says so."""
    client = VirtualClient(Script(replies=[reply(says("Long.", 9000))])).configure(AUTOMATIC_VAD)
    client.create()
    client.advance(700)
    client.append(tone(100))
    client.send("response.cancel")
    assert client.session.refused_codes == ["response_cancel_not_active"]


def test_an_automatic_create_while_one_is_active_fails() -> None:
    """`create_response` without `interrupt_response`: an error with a null event_id."""
    client = VirtualClient(Script(replies=[reply(says("Long.", 60_000))])).configure(
        {**AUTOMATIC_VAD, "interrupt_response": False}
    )
    client.create()
    client.advance(700)
    client.speak(300)
    assert client.error["code"] == "conversation_already_has_active_response"
    assert client.error["event_id"] is None


def test_a_commit_within_a_turn_takes_its_item_id() -> None:
    """The rest of the turn becomes another item."""
    client = VirtualClient().configure()
    client.append(tone(600))
    started = client.last("input_audio_buffer.speech_started")["item_id"]
    client.send("input_audio_buffer.commit")
    assert client.last("input_audio_buffer.committed")["item_id"] == started
    client.append(tone(200) + silence(600))
    assert client.last("input_audio_buffer.speech_stopped")["item_id"] != started
    assert len(client.events("input_audio_buffer.committed")) == 2
    assert client.session.refusals == []


def test_a_turn_survives_an_update_of_something_else() -> None:
    """Also of the detection's own lengths."""
    client = VirtualClient().configure()
    client.append(tone(300))
    client.update(instructions="Be brief.")
    client.update(audio={"input": {"turn_detection": {**MANUAL_VAD, "silence_duration_ms": 200}}})
    client.append(silence(200))
    started = client.last("input_audio_buffer.speech_started")["item_id"]
    assert client.last("input_audio_buffer.committed")["item_id"] == started


def test_the_idle_timeout_has_the_recorded_order() -> None:
    """Protocol 1.6 I: a system item of the server's, then the empty turn."""
    client = VirtualClient(Script(replies=[reply(says("Hello.", 1000))])).configure(
        {**AUTOMATIC_VAD, "idle_timeout_ms": 5000}
    )
    client.create()
    for _ in range(80):
        client.append(silence(100))
        client.advance(100)
    since = client.types[client.types.index("input_audio_buffer.timeout_triggered") :]
    item = ["conversation.item.added", "conversation.item.done"]
    assert since[:6] == ["input_audio_buffer.timeout_triggered", *item, "input_audio_buffer.committed", *item]
    assert "response.created" in since
    note = client.session.conversation.get(client.last("input_audio_buffer.committed")["previous_item_id"])
    assert note.wire["role"] == "system"
    assert client.last(f"{TRANSCRIPTION}.completed")["transcript"] == ""


def test_speech_disarms_the_idle_timeout() -> None:
    """Somebody is there."""
    client = VirtualClient(Script(replies=[reply(says("Hello.", 1000))])).configure(
        {**MANUAL_VAD, "idle_timeout_ms": 5000}
    )
    client.create()
    client.advance(3000)
    client.speak(300)
    client.advance(60_000)
    assert "input_audio_buffer.timeout_triggered" not in client.types


def test_a_call_full_of_silence_keeps_little_of_it() -> None:
    """The buffer is bounded where nobody speaks."""
    client = VirtualClient().configure()
    for _ in range(90):
        client.append(silence(1000))
    client.send("input_audio_buffer.commit")
    client.advance(1000)
    (pcmu,) = client.turns_heard
    assert len(pcmu) == 60_000 * 8


class SlowEars(Brain):
    """Needs transcripts before it can answer; `transcribe` returns when the test lets it."""

    needs_transcripts = True

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        self._ears: LoudnessEars | None = None

    def configure(self, hearing: Any) -> None:
        self._ears = LoudnessEars(hearing)

    def hear(self, pcmu: bytes) -> Sequence[SpeechStarted | SpeechStopped]:
        assert self._ears is not None
        return self._ears.hear(pcmu)

    def transcribe(self, pcmu: bytes) -> str | None:
        return "tomorrow"

    def respond(self, request: ResponseRequest) -> Iterator[Act]:
        self.seen.append(request.items[-1]["content"][0]["transcript"])
        yield Speak("Yes.", tone(200))


def test_a_brain_that_needs_transcripts_is_asked_when_it_has_them() -> None:
    """`created` does not wait, and transcription is switched off for the client alone."""
    brain = SlowEars()
    client = VirtualClient(brain=brain)
    jobs: list[tuple[Any, Any]] = []
    client.loop.run = lambda job, done: jobs.append((job, done))  # type: ignore[method-assign]
    client.configure(AUTOMATIC_VAD)
    client.update(audio={"input": {"transcription": None}})
    client.speak(400)
    client.advance(1000)
    assert client.types[-1] == "response.created"
    assert len(jobs) == 1
    transcribe, heard = jobs.pop()
    heard(transcribe())
    assert len(jobs) == 1
    think, thought = jobs.pop()
    thought(think())
    assert brain.seen == ["tomorrow"]
    assert not any(kind.startswith(TRANSCRIPTION) for kind in client.types)


def test_a_failing_transcription_of_a_brain_is_told() -> None:
    """An exception is a failed transcription, not a dead session."""

    class Deaf(ScriptedBrain):
        def transcribe(self, pcmu: bytes) -> str | None:
            raise RuntimeError("deaf")

    client = VirtualClient(brain=Deaf()).configure()
    client.speak(300)
    client.advance(1000)
    assert client.types[-1] == f"{TRANSCRIPTION}.failed"


@pytest.mark.parametrize("frame", [1, 7, 160, 4096])
def test_loudness_is_heard_in_frames_of_any_size(frame: int) -> None:
    """The positions don't depend on how the audio is cut."""
    ears = LoudnessEars(HearingConfig(prefix_padding_ms=100, silence_duration_ms=200))
    audio = silence(400) + tone(300) + silence(400)
    found = [change for at in range(0, len(audio), frame) for change in ears.hear(audio[at : at + frame])]
    assert found == [SpeechStarted(300), SpeechStopped(900)]


def test_a_click_is_no_turn() -> None:
    """Two loud frames are not enough."""
    client = VirtualClient().configure()
    client.append(tone(40) + silence(600))
    assert "input_audio_buffer.speech_started" not in client.types
