"""The caller interrupts at every event of a response, whatever becomes of the cancel: over real sockets.

The engine refuses what the API refuses. Each case is a call of its own; the calls of one test run at once.
"""

from __future__ import annotations

import gevent
import pytest

from tests.worker.conftest import Bench, until
from worker.rehearsal.faults import Answer, CallerSpeaks, OnCancel, ResponseFaults, Rule, Sent, SentOf
from worker.rehearsal.phone import Phone
from worker.rehearsal.scripted import Script, marks, reply, says

GREETING, CUT, ANSWER = 0x10, 0x20, 0x30  # tones, to tell on the phone who is heard
FIRST_TURN, LAST_TURN = "a question", "another question"

CANCELS = {
    "at_once": OnCancel(after_ms=0),
    "30_ms": OnCancel(after_ms=30),
    "480_ms": OnCancel(after_ms=480, keeps_talking=True),
    "1500_ms": OnCancel(after_ms=1500, keeps_talking=True),
    "never": OnCancel(Answer.NEVER),
    "done_then_refused": OnCancel(Answer.DONE_THEN_ERROR, after_ms=30),
    "done_then_refused_without_id": OnCancel(Answer.DONE_THEN_ERROR, after_ms=30, echo_event_id=False),
    "refused_then_done": OnCancel(Answer.ERROR_THEN_DONE, after_ms=30),
    "refused_then_done_without_id": OnCancel(Answer.ERROR_THEN_DONE, after_ms=30, echo_event_id=False),
}
ANSWER_MS = 300
QUICK = ("30_ms", "never")  # the rest with `bin/test --all`; tests/unit has all of them in virtual time
ANSWERING = reply(says("The answer.", ANSWER_MS, ANSWER))


def script(at_event: int | None, cancel: OnCancel) -> Script:
    """Greeting, a turn, a reply that is interrupted at `at_event`, and the answer to what was said then."""
    turn = Rule(Sent("response.done"), CallerSpeaks(FIRST_TURN, stop_after_ms=50), after_ms=400)
    rules = [turn]
    if at_event is not None:
        rules.append(Rule(SentOf(1, at_event), CallerSpeaks(LAST_TURN, stop_after_ms=50)))
    reply_to_first = reply(
        says("A sentence that takes its time.", 1500, CUT), faults=ResponseFaults(cancel=cancel)
    )
    greeting = reply(says("Hello.", 200, GREETING))
    return Script(replies=[greeting, reply_to_first], otherwise=ANSWERING, rules=rules)


def events_of_a_reply(bench: Bench) -> int:
    """How many events the engine sends of a reply that nobody interrupts."""
    phone = bench.call(script(None, OnCancel()))
    until(lambda: CUT in marks(phone.heard), "no reply")
    until(lambda: phone.quiet_for_ms() > 300, "the reply did not end")
    return sum(1 for entry in bench.engine.sessions[-1].server_events if entry.place and entry.place[0] == 1)


def interrupt(bench: Bench, at_event: int, cancel: OnCancel) -> Phone:
    """One call; its phone, when the answer has been heard and nothing more comes."""
    phone = bench.call(script(at_event, cancel))
    until(lambda: ANSWER in marks(phone.heard), f"no answer after event {at_event}")
    until(lambda: phone.quiet_for_ms() > 700, "the answer did not end")
    return phone


def answered_ms(heard: bytes) -> float:
    """How much of the answer's tone was heard; a pause in it, on a busy machine, is no second answer."""
    return sum(byte & 0x7F == ANSWER for byte in heard) / 8


@pytest.mark.parametrize(
    "cancel",
    [pytest.param(CANCELS[name], id=name, marks=[] if name in QUICK else [pytest.mark.long]) for name in CANCELS],
)
def test_interrupted_at_every_event_nothing_is_refused_and_one_answer_is_heard(
    bench: Bench, cancel: OnCancel
) -> None:
    """Before `created` included: the engine refuses nothing, and one reply to the last turn is heard."""
    bench.afterwards = Script(otherwise=ANSWERING)  # where the socket had to be replaced
    events = events_of_a_reply(bench)
    cases = [gevent.spawn(interrupt, bench, at_event, cancel) for at_event in range(-1, events)]
    gevent.joinall(cases, raise_error=True)
    assert bench.refusals == []
    assert [answered_ms(case.value.heard) for case in cases] == [ANSWER_MS] * len(cases)
    assert [case.value.warnings for case in cases] == [[]] * len(cases)
