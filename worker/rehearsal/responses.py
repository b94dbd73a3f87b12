"""One response: its object, its items and, in the recorded order, its events (protocol 1.6 A, C, D, J)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from worker.rehearsal.brain import PCMU_BYTES_PER_MS, CallTool, Speak, Timing
from worker.rehearsal.conversation import Conversation, Ids, Item

# Odd on purpose: the sizes of the API's own deltas are not known (protocol 1.5), so nobody may rely on them.
CHUNK_BYTES = (1037, 2411, 777, 3203, 1601)
_ARGUMENT_CHARS = 7
_MS_PER_AUDIO_TOKEN = 50
_CHARS_PER_TEXT_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Emit:
    """Send this event."""

    kind: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """Let so much time pass."""

    ms: float


Step = Emit | Wait


class Response:
    """What a response has sent so far. Its methods yield the events, and remember each as it is yielded."""

    def __init__(
        self,
        ids: Ids,
        index: int,
        base: Mapping[str, Any],
        conversation: Conversation | None,
        phase: str | None,
    ) -> None:
        """`base`: the fields that stay (1.5); `conversation` is None out of band, and no item is mirrored."""
        self.id = ids.new("resp")
        self.index = index
        self.output: list[Item] = []
        self.status = "in_progress"
        self.spoke = False
        self._ids = ids
        self._base = base
        self._conversation = conversation
        self._phase = phase
        self._open: Item | None = None
        self._chunks = 0

    @property
    def text_only(self) -> bool:
        return bool(self._base["output_modalities"] == ["text"])

    @property
    def audio_ms(self) -> int:
        """How much speech the client was sent."""
        return sum(item.audio_ms for item in self.output)

    def created(self) -> Emit:
        """`response.created`."""
        return Emit("response.created", {"response": self._object(None, None)})

    def done(self, status: str, details: Mapping[str, Any] | None = None) -> Emit:
        """`response.done` with this status."""
        self.status = status
        return Emit("response.done", {"response": self._object(details, self._usage())})

    def speak(self, act: Speak, timing: Timing) -> Iterator[Step]:
        """Text and audio of one act, text ahead. Opens a message item, or goes on in the open one."""
        if self._open is not None and self._open.wire["type"] != "message":
            yield from self.close_item("completed")
        if self._open is None:
            yield from self._open_message()
        item = self._open
        assert item is not None  # noqa: S101 - opened above
        now = 0.0
        for at_ms, piece in sorted(self._timeline(act, timing), key=lambda entry: entry[0]):
            if at_ms > now:
                yield Wait(at_ms - now)
                now = at_ms
            yield self._text_delta(item, piece) if isinstance(piece, str) else self._audio_delta(item, piece)

    def call(self, act: CallTool, timing: Timing) -> Iterator[Step]:
        """One function call, its arguments in small pieces. The item stays open, as a message does."""
        yield from self.close_item("completed")
        call_id = self._ids.new("call")
        item = self._add_item(
            {
                "type": "function_call",
                "status": "in_progress",
                "name": act.name,
                "call_id": call_id,
                "arguments": "",
            }
        )
        yield from self._announce(item)
        for start in range(0, len(act.arguments), _ARGUMENT_CHARS):
            if start:
                yield Wait(timing.text_step_ms / 10)
            delta = act.arguments[start : start + _ARGUMENT_CHARS]
            item.wire["arguments"] += delta
            where = {**self._at(item, content=False), "call_id": call_id}
            yield Emit("response.function_call_arguments.delta", {**where, "delta": delta, **_padding(delta)})

    def close_item(self, status: str) -> Iterator[Emit]:
        """The closing events of the open item, if there is one. Only what was opened is closed."""
        item, self._open = self._open, None
        if item is None:
            return
        if item.wire["type"] == "function_call":
            where = {**self._at(item, content=False), "call_id": item.wire["call_id"]}
            fields = {**where, "name": item.wire["name"], "arguments": item.wire["arguments"]}
            yield Emit("response.function_call_arguments.done", fields)
        elif item.wire["content"]:
            yield from self._close_part(item)
        item.wire["status"] = status
        if self._conversation is not None:
            fields = {"previous_item_id": self._conversation.previous_id(item), "item": item.wire}
            yield Emit("conversation.item.done", fields)
        yield self._item_event("response.output_item.done", item)

    def _open_message(self) -> Iterator[Emit]:
        phase = {"phase": self._phase} if self._phase else {}
        item = self._add_item(
            {"type": "message", "status": "in_progress", "role": "assistant", "content": [], **phase}
        )
        item.model_audio = not self.text_only
        yield from self._announce(item)
        kind, part = ("output_text", "text") if self.text_only else ("output_audio", "transcript")
        item.wire["content"] = [{"type": kind, part: ""}]
        yield Emit("response.content_part.added", {**self._at(item), "part": self._part(item)})

    def _close_part(self, item: Item) -> Iterator[Emit]:
        text = self._text_of(item)
        if self.text_only:
            yield Emit("response.output_text.done", {**self._at(item), "text": text})
        else:
            yield Emit("response.output_audio.done", self._at(item))
            yield Emit("response.output_audio_transcript.done", {**self._at(item), "transcript": text})
        yield Emit("response.content_part.done", {**self._at(item), "part": self._part(item)})

    def _add_item(self, wire: dict[str, Any]) -> Item:
        item = self._open = Item({"id": self._ids.new("item"), **wire})
        self.output.append(item)
        return item

    def _announce(self, item: Item) -> Iterator[Emit]:
        yield self._item_event("response.output_item.added", item)
        if self._conversation is not None:
            previous = self._conversation.add(item)
            yield Emit("conversation.item.added", {"previous_item_id": previous, "item": item.wire})

    def _timeline(self, act: Speak, timing: Timing) -> Iterator[tuple[float, str | bytes]]:
        words = re.findall(r"\s*\S+\s*$|\s*\S+", self._joined(act.text))
        audio = b"" if self.text_only else act.pcmu
        rate = PCMU_BYTES_PER_MS * timing.faster_than_playback
        # No word may come after the sound of it, however many words there are.
        step = min(timing.text_step_ms, len(audio) / rate / len(words)) if audio and words else timing.text_step_ms
        for index, word in enumerate(words):
            yield index * step, word
        position = 0
        while position < len(audio):
            size = CHUNK_BYTES[self._chunks % len(CHUNK_BYTES)]
            self._chunks += 1
            yield timing.audio_behind_text_ms + position / rate, audio[position : position + size]
            position += size

    def _joined(self, text: str) -> str:
        said = self._text_of(self._open) if self._open is not None else ""
        return f" {text}" if said and not said[-1].isspace() and not text[:1].isspace() else text

    def _text_delta(self, item: Item, delta: str) -> Emit:
        part = item.wire["content"][0]
        field = "text" if self.text_only else "transcript"
        part[field] = (part[field] or "") + delta
        kind = "response.output_text.delta" if self.text_only else "response.output_audio_transcript.delta"
        return Emit(kind, {**self._at(item), "delta": delta, **_padding(delta)})

    def _audio_delta(self, item: Item, pcmu: bytes) -> Emit:
        self.spoke = True
        item.audio_bytes += len(pcmu)
        delta = base64.b64encode(pcmu).decode()
        return Emit("response.output_audio.delta", {**self._at(item), "delta": delta})

    def _part(self, item: Item) -> dict[str, Any]:
        text = self._text_of(item)
        return {"type": "text", "text": text} if self.text_only else {"type": "audio", "transcript": text}

    def _text_of(self, item: Item) -> str:
        content = item.wire.get("content") or [{}]
        return content[0].get("text") or content[0].get("transcript") or ""

    def _at(self, item: Item, *, content: bool = True) -> dict[str, Any]:
        where = {"response_id": self.id, "item_id": item.id, "output_index": self.output.index(item)}
        return {**where, "content_index": 0} if content else where

    def _item_event(self, kind: str, item: Item) -> Emit:
        where = {"response_id": self.id, "output_index": self.output.index(item)}
        return Emit(kind, {**where, "item": item.wire})

    def _object(self, details: Mapping[str, Any] | None, usage: Mapping[str, Any] | None) -> dict[str, Any]:
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self.status,
            "status_details": details,
            "output": [item.wire for item in self.output],
            "usage": usage,
            **self._base,
        }

    def _usage(self) -> dict[str, Any]:
        """Plausible, not metered: text by its length, audio by its duration."""
        texts = [self._text_of(item) or item.wire.get("arguments", "") for item in self.output]
        text = sum(len(said) for said in texts) // _CHARS_PER_TEXT_TOKEN
        audio = self.audio_ms // _MS_PER_AUDIO_TOKEN
        none = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
        return {
            "total_tokens": text + audio,
            "input_tokens": 0,
            "output_tokens": text + audio,
            "input_token_details": {**none, "cached_tokens": 0, "cached_tokens_details": none},
            "output_token_details": {"text_tokens": text, "audio_tokens": audio},
        }


def _padding(delta: str) -> dict[str, str]:
    """The API pads text deltas so that their length tells nothing (protocol 1.5, recorded)."""
    return {"obfuscation": "x" * (16 - len(delta) % 16)}
