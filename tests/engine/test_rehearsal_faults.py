"""What a script can make go wrong, and that nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.rehearsal import MANUAL_VAD, VirtualClient
from worker.rehearsal.brain import INSTANT, CallTool
from worker.rehearsal.faults import (
    Answer,
    CallerSpeaks,
    Delay,
    DropSocket,
    HoldUntil,
    Omit,
    OnCancel,
    Patch,
    Received,
    ResponseFaults,
    Rule,
    SendRaw,
    Sent,
    SentOf,
    Start,
    UnsolicitedResponse,
)
from worker.rehearsal.schema import validate_server_event
from worker.rehearsal.scripted import Reply, Script, reply, says

AUDIO = "response.output_audio.delta"
NOT_ACTIVE = "response_cancel_not_active"
REPLIES = (reply(says("One moment.", 1000), CallTool("find", '{"day": "monday"}')),)


def cancelled(plan: OnCancel, *, ms: int = 4000, at_ms: float = 600) -> VirtualClient:
    """A response that was cancelled while it spoke, under this plan; `mine` is the cancel's event_id."""
    faults = ResponseFaults(cancel=plan)
    client = VirtualClient(Script(replies=[reply(says("A long sentence.", ms), faults=faults)])).configure()
    client.create()
    client.advance(at_ms)
    client.send("response.cancel", event_id="mine")
    return client


def done_of(client: VirtualClient, number: int = 0) -> dict[str, Any] | None:
    """The response of its `response.done`, or None."""
    run = client.session.runs[number]
    found = [event["response"] for event in client.events("response.done") if event["response"]["id"] == run.id]
    return found[0] if found else None


@pytest.mark.parametrize("late_ms", [0, 30, 480, 1500])
def test_a_cancel_can_be_answered_late(late_ms: int) -> None:
    """Not before, and nothing of the response in between."""
    client = cancelled(OnCancel(after_ms=late_ms))
    before = len(client.log)
    client.advance(late_ms - 1)
    assert len(client.log) == before
    client.send("response.create", event_id="early") if late_ms else None
    client.advance(2)
    done = done_of(client)
    assert done is not None
    assert done["status"] == "cancelled"
    assert client.session.refused_codes == (["conversation_already_has_active_response"] if late_ms else [])


def test_audio_can_go_on_after_a_cancel() -> None:
    """Late audio of a response that is to be silent."""
    client = cancelled(OnCancel(after_ms=60, keeps_talking=True), ms=30_000)
    before = len(client.events(AUDIO))
    client.advance(5000)
    assert len(client.events(AUDIO)) > before
    done = done_of(client)
    assert done is not None
    assert done["status"] == "cancelled"


def test_a_cancel_that_comes_too_late_is_refused() -> None:
    """The response ended by itself while the cancel was on its way."""
    client = cancelled(OnCancel(after_ms=5000, keeps_talking=True), ms=400)
    client.advance(6000)
    done = done_of(client)
    assert done is not None
    assert done["status"] == "completed"
    assert client.session.refused_codes == [NOT_ACTIVE]


def test_a_cancel_can_stay_unanswered() -> None:
    """The response stays active for good."""
    client = cancelled(OnCancel(Answer.NEVER))
    before = len(client.log)
    client.advance(60_000)
    assert len(client.log) == before
    assert client.session.active is client.session.runs[0]


