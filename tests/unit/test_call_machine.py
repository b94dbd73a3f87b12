"""The call machine against models of the API and the phone, in virtual time."""

from __future__ import annotations

import itertools

import pytest

from tests.fakes.simulation import Cancelling, Script, World
from worker.call import commands as cmd
from worker.call import events as ev
from worker.call.context import CallConfig

LATE_MS = (0.0, 30.0, 480.0, 1500.0)
ANSWERS = [
    *((Cancelling.DONE, late) for late in LATE_MS),
    *((mode, 30.0) for mode in Cancelling if mode is not Cancelling.DONE),
    (Cancelling.COMPLETED_THEN_REFUSED_NULL, 480.0),
]
AT_REST = {
    "connection": "ready",
    "response": "none",
    "playback": "silent",
    "caller": "quiet",
    "tools": "idle",
}


def greeted(scripts: list[Script] | None = None, config: CallConfig | None = None) -> World:
    """A call whose greeting has been heard."""
    world = World(config, [Script(), *(scripts or [])])
    world.start()
    world.run(5000)
    assert world.machine.states["playback"] == "silent"
    return world


def replies_after(world: World, instant: float) -> list[str]:
    """How each response created since `instant` ended."""
    return [r.status for r in world.responses if r.created_at >= instant]


def test_call_starts_greeting_is_heard_whole() -> None:
    """One response, three pieces, all of them played."""
    world = greeted()
    assert [r.status for r in world.responses] == ["completed"]
    (turn,) = world.records("bot_turn")
    assert turn["heard_ms"] == 1200
    assert turn["heard"] == turn["text"]
    assert world.refusals == []


def test_turn_committed_is_answered_once() -> None:
    """A turn leads to one response, after it was committed."""
    world = greeted()
    world.say("turn_1")
    world.run(20_000)
    assert len(world.responses) == 2
    assert world.responses[1].created_at >= world.last_commit_at
    assert [t["text"] for t in world.records("caller_turn")] == ["words"]


def events_of_a_reply() -> int:
    world = greeted()
    before = world.api.events if world.api else 0
    world.say("turn_1")
    world.run(20_000)
    assert world.api is not None
    return world.api.events - before


@pytest.mark.parametrize(("mode", "late_ms"), ANSWERS, ids=str)
def test_caller_interrupts_at_every_event_nothing_is_refused_and_one_reply_follows(
    mode: Cancelling, late_ms: float
) -> None:
    """Before `created` included, and whatever becomes of the cancel."""
    for at_event in range(events_of_a_reply() + 1):
        world = greeted()
        world.cancelling, world.cancel_ms = mode, late_ms
        world.say("turn_1")
        before = world.api.events if world.api else 0

        def interrupt(_: int, __: ev.Event, world: World = world, at: int = before + at_event) -> None:
            if world.api is not None and world.api.events == at:
                world.before_event = lambda *_: None
                world.cancelling, world.cancel_ms = mode, late_ms
                world.say("turn_2")

        if at_event == 0:
            # Right after the create has left, before the API has even seen it.
            world.run(world.now + 2000.5)
            world.say("turn_2")
        else:
            world.before_event = interrupt
        world.run(40_000)
        assert len(world.spans) == 2
        assert world.refusals == [], at_event
        assert replies_after(world, world.last_commit_at) == ["completed"], at_event
        assert world.machine.states == AT_REST


def test_cancel_is_never_answered_socket_is_replaced_and_reply_follows() -> None:
    """After 2 s the socket counts as lost; the turn is answered on the next one."""
    world = greeted([Script(pieces_ms=(3000.0,) * 5)])
    world.cancelling = Cancelling.NEVER
    world.say("turn_1")
    world.run(world.now + 2150)
    world.say("turn_2")
    world.run(40_000)
    assert len(world.apis) == 2
    assert replies_after(world, world.last_commit_at) == ["completed"]
    assert world.refusals == []


def test_response_done_but_playing_barge_in_clears_and_truncates_without_cancel() -> None:
    """Generation is faster than speech: the response is long done, the phone still speaks."""
    world = greeted([Script(pieces_ms=(2000.0, 2000.0))])
    world.say("turn_1")
    world.run(world.now + 3600)
    assert world.machine.states["response"] == "none"
    assert world.machine.states["playback"] == "playing"
    world.say("turn_2")
    world.run(40_000)
    assert world.sent(cmd.CancelResponse) == []
    assert world.phone.clears == 1
    (cut,) = world.sent(cmd.TruncateItem)
    assert isinstance(cut, cmd.TruncateItem)
    assert 1000 < cut.audio_end_ms < 2000
    assert world.refusals == []


def test_second_response_queued_behind_barge_in_corrects_every_item() -> None:
    """One item is cut where it was heard; the one behind it, never heard, is deleted."""
    world = greeted([Script(pieces_ms=(3000.0,), calls=("check_availability",)), Script(pieces_ms=(3000.0,))])
    world.say("turn_1")
    world.run(world.now + 3500)
    assert len(world.responses) == 3
    world.say("turn_2")
    world.run(40_000)
    first, second = world.responses[1].items[0], world.responses[2].items[0]
    assert first.truncated_to is not None
    assert 0 < first.truncated_to < 3000
    assert second.deleted
    assert world.refusals == []
    assert replies_after(world, world.last_commit_at) == ["completed"]


