"""What was said and done, in order, as a new connection must be told it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Said:
    """Somebody's words; the bot's are those that were heard."""

    at_ms: float
    role: str
    text: str
    # The caller's turn they belong to: its text may come, or be taken back, later.
    item_id: str = ""


@dataclass(slots=True)
class Done:
    """A tool call with its answer; without one (None) it is still running, and is told when it ends."""

    at_ms: float
    call_id: str
    name: str
    arguments: str
    output: str | None = None


class History:
    """What was said and done. Entries come when they are known for sure; `items` puts them in order of time."""

    def __init__(self, entries: Iterable[Said | Done] = ()) -> None:
        self.entries: list[Said | Done] = list(entries)

    def heard(self, at_ms: float, text: str) -> None:
        """The caller heard these words of ours."""
        if text:
            self.entries.append(Said(at_ms, "assistant", text))

    def turn(self, at_ms: float, item_id: str) -> None:
        """A turn of the caller stands here; its words come later, or never."""
        self.entries.append(Said(at_ms, "user", "", item_id))

    def turn_text(self, item_id: str, text: str) -> None:
        for entry in self.entries:
            if isinstance(entry, Said) and entry.item_id == item_id:
                entry.text = text

    def drop_turns(self, item_ids: Iterable[str]) -> None:
        """These turns were noises, or will be heard again."""
        gone = set(item_ids)
        self.entries = [e for e in self.entries if not (isinstance(e, Said) and e.item_id and e.item_id in gone)]

    def call(self, at_ms: float, call_id: str, name: str, arguments: str) -> None:
        self.entries.append(Done(at_ms, call_id, name, arguments))

    def answer(self, call_id: str, output: str) -> Done:
        """Enter the answer of a call that `call` entered before."""
        call = next(e for e in self.entries if isinstance(e, Done) and e.call_id == call_id)
        call.output = output
        return call

    def items(self) -> list[Mapping[str, Any]]:
        """Items for `conversation.item.create`. Assistant audio can't be created: text stands for it."""
        ordered = sorted(self.entries, key=lambda entry: entry.at_ms)
        return [item for entry in ordered for item in _items(entry)]


def output_item(call_id: str, output: str) -> Mapping[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def call_item(call: Done) -> Mapping[str, Any]:
    return {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}


def message_item(role: str, text: str) -> Mapping[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def _items(entry: Said | Done) -> list[Mapping[str, Any]]:
    if isinstance(entry, Done):
        return [] if entry.output is None else [call_item(entry), output_item(entry.call_id, entry.output)]
    if not entry.text:
        return []
    return [message_item(entry.role, entry.text)]
