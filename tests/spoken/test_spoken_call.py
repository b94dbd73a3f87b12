"""The whole path: a voice goes in at the carrier's WebSocket, a committed row comes out, its number is heard."""

from __future__ import annotations

import json

from worker.demo import report
from worker.demo.call import place_call
from worker.demo.caller import NAME
from worker.demo.stack import running_stack
from worker.demo.supervisor import free_port


def test_synthetic_caller_books_by_voice_and_hears_the_row_s_number(database_url: str) -> None:
    """Every process, every protocol and every sound is real; the caller interrupts once and is answered."""
    with running_stack(database_url, free_port()) as stack:
        call = place_call(stack)
    assert call.row is not None
    assert call.heard_number == call.row.number
    assert call.booked
    assert call.row.customer_name.casefold() == NAME.casefold()
    assert call.stored.barge_ins == 1
    summary = json.loads(report.summary(call.stored, call.row))
    assert summary["clear_ms"] is not None
    cut = [turn for turn in summary["transcript"] if turn["who"] == "bot" and turn["heard"] != turn["said"]]
    assert len(cut) == 1
    tools = [entry.data["name"] for entry in call.stored.timeline if entry.kind == "tool_call"]
    assert tools == ["check_availability", "schedule_appointment"]