def test_a_cancel_can_be_ignored() -> None:
    """The response runs to its own end."""
    client = cancelled(OnCancel(Answer.IGNORED))
    client.advance(10_000)
    done = done_of(client)
    assert done is not None
    assert done["status"] == "completed"
    assert client.session.scripted_refusals == []


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize("answer", [Answer.DONE_THEN_ERROR, Answer.ERROR_THEN_DONE])
def test_a_cancel_can_cross_the_end_of_its_response(answer: Answer, echo: bool) -> None:
    """`response_cancel_not_active`, with or without its event_id, and a completed `done`, in either order."""
    client = cancelled(OnCancel(answer, after_ms=40, echo_event_id=echo, second_ms=50))
    client.advance(1000)
    done = done_of(client)
    assert done is not None
    assert done["status"] == "completed"
    (error,) = client.session.scripted_refusals
    assert (error["code"], error["event_id"]) == (NOT_ACTIVE, "mine" if echo else None)
    order = [kind for kind in client.types if kind in ("error", "response.done")]
    assert order == (
        ["response.done", "error"] if answer is Answer.DONE_THEN_ERROR else ["error", "response.done"]
    )
    assert client.session.refusals == []


def test_after_such_an_error_a_create_is_taken_before_the_late_done() -> None:
    """The error was true: nothing is active, whatever is still on its way."""
    client = cancelled(OnCancel(Answer.ERROR_THEN_DONE, after_ms=40, second_ms=400))
    client.advance(50)
    client.create()
    client.advance(5000)
    assert client.session.refusals == []
    assert [run.response.status for run in client.session.runs] == ["completed", "completed"]
    created = [entry.at_ms for entry in client.log if entry.type == "response.created"]
    first_done = next(entry.at_ms for entry in client.log if entry.type == "response.done")
    assert created[1] < first_done


def test_a_scripted_cancel_also_answers_the_callers_speech() -> None:
    """Without the error: there is no cancel event to refuse."""
    faults = ResponseFaults(cancel=OnCancel(Answer.DONE_THEN_ERROR))
    script = Script(
        replies=[reply(says("Long.", 4000), faults=faults)], rules=[Rule(Sent(AUDIO), CallerSpeaks("stop"))]
    )
    client = VirtualClient(script).configure({**MANUAL_VAD, "interrupt_response": True})
    client.create()
    client.advance(5000)
    done = done_of(client)
    assert done is not None
    assert done["status"] == "completed"
    assert client.events("error") == []


def test_created_can_be_late() -> None:
    """And a create meanwhile is refused: it is active."""
    faults = ResponseFaults(created_ms=1500)
    client = VirtualClient(Script(replies=[reply(says("Hi.", 100), faults=faults)])).configure()
    client.create()
    client.advance(1499)
    assert client.of_response(0) == []
    client.create()
    client.advance(1)
    assert client.of_response(0) == ["response.created"]
    assert client.session.refused_codes == ["conversation_already_has_active_response"]


def test_a_create_can_be_lost() -> None:
    """Nothing is active: a probing cancel is refused, the next create is taken."""
    client = VirtualClient(Script(replies=[Reply(faults=ResponseFaults(Start.LOST))])).configure()
    client.create()
    client.advance(3000)
    assert client.session.runs == []
    client.send("response.cancel", event_id="probe")
    assert client.session.refused_codes == [NOT_ACTIVE]
    client.create()
    client.advance(3000)
    assert client.last("response.done")["response"]["status"] == "completed"


def test_a_response_can_be_active_and_silent() -> None:
    """A probing cancel is answered by the `done` of an id that was never announced."""
    client = VirtualClient(Script(replies=[Reply(faults=ResponseFaults(Start.SILENT))])).configure()
    client.create()
    client.advance(3000)
    assert client.of_response(0) == []
    client.create()
    assert client.session.refused_codes == ["conversation_already_has_active_response"]
    client.send("response.cancel")
    client.advance(100)
    assert client.of_response(0) == ["response.done"]


@pytest.mark.parametrize("code", [1001, 1011, None])
def test_the_socket_can_drop_at_an_event(code: int | None) -> None:
    """Right after it; nothing more is sent."""
    script = Script(rules=[Rule(Sent(AUDIO, 2), DropSocket(code, "gone"))])
    client = VirtualClient(script).configure()
    client.create()
    client.advance(5000)
    assert client.closed == (code, "gone")
    assert client.types[-1] == AUDIO
    assert len(client.events(AUDIO)) == 2


