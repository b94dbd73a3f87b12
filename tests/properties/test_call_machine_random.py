"""Whatever caller, API and network do in whatever order: nothing is refused, and the caller is answered."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fakes.simulation import Cancelling, Script, World
from worker.call import events as ev
from worker.call.context import CallConfig

scripts = st.builds(
    Script,
    pieces_ms=st.lists(st.sampled_from([40.0, 400.0, 2500.0]), max_size=4).map(tuple),
    calls=st.sampled_from([(), (), ("check_availability",), ("check_availability", "schedule_appointment")]),
    created_after=st.sampled_from([5.0, 90.0, 700.0]),
    piece_after=st.sampled_from([1.0, 20.0, 300.0]),
).filter(lambda script: bool(script.pieces_ms or script.calls))

turns = st.tuples(
    st.integers(0, 4000),  # ms after the one before
    st.sampled_from([850.0, 1000.0, 2500.0]),
    st.sampled_from(["words", "words", "", None]),
)


@settings(deadline=None)
@given(
    said=st.lists(turns, min_size=1, max_size=6),
    replies=st.lists(scripts, max_size=8),
    mode=st.sampled_from([mode for mode in Cancelling if mode is not Cancelling.NEVER]),
    late_ms=st.sampled_from([0.0, 30.0, 480.0, 1500.0]),
    protected=st.booleans(),
)
def test_any_call_nothing_is_refused_and_the_last_words_are_answered(
    said: list[tuple[int, float, str | None]],
    replies: list[Script],
    mode: Cancelling,
    late_ms: float,
    protected: bool,
) -> None:
    """No create while a response is active, no correction past an item's end, no dead air."""
    world = World(CallConfig("Hello", barge_in_after_greeting=protected), list(replies))
    world.cancelling, world.cancel_ms = mode, late_ms
    world.start()
    for number, (wait, lasts, text) in enumerate(said):
        world.run(max(world.now, world.spans[-1].end_ms if world.spans else 0.0) + wait + 50)
        world.say(f"turn_{number}", lasts, text)
    world.run(world.now + 120_000)
    assert world.refusals == []
    assert world.machine.states["response"] == "none"
    assert world.machine.states["tools"] == "idle"
    spoken = [span for span in world.spans if span.text]
    if spoken:
        assert any(r.created_at >= spoken[-1].end_ms and r.status == "completed" for r in world.responses)


@settings(deadline=None)
@example(lost_after=[0, 40], replies=[])  # lost again before the new connection has noticed the turn
@given(
    lost_after=st.lists(st.integers(0, 6000), min_size=1, max_size=3),
    replies=st.lists(scripts, max_size=6),
)
def test_connection_lost_at_any_moment_the_turn_is_answered(lost_after: list[int], replies: list[Script]) -> None:
    """While the caller speaks, while a tool runs, while a cancel is awaited: nothing must be said twice."""
    world = World(CallConfig("Hello"), list(replies))
    world.start()
    world.run(2000)
    world.say("turn")
    for wait in sorted(lost_after):
        world.run(max(world.now, 2000.0 + wait))
        if world.api is not None:
            world.receive(ev.ConnectionLost(world.now, world.api.generation, "closed_1001"))
    world.run(world.now + 120_000)
    assert world.refusals == []
    assert world.machine.states["response"] == "none"
    assert any(r.created_at >= 4000 and r.status == "completed" for r in world.responses)