def test_item_wholly_heard_is_not_corrected() -> None:
    """Only what was cut is cut in the history."""
    world = greeted()
    world.say("turn_1")
    world.run(40_000)
    assert not world.sent(cmd.TruncateItem)
    assert not world.sent(cmd.DeleteItem)


def test_truncation_is_what_the_phone_played() -> None:
    """The ledger's figure is the phone's own, to the millisecond of the clear."""
    for after in range(0, 3000, 170):
        world = greeted([Script(pieces_ms=(1000.0, 1000.0, 1000.0))])
        world.say("turn_1")
        world.run(world.now + 2150 + after)
        started = world.responses[1].created_at
        world.say("turn_2")
        heard = world.phone.heard_between(started, world.now)
        world.run(40_000)
        item = world.responses[1].items[0]
        if item.truncated_to is not None:
            assert abs(item.truncated_to - heard) <= 1, after
        else:
            assert item.deleted == (heard == 0), after


def test_cough_cuts_the_bot_off_it_goes_on_from_what_was_heard() -> None:
    """The noise's item is deleted, and there is no dead air."""
    world = greeted([Script(pieces_ms=(2000.0, 2000.0))])
    world.say("turn_1")
    world.run(world.now + 3500)
    world.say("cough", lasts_ms=1000.0, text="")
    world.run(40_000)
    deleted = [c.item_id for c in world.sent(cmd.DeleteItem) if isinstance(c, cmd.DeleteItem)]
    assert "cough" in deleted
    resumed = world.sent(cmd.CreateResponse)[-1]
    assert isinstance(resumed, cmd.CreateResponse)
    assert "«words and»" in resumed.extra
    assert len(world.responses) == 3


def test_cough_before_anything_was_heard_the_same_reply_is_owed() -> None:
    """The turn that was being answered is answered."""
    world = greeted()
    world.say("turn_1")
    world.run(world.now + 2020)
    world.say("cough", lasts_ms=900.0, text=None)
    world.run(40_000)
    assert world.responses[-1].status == "completed"
    assert world.sent(cmd.CreateResponse)[-1].extra == ""  # type: ignore[attr-defined]
    assert world.refusals == []


def test_short_turn_with_words_is_answered() -> None:
    """A "yes" is no cough."""
    world = greeted()
    world.say("yes", lasts_ms=1000.0, text="yes")
    world.run(20_000)
    assert len(world.responses) == 2


def test_short_turn_without_transcription_is_answered() -> None:
    """No text within 300 ms: better an answer to a cough than none to a caller."""
    world = greeted()
    world.say("yes", lasts_ms=1000.0, text="yes")
    world.run(20_000)
    created = world.responses[1].created_at
    assert created - world.last_commit_at < 350


def test_tool_called_result_goes_back_before_the_next_create() -> None:
    """The call runs after `done`; one create answers it."""
    world = greeted([Script(pieces_ms=(), calls=("check_availability", "check_availability"))])
    world.say("turn_1")
    world.run(20_000)
    order = [
        type(c).__name__
        for _, c in world.commands
        if isinstance(c, cmd.RunTool | cmd.AddItem | cmd.CreateResponse)
    ]
    assert order == [
        "CreateResponse",
        "CreateResponse",
        "RunTool",
        "RunTool",
        "AddItem",
        "AddItem",
        "CreateResponse",
    ]


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
def test_tool_call_of_an_unfinished_response_is_never_run(status: str) -> None:
    """Its arguments may be half a JSON: the item is deleted."""
    world = greeted([Script(calls=("schedule_appointment",), status=status)])
    world.say("turn_1")
    world.run(20_000)
    assert world.sent(cmd.RunTool) == []
    call = next(item for item in world.responses[1].items if item.kind == "function_call")
    assert call.deleted


def test_caller_speaks_while_a_tool_runs_both_are_answered_by_one_response() -> None:
    """The result goes back although the caller spoke, because the booking has happened."""
    world = greeted([Script(pieces_ms=(), calls=("schedule_appointment",))])
    world.tool_ms = 1500.0
    world.say("turn_1")
    world.run(world.now + 2300)
    assert world.machine.states["tools"] == "running"
    world.say("turn_2")
    world.run(40_000)
    assert len(world.sent(cmd.AddItem)) == 1
    assert replies_after(world, world.last_commit_at) == ["completed"]
    assert world.refusals == []