def test_the_socket_can_drop_at_a_client_event() -> None:
    """After some time."""
    script = Script(rules=[Rule(Received("response.create"), DropSocket(1011), after_ms=200)])
    client = VirtualClient(script).configure()
    client.create()
    client.advance(199)
    assert client.closed is None
    client.advance(1)
    assert client.closed == (1011, "")


def test_session_updated_can_be_withheld() -> None:
    """The configuration was taken all the same."""
    client = VirtualClient(Script(rules=[Rule(Sent("session.updated"), Omit())])).configure(instructions="Brief.")
    client.advance(5000)
    assert client.events("session.updated") == []
    assert client.session.config.wire["instructions"] == "Brief."


def test_session_updated_can_tell_another_configuration() -> None:
    """Fields are merged in, deeply."""
    patch = Patch({"session": {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}}})
    client = VirtualClient(Script(rules=[Rule(Sent("session.updated"), patch)])).configure()
    session = client.last("session.updated")["session"]
    assert session["audio"]["input"]["format"]["type"] == "audio/pcm"
    assert session["audio"]["output"]["format"]["type"] == "audio/pcmu"


def test_an_event_can_be_overtaken() -> None:
    """By time, or by another event."""
    rules = [
        Rule(Sent("response.output_audio.done"), Delay(200)),
        Rule(SentOf(0, 0), HoldUntil(Sent("response.content_part.added"))),
    ]
    client = VirtualClient(Script(rules=rules)).configure()
    client.create()
    client.advance(5000)
    assert client.of_response(0)[:4] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.created",
    ]
    assert client.types[-1] == "response.output_audio.done"


def test_an_event_can_be_left_out_each_time() -> None:
    """`nth=None`."""
    client = VirtualClient(Script(rules=[Rule(Sent("rate_limits.updated", None), Omit())])).configure()
    for _ in range(2):
        client.create()
        client.advance(5000)
    assert client.events("rate_limits.updated") == []


def test_a_response_can_come_unasked() -> None:
    """It takes a number, and a create while it is active is refused."""
    rules = [Rule(Sent("session.updated"), UnsolicitedResponse())]
    client = VirtualClient(Script(replies=[reply(says("Surprise.", 500))], rules=rules)).configure()
    client.advance(300)
    client.create()
    assert client.session.refused_codes == ["conversation_already_has_active_response"]
    client.advance(5000)
    assert client.of_response(0)[0] == "response.created"


def test_any_event_can_be_sent_as_it_stands() -> None:
    """Also one of a type that nobody knows."""
    rule = Rule(Sent("session.updated"), SendRaw({"type": "weather.updated", "sunny": True}), after_ms=10)
    client = VirtualClient(Script(rules=[rule])).configure()
    assert client.types[-1] == "weather.updated"
    assert client.log[-1].event["event_id"]


def test_the_callers_speech_has_the_positions_of_a_real_turn() -> None:
    """Padding before, silence after, the speech between; its own text; its stop comes when it is told to."""
    script = Script(rules=[Rule(Sent("session.updated"), CallerSpeaks("tomorrow", 800, stop_after_ms=50))])
    client = VirtualClient(script).configure()
    started = client.last("input_audio_buffer.speech_started")
    client.advance(1000)
    stopped = client.last("input_audio_buffer.speech_stopped")
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (0, 800 + 500)
    assert client.last("conversation.item.input_audio_transcription.completed")["transcript"] == "tomorrow"
    at = [entry.at_ms for entry in client.log if entry.type.startswith("input_audio_buffer.speech")]
    assert at[1] - at[0] == 50


def length_of_the_first_response() -> int:
    """How many events REPLIES[0] sends undisturbed."""
    client = VirtualClient(Script(replies=REPLIES)).configure()
    client.create()
    client.advance(10_000)
    return len(client.of_response(0))


