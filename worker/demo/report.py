"""The call on the terminal, turn by turn as it happens, from what is stored of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.domain.appointments import AppointmentDetails
from app.domain.calls import CallDetails, TimelineEntry


def progress(line: str) -> None:
    """A line about the demo itself; stdout belongs to the call."""
    sys.stderr.write(f"moed: {line}\n")
    sys.stderr.flush()


def show(entries: Iterable[TimelineEntry]) -> None:
    """Print what has been added to the timeline."""
    for entry in entries:
        line = _LINES.get(entry.kind)
        text = line(entry.data) if line is not None else ""
        if text:
            say(f"{entry.at_ms / 1000:6.1f}  {text}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def show_row(row: AppointmentDetails, heard: int | None) -> None:
    """The committed row, beside what the caller heard."""
    say("")
    say(
        f"row     appointment {row.id}: number {row.number}, {row.starts_at:%A %Y-%m-%d %H:%M %z},"
        f" {row.customer_name}, {row.status}, by {row.source}"
    )
    say(f"heard   number {heard or 'none'}, recognised from the audio that the phone received")


def summary(call: CallDetails, row: AppointmentDetails) -> str:
    """One JSON object with what happened."""
    clears = [entry.data["clear_ms"] for entry in call.timeline if entry.kind == "clear"]
    return json.dumps(
        {
            "call_id": call.id,
            "appointment_id": row.id,
            "appointment_number": row.number,
            "starts_at": row.starts_at.isoformat(),
            "customer_name": row.customer_name,
            "barge_ins": call.barge_ins,
            "clear_ms": max(clears, default=None),
            "transcript": transcript(call),
        },
        ensure_ascii=False,
    )


def transcript(call: CallDetails) -> list[dict[str, Any]]:
    """Who said what, in order of time; of the bot's words also those that were heard."""
    turns: list[dict[str, Any]] = []
    for entry in sorted(call.timeline, key=lambda entry: entry.at_ms):
        data = entry.data
        if entry.kind == "caller_turn":
            turns.append({"at_ms": entry.at_ms, "who": "caller", "said": data["text"]})
        elif entry.kind == "bot_turn":
            turns.append(
                {"at_ms": entry.at_ms, "who": "bot", "said": data["text"].strip(), "heard": data["heard"]}
            )
    return turns


def appointment_id_of(call: CallDetails) -> int | None:
    """The appointment that a tool of this call booked, by the tool's own answer."""
    for entry in call.timeline:
        if entry.kind == "tool_call" and entry.data["name"] == "schedule_appointment":
            output = json.loads(entry.data["output"])
            if output.get("success"):
                return int(output["appointment_id"])
    return None


def _caller(data: Mapping[str, Any]) -> str:
    return f"caller  {data['text'] or '(not understood)'}"


def _bot(data: Mapping[str, Any]) -> str:
    said, heard = data["text"].strip(), data["heard"]
    if heard == said:
        return f"bot     {said}"
    heard_s, sent_s = data["heard_ms"] / 1000, data["sent_ms"] / 1000
    return f"bot     {heard} — cut off here; heard {heard_s:.1f} s of {sent_s:.1f} s: {said}"


def _tool(data: Mapping[str, Any]) -> str:
    return f"tool    {data['name']}({data['arguments']}) -> {data['output']}  [{data['took_ms']} ms]"


def _barge_in(_: Mapping[str, Any]) -> str:
    return "        [BARGE-IN] the caller speaks over the bot"


def _clear(data: Mapping[str, Any]) -> str:
    return f"        the phone's buffer was emptied {data['clear_ms']} ms later"


_LINES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "caller_turn": _caller,
    "bot_turn": _bot,
    "tool_call": _tool,
    "barge_in": _barge_in,
    "clear": _clear,
    "connection_lost": lambda data: f"        the connection to the model was lost: {data['reason']}",
    "recorded_sentence": lambda data: f"bot     (recorded sentence: {data['reason']})",
}