def test_connection_lost_in_mid_reply_the_call_goes_on() -> None:
    """A new socket is told the history; what was owed is owed still."""
    world = greeted([Script(pieces_ms=(1000.0,) * 8, piece_after=200.0)])
    world.say("turn_1")
    world.run(world.now + 2600)
    assert world.machine.states["response"] == "in_progress"
    generation = world.api.generation if world.api else 0
    world.receive(ev.ConnectionLost(world.now, generation, "closed_1001"))
    world.run(40_000)
    items = [dict(c.item) for c in world.sent(cmd.AddItem) if isinstance(c, cmd.AddItem)]
    assert [item["role"] for item in items][:2] == ["assistant", "user"]
    assert len(world.apis) == 2
    assert world.responses[-1].status == "completed"


def test_realtime_unreachable_at_the_start_the_caller_hears_a_recorded_sentence() -> None:
    """Then the stream is closed, and the reason is stored."""
    world = World()
    world.connects_fail = 99
    world.start()
    world.run(30_000)
    (closed,) = world.sent(cmd.CloseStream)
    assert isinstance(closed, cmd.CloseStream)
    assert closed.state == "failed"
    assert closed.reason == "realtime_unreachable: refused"
    assert len(world.sent(cmd.PlayRecorded)) == 1
    assert world.phone.heard_between(0, world.now) == 1500


def test_response_fails_twice_the_caller_hears_a_recorded_sentence() -> None:
    """One retry after 250 ms, and then no more waiting."""
    world = greeted([Script(pieces_ms=(), status="failed"), Script(pieces_ms=(), status="failed")])
    world.say("turn_1")
    world.run(30_000)
    assert len(world.responses) == 3
    (closed,) = world.sent(cmd.CloseStream)
    assert isinstance(closed, cmd.CloseStream)
    assert closed.reason.startswith("response_failed")


def test_response_fails_once_the_retry_is_heard() -> None:
    """A single failure is not noticed by the caller."""
    world = greeted([Script(pieces_ms=(), status="failed")])
    world.say("turn_1")
    world.run(30_000)
    assert [r.status for r in world.responses] == ["completed", "failed", "completed"]
    assert world.sent(cmd.CloseStream) == []


def test_greeting_is_protected_barge_in_waits_until_it_was_heard() -> None:
    """With `barge_in_after_greeting` the caller's early words are answered when the greeting is over."""
    world = World(CallConfig(greeting="Hello", barge_in_after_greeting=True), [Script(pieces_ms=(4000.0,))])
    world.start()
    world.run(1000)
    world.say("turn_1")
    world.run(30_000)
    assert world.phone.clears == 0
    assert world.responses[1].created_at >= 4000
    assert len(world.responses) == 2


def test_foreign_response_is_cancelled_and_ours_is_heard() -> None:
    """We own every response: one that we did not ask for is ended."""
    world = greeted()
    api = world.api
    assert api is not None
    world.receive(ev.ResponseCreated(world.now, api.generation, "resp_foreign", None))
    (cancel,) = world.sent(cmd.CancelResponse)
    assert isinstance(cancel, cmd.CancelResponse)
    assert cancel.response_id == "resp_foreign"
    world.receive(ev.ResponseDone(world.now, api.generation, "resp_foreign", ev.ResponseStatus.CANCELLED))
    world.say("turn_1")
    world.run(30_000)
    assert world.responses[-1].status == "completed"


def test_event_of_an_older_connection_is_dropped() -> None:
    """A replaced socket may still deliver."""
    world = greeted()
    assert world.machine.receive(ev.SpeechStarted(world.now, 0, "old", 0)) == []
    assert world.machine.states["caller"] == "quiet"


def test_stray_messages_are_ignored() -> None:
    """Nonsense of the peer never drops a call, and leads to nothing."""
    world = greeted()
    g = world.api.generation if world.api else 0
    stray: list[ev.Event] = [
        ev.SpeechStopped(world.now, g, "x", 10),
        ev.TurnCommitted(world.now, g, "x"),
        ev.ResponseDone(world.now, g, "another", ev.ResponseStatus.COMPLETED),
        ev.MarkReturned(world.now, "nonsense"),
        ev.AudioDelta(world.now, g, "unknown", "item", 0, "100.0", 100.0),
        ev.TurnTranscribed(world.now, g, "x", "words"),
        ev.ApiError(world.now, g, "response_cancel_not_active", None),
        ev.ApiError(world.now, g, None, "nobody"),
        ev.ConnectionReady(world.now, g),
    ]
    for event in itertools.chain(stray, stray):
        commands = world.machine.receive(event)
        assert not [c for c in commands if not isinstance(c, cmd.Log | cmd.Record)], event
    world.say("turn_1")
    world.run(world.now + 20_000)
    assert len(world.responses) == 2


def test_caller_hangs_up_everything_is_recorded_and_the_machine_is_silent() -> None:
    """What was not heard by then never will be."""
    world = greeted([Script(pieces_ms=(3000.0,))])
    world.say("turn_1")
    world.run(world.now + 2700)
    world.receive(ev.StreamEnded(world.now, "ended", "caller_hung_up"))
    last = world.records("bot_turn")[-1]
    assert 0 < int(str(last["heard_ms"])) < 3000
    assert world.machine.wake_at_ms is None
    assert world.machine.receive(ev.Tick(world.now)) == []
