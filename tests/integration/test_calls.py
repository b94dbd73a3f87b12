"""Calls: who may open a stream, what is kept, what follows."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.calls import CallClosing, CallGoal, CallState, IncomingCall, TimelineEntry
from app.errors import InvalidInput, NotFound, StreamRefused, UnknownNumber
from app.services import Services
from tests.factories import Clock, SomeBusiness, as_tenant, incoming_call, new_business

ENDED = CallClosing(CallState.ENDED, "goodbye", barge_ins=2, duration_ms=9000)
LOST = CallClosing(CallState.LOST, "drained", barge_ins=1, duration_ms=5000)


def refusal(services: Services, token: str, call_sid: str, stream_sid: str = "MZ1") -> str:
    with pytest.raises(StreamRefused) as caught:
        services.calls.open_stream(token, call_sid, stream_sid)
    return caught.value.reason


def test_a_call_is_stored_and_gets_a_token(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """It rings, in the business's language, until its stream opens."""
    incoming = incoming_call(business)
    accepted = services.calls.accept_call(incoming)
    assert (accepted.business_id, accepted.language) == (business.id, "en")
    call = services.calls.get_call(business.id, accepted.call_id)
    assert (call.call_sid, call.state, call.caller_number) == (
        incoming.call_sid,
        CallState.RINGING,
        incoming.from_number,
    )
    assert (call.created_at, call.started_at, call.ended_at, call.stream_count) == (clock.now, None, None, 0)


def test_a_call_to_nobody_s_number_is_refused(services: Services, business: SomeBusiness) -> None:
    """No row is made."""
    with pytest.raises(UnknownNumber):
        services.calls.accept_call(IncomingCall("CA1", "+97299999999", None))


@pytest.mark.parametrize("call_sid", ["", "CA 1", "CA\x00", "C" * 129])
def test_a_malformed_call_sid_is_refused(services: Services, business: SomeBusiness, call_sid: str) -> None:
    """Before the database sees it."""
    with pytest.raises(InvalidInput):
        services.calls.accept_call(IncomingCall(call_sid, business.phone_number, None))
    with pytest.raises(InvalidInput):
        services.calls.after_stream(call_sid)


def test_a_repeated_webhook_is_the_same_call_with_a_fresh_token(
    services: Services, business: SomeBusiness
) -> None:
    """The carrier uses the answer it got last, so the older token is void."""
    incoming = incoming_call(business)
    first = services.calls.accept_call(incoming)
    second = services.calls.accept_call(incoming)
    assert second.call_id == first.call_id
    assert second.media_token != first.media_token
    assert refusal(services, first.media_token, incoming.call_sid) == "unknown"
    assert services.calls.open_stream(second.media_token, incoming.call_sid, "MZ1").call_id == first.call_id


