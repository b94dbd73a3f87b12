"""Whole calls: a phone on the carrier's wire, the worker, the engine and the database, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Engine, text

from app.domain.calls import CallState
from tests.factories import as_tenant
from tests.worker.conftest import Bench, await_reply, until
from worker.rehearsal.brain import Act, CallTool, ResponseRequest
from worker.rehearsal.scripted import Script, says, tone


def books_first_offer(request: ResponseRequest) -> Iterable[Act]:
    """A model that does as it is told: checks, offers, books, confirms."""
    last: dict[str, Any] = dict(request.items[-1]) if request.items else {}
    if last.get("type") == "function_call_output":
        output = json.loads(last["output"])
        return [says(output["say"], 600)]
    turns = sum(1 for item in request.items if item.get("role") == "user")
    if turns == 1:
        return [CallTool("check_availability", "{}")]
    if turns == 2:
        return [CallTool("schedule_appointment", json.dumps({"offer_id": "o1", "customer_name": "Dana Levi"}))]
    return [says("Hello.", 600)]


def test_caller_books_row_is_committed_and_number_is_told(bench: Bench, engine: Engine) -> None:
    """Check, offer, book: the tool's answer carries the row's own id and number."""
    phone = bench.call(Script(answer=books_first_offer, turns=["an appointment please", "the first one"]))
    for words in (1, 2):
        await_reply(phone)
        phone.say(tone(900))
        until(lambda: len(bench.tool_answers(phone)) == words, "the tool was not called")  # noqa: B023 - waited for
    await_reply(phone)
    answer = bench.tool_answers(phone)[1]
    phone.hang_up()
    call = bench.closed(phone)
    with as_tenant(engine, bench.business.id) as connection:
        (row,) = connection.execute(text("SELECT id, number, customer_name, call_id, source FROM appointments"))
    assert answer["success"] is True
    assert (answer["appointment_id"], answer["appointment_number"]) == (row.id, row.number)
    assert (row.customer_name, row.call_id, row.source) == ("Dana Levi", call.id, "voice")
    assert " ".join(str(row.number)) in answer["say"]
    assert (call.state, call.end_reason) == (CallState.ENDED, "caller_hung_up")
    assert bench.refusals == []
    assert phone.warnings == []
