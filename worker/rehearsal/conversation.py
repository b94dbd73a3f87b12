"""The default conversation: items in order, and what may be done to them (protocol 1.4, 1.6 G)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.rehearsal.brain import PCMU_BYTES_PER_MS
from worker.rehearsal.errors import Refused, bad_value, item_not_found, missing, unsupported

ROOT = "root"
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TEXT_TYPES = {"user": "input_text", "system": "input_text", "assistant": "output_text"}


class Ids:
    """Ids as the API writes them, unique in a process, in order (so that a log can be read)."""

    def __init__(self, session_number: int) -> None:
        self._counter = itertools.count(1)
        self._prefix = f"{session_number:04d}"

    def new(self, kind: str) -> str:
        """`new("item")` -> `item_R0001x000000017`."""
        return f"{kind}_R{self._prefix}x{next(self._counter):09d}"


@dataclass(slots=True)
class Item:
    """One item. `wire` is its JSON; `audio_bytes` is how much mu-law the client was sent of it."""

    wire: dict[str, Any]
    audio_bytes: int = 0
    model_audio: bool = False
    deleted: bool = field(default=False)

    @property
    def id(self) -> str:
        return str(self.wire["id"])

    @property
    def audio_ms(self) -> int:
        return self.audio_bytes // PCMU_BYTES_PER_MS


class Conversation:
    """The items of a session, in order. Refuses what the API refuses."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    @property
    def last_id(self) -> str | None:
        return self._items[-1].id if self._items else None

    def find(self, item_id: str) -> Item | None:
        """The item, or None."""
        return next((item for item in self._items if item.id == item_id), None)

    def get(self, item_id: str, param: str = "item_id") -> Item:
        """The item; refused when it is not there."""
        item = self.find(item_id)
        if item is None:
            raise item_not_found(item_id, param)
        return item

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Insert after this item (`root`: first; None: last). Returns the id of the one before it."""
        if after is None:
            position = len(self._items)
        elif after == ROOT:
            position = 0
        else:
            position = self._items.index(self.get(after, "previous_item_id")) + 1
        self._items.insert(position, item)
        return self._items[position - 1].id if position else None

    def previous_id(self, item: Item) -> str | None:
        """The id of the item before this one, or None."""
        index = self._items.index(item) if item in self._items else 0
        return self._items[index - 1].id if index else None

    def delete(self, item_id: str) -> None:
        """Remove an item; the chain closes behind it."""
        item = self.get(item_id)
        item.deleted = True
        self._items.remove(item)

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Cut a spoken item at `audio_end_ms`; its transcript is deleted. Refused as in protocol 1.6 G."""
        if audio_end_ms < 0:
            raise Refused(
                "integer_below_min_value",
                f"Invalid 'audio_end_ms': integer below minimum value. Expected a value >= 0, but got "
                f"{audio_end_ms} instead.",
                "audio_end_ms",
            )
        item = self.get(item_id)
        if not item.model_audio or item.audio_bytes == 0:
            # Also before its first audio: github.com/livekit/agents/pull/6249.
            raise Refused(None, "Only model output audio messages can be truncated")
        if content_index != 0:
            raise Refused(None, f"Item has no content part at index {content_index}", "content_index")
        if audio_end_ms > item.audio_ms:
            raise Refused(None, f"Audio content of {item.audio_ms}ms is already shorter than {audio_end_ms}ms")
        item.audio_bytes = audio_end_ms * PCMU_BYTES_PER_MS
        for part in item.wire["content"]:
            part["transcript"] = None

    def check_new(self, wire: Mapping[str, Any], *, where: str = "item") -> None:
        """Refuse what the types allow and the API does not: of a client's item, already validated."""
        if wire.get("id") is not None and self.find(wire["id"]) is not None:
            raise Refused(
                "invalid_value",
                f"Error adding item: an item with id '{wire['id']}' already exists in the conversation.",
                f"{where}.id",
            )
        if wire["type"] == "message":
            for index, part in enumerate(wire["content"]):
                _check_part(wire["role"], part, f"{where}.content[{index}]")
        elif wire["type"] == "function_call_output":
            self._check_call(wire["call_id"], where)
        elif wire["type"] == "function_call":
            _check_call_id(wire.get("call_id"), where)
        else:
            raise unsupported(f"'{wire['type']}' items", f"{where}.type")

    def _check_call(self, call_id: str, where: str) -> None:
        _check_call_id(call_id, where)
        calls = (item.wire for item in self._items if item.wire["type"] == "function_call")
        if not any(call.get("call_id") == call_id for call in calls):
            # github.com/livekit/agents/issues/3344, with a null param.
            raise Refused("invalid_tool_call_id", f"Tool call ID '{call_id}' not found in conversation.")


def _check_part(role: str, part: Mapping[str, Any], where: str) -> None:
    kind = part.get("type")
    if kind is None:
        raise missing(f"{where}.type")
    if kind in ("input_audio", "input_image"):
        raise unsupported(f"'{kind}' parts", f"{where}.type")
    if part.get("text") is None:
        # An assistant's audio can't be created either: github.com/openai/openai-agents-js/issues/963.
        raise missing(f"{where}.text")
    if kind != _TEXT_TYPES[role]:
        raise bad_value(kind, f"'{_TEXT_TYPES[role]}'", f"{where}.type")


def _check_call_id(call_id: str | None, where: str) -> None:
    if call_id is not None and not _CALL_ID.fullmatch(call_id):
        # github.com/livekit/agents/issues/5652
        raise Refused(
            "invalid_value",
            f"Invalid '{where}.call_id': string does not match pattern. "
            "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
            f"{where}.call_id",
        )
