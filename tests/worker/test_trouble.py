"""When a part is missing: the caller hears something, the row says why, and what can go on goes on."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator

import pytest
from sqlalchemy import Engine, text

from app import create_app
from app.domain.calls import CallState
from app.models import db
from app.services import services_of
from tests.factories import as_tenant
from tests.integration.conftest import app_settings
from tests.integration.flaky_link import FlakyLink
from tests.worker.conftest import Bench, await_reply, running_bench, until
from worker import recordings
from worker.rehearsal.brain import Act, CallTool, ResponseRequest
from worker.rehearsal.faults import CallerSpeaks, DropSocket, Rule, Sent
from worker.rehearsal.phone import Phone
from worker.rehearsal.scripted import Script, marks, reply, says, tone

ANSWER = 0x30


def test_realtime_is_unreachable_caller_hears_the_recorded_sentence(bench: Bench) -> None:
    """Whole, and then the call ends; its row says why."""
    bench.engine.stop()
    phone = bench.call()
    assert phone.ended.wait(15)
    call = bench.closed(phone)
    sentence = b"".join(base64.b64decode(piece) for piece in recordings.pieces("en", "trouble"))
    assert sentence in phone.heard
    assert call.state == CallState.FAILED
    assert call.end_reason is not None
    assert call.end_reason.startswith("realtime_unreachable: connect_")
    assert bench.services.calls.after_stream(phone.call_sid).action == "hang_up"


@pytest.mark.parametrize("code", [1001, 1011, None])
def test_realtime_socket_drops_call_goes_on_with_its_history(bench: Bench, code: int | None) -> None:
    """1001 ends iteration without an error; a broken connection has no code at all."""
    drop = Rule(Sent("response.done"), DropSocket(code), after_ms=500)
    heard_again = Rule(Sent("session.updated"), CallerSpeaks("a question", stop_after_ms=50), after_ms=300)
    bench.afterwards = Script(otherwise=reply(says("The answer.", 300, ANSWER)), rules=[heard_again])
    phone = bench.call(Script(otherwise=reply(says("Hello.", 200)), rules=[drop]))
    until(lambda: ANSWER in marks(phone.heard), "the call did not go on")
    first = bench.engine.sessions[1].client_events[1]
    assert first.event["item"]["content"] == [{"type": "output_text", "text": "Hello."}]
    assert bench.refusals == []


def test_worker_is_lost_the_next_stream_of_the_call_knows_what_was_said(bench: Bench) -> None:
    """The carrier's socket breaks: `/voice/after` gives a new token, and the call is resumed, not greeted."""
    first = bench.call(Script(otherwise=reply(says("Hello.", 200))))
    await_reply(first)
    first.drop()
    assert bench.closed(first).state == CallState.LOST
    after = bench.services.calls.after_stream(first.call_sid)
    assert after.action == "reconnect"
    again = Phone(bench.url, first.call_sid, {"token": after.media_token or ""})
    bench.phones.append(again)
    bench.scripts.append(Script(otherwise=reply(says("As I said.", 300, ANSWER))))
    again.dial()
    until(lambda: ANSWER in marks(again.heard), "the second stream is silent")
    seeded, created = bench.engine.sessions[1].client_events[1:3]
    assert seeded.event["item"]["content"] == [{"type": "output_text", "text": "Hello."}]
    assert "cut off" in created.event["response"]["instructions"]
    await_reply(again)
    again.hang_up()
    call = bench.closed(again)
    assert (call.state, call.stream_count) == (CallState.ENDED, 2)
    assert [entry.data["heard"] for entry in call.timeline if entry.kind == "bot_turn"] == ["Hello.", "As I said."]


def tool_then_words(request: ResponseRequest) -> Iterable[Act]:
    """Greets; checks the calendar when asked; says whether that worked."""
    if request.items and request.items[-1]["type"] == "function_call_output":
        output = json.loads(request.items[-1]["output"])
        return [says(output["say"], 300, ANSWER)]
    if any(item.get("role") == "user" for item in request.items):
        return [CallTool("check_availability", "{}")]
    return [says("Hello.", 200)]


@pytest.fixture
def link(database_url: str) -> Iterator[FlakyLink]:
    link = FlakyLink(database_url)
    yield link
    link.close()


@pytest.fixture
def linked_bench(link: FlakyLink) -> Iterator[Bench]:
    """A bench whose database can go away."""
    app = create_app(app_settings(link.url))
    with running_bench(services_of(app)) as bench:
        yield bench
    with app.app_context():
        db.engine.dispose()


def test_database_is_down_the_tool_says_so_and_the_call_goes_on(linked_bench: Bench, link: FlakyLink) -> None:
    """`calendar_unavailable` within 3 s; the bot says the tool's words, and the timeline is written later."""
    bench = linked_bench
    phone = bench.call(Script(answer=tool_then_words))
    await_reply(phone)
    link.refuses = True
    link.cut()
    phone.say(tone(900))
    until(lambda: ANSWER in marks(phone.heard), "the bot said nothing")
    link.refuses = False
    until(lambda: bench.tool_answers(phone), "the timeline was not written")
    entry = next(entry for entry in bench.stored(phone).timeline if entry.kind == "tool_call")
    assert json.loads(entry.data["output"])["code"] == "calendar_unavailable"
    assert entry.data["took_ms"] <= 3000
    phone.hang_up()
    assert bench.closed(phone).state == CallState.ENDED


def test_twenty_calls_book_the_same_offer_at_once_exactly_one_gets_it(bench: Bench, engine: Engine) -> None:
    """The others are told that it was just taken, and what is free instead."""
    phones = [bench.call(Script(answer=races_for_the_first_slot)) for _ in range(20)]
    for phone in phones:
        phone.say(tone(900))
    until(lambda: all(len(bench.tool_answers(phone)) == 2 for phone in phones), "not all have tried", within_s=40)
    answers = [bench.tool_answers(phone)[1] for phone in phones]
    with as_tenant(engine, bench.business.id) as connection:
        rows = connection.execute(text("SELECT id FROM appointments")).all()
    assert [answer["success"] for answer in answers].count(True) == len(rows) == 1
    refused = [answer for answer in answers if not answer["success"]]
    assert {answer["code"] for answer in refused} <= {"slot_taken", "taken"}
    assert all(answer["alternatives"] for answer in refused)


def races_for_the_first_slot(request: ResponseRequest) -> Iterable[Act]:
    """Checks, and books the first offer without asking anybody."""
    last = request.items[-1] if request.items else {}
    if last.get("role") == "user":
        return [CallTool("check_availability", "{}")]
    if last.get("type") == "function_call_output" and "offers" in json.loads(last["output"]):
        return [CallTool("schedule_appointment", json.dumps({"offer_id": "o1", "customer_name": "Dana Levi"}))]
    return [says("Hello.", 200)]