def test_a_token_opens_a_stream_with_the_briefing(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """What the worker needs, and the call is in progress."""
    incoming = incoming_call(business)
    accepted = services.calls.accept_call(incoming)
    clock.advance(seconds=59)
    briefing = services.calls.open_stream(accepted.media_token, incoming.call_sid, "MZ1")
    assert (briefing.call_id, briefing.call_sid) == (accepted.call_id, incoming.call_sid)
    assert (briefing.stream_number, briefing.history) == (1, ())
    assert briefing.caller_number == incoming.from_number
    assert briefing.business == services.businesses.get_profile(business.id)
    assert briefing.business.call_goal is CallGoal.APPOINTMENT
    call = services.calls.get_call(business.id, accepted.call_id)
    assert (call.state, call.stream_count, call.started_at) == (CallState.IN_PROGRESS, 1, clock.now)


def test_a_stream_without_the_right_token_is_refused_with_a_word(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Strangers' values reach no table and raise nothing else; another call's token is not used up."""
    incoming = incoming_call(business)
    token = services.calls.accept_call(incoming).media_token
    assert refusal(services, "nonsense", incoming.call_sid) == "unknown"
    assert refusal(services, "\ud800\x00", "\ud800\x00") == "unknown"
    assert refusal(services, token, incoming.call_sid, stream_sid="\x00") == "unknown"
    assert refusal(services, token, "CA-other") == "other_call"
    services.calls.open_stream(token, incoming.call_sid, "MZ1")
    assert refusal(services, token, incoming.call_sid) == "used"
    late = services.calls.accept_call(incoming_call(business, "CA-late"))
    clock.advance(seconds=60)
    assert refusal(services, late.media_token, "CA-late") == "expired"


def test_twenty_redeemers_of_one_token_open_one_stream(services: Services, business: SomeBusiness) -> None:
    """One gets it, the others are told that it is used."""
    incoming = incoming_call(business)
    accepted = services.calls.accept_call(incoming)
    gate = threading.Barrier(20)

    def redeem(number: int) -> str:
        gate.wait()
        try:
            services.calls.open_stream(accepted.media_token, incoming.call_sid, f"MZ{number}")
        except StreamRefused as refused:
            return refused.reason
        return "opened"

    with ThreadPoolExecutor(20) as pool:
        assert Counter(pool.map(redeem, range(20))) == {"opened": 1, "used": 19}
    assert services.calls.get_call(business.id, accepted.call_id).stream_count == 1


def test_twenty_repeats_of_a_webhook_make_one_call(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """And one token that is good."""
    incoming = incoming_call(business)
    gate = threading.Barrier(20)

    def accept(_: int) -> int:
        gate.wait()
        return services.calls.accept_call(incoming).call_id

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(accept, range(20)))) == 1
    with as_tenant(engine, business.id) as connection:
        assert connection.execute(text("SELECT count(*) FROM media_tokens")).scalar_one() == 1


def test_the_token_itself_is_not_stored(services: Services, business: SomeBusiness, engine: Engine) -> None:
    """Only its hash: a copy of the table opens nothing."""
    token = services.calls.accept_call(incoming_call(business)).media_token
    with as_tenant(engine, business.id) as connection:
        row = connection.execute(text("SELECT * FROM media_tokens")).one()
    assert len(row.token_sha256) == 32
    assert token not in repr(row)


def test_the_timeline_is_kept_in_order_and_handed_to_the_next_stream(
    services: Services, business: SomeBusiness
) -> None:
    """Appended in parts, by two workers; odd characters lose what jsonb can't hold."""
    incoming = incoming_call(business)
    accepted = services.calls.accept_call(incoming)
    first = [TimelineEntry(0, "turn", {"said": "שלום", "heard_ms": 700}), TimelineEntry(900, "barge_in")]
    second = [TimelineEntry(950, "turn", {"said": "a\x00b\ud800", "tools": ({"ok": True, "n": None},)})]
    services.calls.append_timeline(business.id, accepted.call_id, first)
    services.calls.append_timeline(business.id, accepted.call_id, [])
    services.calls.append_timeline(business.id, accepted.call_id, second)
    stored = (*first, TimelineEntry(950, "turn", {"said": "ab?", "tools": [{"ok": True, "n": None}]}))
    assert services.calls.get_call(business.id, accepted.call_id).timeline == stored
    assert services.calls.open_stream(accepted.media_token, incoming.call_sid, "MZ1").history == stored


def test_two_workers_that_append_at_once_lose_nothing(services: Services, business: SomeBusiness) -> None:
    """Each batch stays together."""
    call_id = services.calls.accept_call(incoming_call(business)).call_id

    def append(number: int) -> None:
        entries = [TimelineEntry(number, "x", {"batch": number, "part": part}) for part in range(3)]
        services.calls.append_timeline(business.id, call_id, entries)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(16)))
    timeline = services.calls.get_call(business.id, call_id).timeline
    parts = [(entry.data["batch"], entry.data["part"]) for entry in timeline]
    batches = [parts[index : index + 3] for index in range(0, 48, 3)]
    assert all(batch == [(batch[0][0], part) for part in range(3)] for batch in batches)
    assert {batch[0][0] for batch in batches} == set(range(16))


def opened(services: Services, business: SomeBusiness) -> tuple[str, int]:
    """A call in progress: its CallSid and id."""
    incoming = incoming_call(business)
    accepted = services.calls.accept_call(incoming)
    services.calls.open_stream(accepted.media_token, incoming.call_sid, "MZ1")
    return incoming.call_sid, accepted.call_id