LENGTH = length_of_the_first_response()


@pytest.mark.parametrize("index", range(-1, LENGTH))
def test_the_caller_can_interrupt_at_every_event_of_a_response(index: int) -> None:
    """speech_started is the very next event, before `created` included; a cancel then ends it in order."""
    script = Script(replies=REPLIES, rules=[Rule(SentOf(0, index), CallerSpeaks("wait", 900))])
    client = VirtualClient(script).configure()
    client.create()
    client.advance(1)
    while not client.events("input_audio_buffer.speech_started"):
        client.advance(1)
    at = client.types.index("input_audio_buffer.speech_started")
    own = [entry for entry in client.log[:at] if entry.place is not None]
    assert len(own) == index + 1
    if client.session.active is not None:
        client.send("response.cancel")
    client.advance(10_000)
    assert client.session.refusals == []
    assert client.of_response(0)[0] == "response.created"
    assert client.of_response(0)[-1] == "response.done"
    for part in ("response.output_item", "response.content_part"):
        assert client.types.count(f"{part}.added") == client.types.count(f"{part}.done")


ACTIONS = st.sampled_from(["create", "cancel", "cancel last", "speak", "item", "delete", "truncate", "side"])
PLANS = st.builds(
    OnCancel,
    answer=st.sampled_from(list(Answer)),
    after_ms=st.sampled_from([0, 30, 480]),
    keeps_talking=st.booleans(),
    echo_event_id=st.booleans(),
)
CODES = {NOT_ACTIVE, "conversation_already_has_active_response", "item_not_found", None}


def act(client: VirtualClient, action: str) -> None:
    """One thing that a careless client may do."""
    runs = client.session.runs
    items = list(client.session.conversation)
    if action == "create":
        client.create()
    elif action == "side":
        client.create(conversation="none")
    elif action == "cancel":
        client.send("response.cancel")
    elif action == "cancel last" and runs:
        client.send("response.cancel", response_id=runs[-1].id)
    elif action == "speak":
        client.speak(100)
    elif action == "item":
        client.say_item("hello")
    elif action == "delete" and items:
        client.send("conversation.item.delete", item_id=items[-1].id)
    elif action == "truncate" and items:
        client.send("conversation.item.truncate", item_id=items[-1].id, content_index=0, audio_end_ms=10)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.tuples(ACTIONS, st.sampled_from([0, 1, 50, 200, 1000])), max_size=12),
    plans=st.lists(PLANS, max_size=6),
    automatic=st.booleans(),
)
def test_whatever_a_client_does_the_protocol_holds(
    steps: list[tuple[str, int]], plans: list[OnCancel], automatic: bool
) -> None:
    """Created first, done last and once, nothing after it; no other refusals; all events valid."""
    replies = [
        reply(says("A sentence.", 600), CallTool("find", "{}"), faults=ResponseFaults(cancel=p)) for p in plans
    ]
    client = VirtualClient(Script(replies=replies)).configure(
        {**MANUAL_VAD, "create_response": automatic, "interrupt_response": automatic}
    )
    for action, pause_ms in steps:
        act(client, action)
        client.advance(pause_ms)
    client.advance(60_000)
    for entry in client.log:
        validate_server_event(dict(entry.event))
    assert set(client.session.refused_codes) <= CODES
    for run in client.session.runs:
        own = client.of_response(run.index)
        assert own[:1] in ([], ["response.created"])  # a cancel that is never answered silences it for good
        assert own.count("response.created") == len(own[:1])
        assert "response.done" not in own[:-1]
        assert (own[-1:] == ["response.done"]) is run.over


def test_instant_timing_sends_everything_at_once() -> None:
    """For tests that don't care about time."""
    client = VirtualClient(Script(timing=INSTANT)).configure()
    client.create()
    client.advance(0)
    assert client.types[-1] == "rate_limits.updated"