def test_an_ended_call_is_hung_up(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """Ended stays ended, whatever a late worker says."""
    call_sid, call_id = opened(services, business)
    services.calls.finish_stream(business.id, call_id, ENDED)
    services.calls.finish_stream(business.id, call_id, LOST)
    call = services.calls.get_call(business.id, call_id)
    assert (call.state, call.end_reason, call.ended_at) == (CallState.ENDED, "goodbye", clock.now)
    assert (call.barge_ins, call.duration_ms) == (3, 14000)
    after = services.calls.after_stream(call_sid)
    assert (after.action, after.media_token) == ("hang_up", None)


def test_a_failed_call_is_hung_up(services: Services, business: SomeBusiness) -> None:
    """The worker has played its recorded sentence; the reason stays in the row."""
    call_sid, call_id = opened(services, business)
    services.calls.finish_stream(
        business.id, call_id, CallClosing(CallState.FAILED, "realtime_unreachable", 0, 100)
    )
    assert services.calls.after_stream(call_sid).action == "hang_up"
    assert services.calls.get_call(business.id, call_id).end_reason == "realtime_unreachable"


@pytest.mark.parametrize("closing", [LOST, None])
def test_a_lost_stream_is_reconnected_three_times(
    services: Services, business: SomeBusiness, closing: CallClosing | None
) -> None:
    """Whether the worker said so or just died; the fourth time the caller hears an apology."""
    call_sid, call_id = opened(services, business)
    for number in (2, 3, 4):
        if closing:
            services.calls.finish_stream(business.id, call_id, closing)
        after = services.calls.after_stream(call_sid)
        assert (after.action, after.language) == ("reconnect", "en")
        assert after.media_token is not None
        assert services.calls.open_stream(after.media_token, call_sid, f"MZ{number}").stream_number == number
    after = services.calls.after_stream(call_sid)
    assert (after.action, after.media_token) == ("apologise", None)
    call = services.calls.get_call(business.id, call_id)
    assert (call.state, call.end_reason) == (CallState.FAILED, "reconnects_exhausted")
    assert services.calls.after_stream(call_sid).action == "apologise"


def test_streams_that_never_open_are_not_offered_for_ever(services: Services, business: SomeBusiness) -> None:
    """No worker answers at all: three tries, then the apology."""
    incoming = incoming_call(business)
    services.calls.accept_call(incoming)
    actions = [services.calls.after_stream(incoming.call_sid).action for _ in range(5)]
    assert actions == ["reconnect"] * 3 + ["apologise"] * 2


def test_a_worker_that_reports_late_leaves_the_new_stream_alone(
    services: Services, business: SomeBusiness
) -> None:
    """Its counts are added; the call goes on."""
    call_sid, call_id = opened(services, business)
    token = services.calls.after_stream(call_sid).media_token
    services.calls.open_stream(token or "", call_sid, "MZ2")
    late = CallClosing(CallState.LOST, "drained", barge_ins=1, duration_ms=5000, stream_number=1)
    services.calls.finish_stream(business.id, call_id, late)
    call = services.calls.get_call(business.id, call_id)
    assert (call.state, call.barge_ins, call.duration_ms) == (CallState.IN_PROGRESS, 1, 5000)


def test_an_ended_call_opens_no_stream(services: Services, business: SomeBusiness) -> None:
    """Its tokens are void, and a new one from a stray webhook is refused."""
    incoming = incoming_call(business)
    first = services.calls.accept_call(incoming)
    services.calls.finish_stream(business.id, first.call_id, ENDED)
    assert refusal(services, first.media_token, incoming.call_sid) == "unknown"
    stray = services.calls.accept_call(incoming)
    assert refusal(services, stray.media_token, incoming.call_sid) == "used"


def test_an_unknown_call_is_hung_up(services: Services) -> None:
    """Nothing is known of it, not even a language."""
    after = services.calls.after_stream("CA-nobody")
    assert (after.action, after.media_token) == ("hang_up", None)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("get_call", ()), ("append_timeline", ([TimelineEntry(0, "x")],)), ("finish_stream", (ENDED,))],
)
def test_another_business_s_call_is_not_found(
    services: Services, business: SomeBusiness, method: str, arguments: tuple[Any, ...]
) -> None:
    """The same answer as for one that never was."""
    call_id = services.calls.accept_call(incoming_call(new_business(services))).call_id
    for missing in (call_id, 2**40):
        with pytest.raises(NotFound):
            getattr(services.calls, method)(business.id, missing, *arguments)
