"""What the session hears: the input audio buffer, the caller's turns, their transcription (protocol 1.6 B, I)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from worker.rehearsal.brain import PCMU_BYTES_PER_MS, Brain, SpeechStarted, SpeechStopped
from worker.rehearsal.config import SessionConfig
from worker.rehearsal.conversation import Conversation, Ids, Item
from worker.rehearsal.errors import commit_empty
from worker.rehearsal.faults import CallerSpeaks
from worker.rehearsal.loop import Callback, Loop, Timer, raised_at

log = structlog.get_logger(__name__)

MIN_COMMIT_MS = 100
# Nobody commits more than the last minute of silence; a call of an hour would otherwise keep 28 MB.
_KEEP_QUIET_MS = 60_000
_IDLE_TEXT = (
    "No user speech was detected for a while. If the user was speaking, respond naturally; "
    "if not, ask whether they are still there."
)


class Host(Protocol):
    """What the ears need of their session."""

    loop: Loop
    brain: Brain
    ids: Ids
    config: SessionConfig
    conversation: Conversation

    def emit(self, kind: str, fields: Mapping[str, Any]) -> None: ...

    def settle(self) -> None: ...

    def speech_began(self) -> None: ...

    def turn_ended(self) -> None: ...


@dataclass(slots=True)
class _Turn:
    """The caller is speaking. `scripted`: by a rule, not by the brain's ears."""

    item_id: str
    start_ms: int
    scripted: bool = False


class Ears:
    """One session's hearing. The audio clock counts every byte that was ever appended."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._buffer = bytearray()
        self._buffer_start = 0
        self._clock = 0
        self._turn: _Turn | None = None
        self._transcribing: set[str] = set()
        self._waiting: list[tuple[set[str], Callback]] = []
        self._idle: Timer | None = None

    @property
    def clock_ms(self) -> int:
        return self._clock // PCMU_BYTES_PER_MS

    @property
    def caller_speaks(self) -> bool:
        return self._turn is not None

    def append(self, pcmu: bytes) -> None:
        """More audio. Nothing is answered unless the brain hears a turn begin or end."""
        self._buffer += pcmu
        self._clock += len(pcmu)
        if self._host.config.turn_detection is None:
            return
        for heard in self._host.brain.hear(pcmu):
            if isinstance(heard, SpeechStarted):
                self._started(heard.audio_start_ms)
            elif self._turn is not None and not self._turn.scripted:
                self._stopped(heard)
        if self._turn is None:
            self._forget(_KEEP_QUIET_MS)

    def clear(self) -> None:
        """Drop what is buffered. The clock goes on."""
        self._forget(0)

    def commit(self) -> None:
        """The client commits the buffer by itself. Creates no response."""
        buffered = len(self._buffer)
        if buffered < MIN_COMMIT_MS * PCMU_BYTES_PER_MS:
            raise commit_empty(buffered / PCMU_BYTES_PER_MS)
        item_id = self._host.ids.new("item")
        if self._turn is not None:
            # What the API does with the rest of such a turn is not known: here it becomes an item of its own.
            item_id, self._turn.item_id = self._turn.item_id, item_id
        pcmu = bytes(self._buffer)
        self._forget(0)
        self._commit(item_id, lambda: self._host.brain.transcribe(pcmu), len(pcmu))

    def turn_detection_changed(self) -> None:
        """Another configuration: a turn in progress survives, unless turn detection was switched off."""
        self._host.brain.configure(self._host.config.hearing)
        if self._host.config.turn_detection is None:
            self._turn = None

    def caller_is_heard(self, speech: CallerSpeaks) -> None:
        """A scripted turn: it begins now, whatever the audio says."""
        hearing = self._host.config.hearing
        if hearing is None or self._turn is not None:
            return
        begin = self.clock_ms
        end = begin + speech.for_ms + hearing.silence_duration_ms
        self._started(max(0, begin - hearing.prefix_padding_ms), scripted=True)
        turn = self._turn

        def stop() -> None:
            if self._turn is turn:
                self._stopped(SpeechStopped(end), lambda: speech.text)
                self._host.settle()

        shortened = speech.stop_after_ms
        self._host.loop.call_later(end - begin if shortened is None else shortened, stop)

    def when_heard(self, callback: Callback) -> None:
        """Call it once every transcription that is running now has returned: at once, if none is."""
        running = set(self._transcribing)
        if running:
            self._waiting.append((running, callback))
        else:
            callback()

    def response_ended(self, speech_ms: int) -> None:
        """Arm the idle timeout: after that response's playback (1.6 I)."""
        self.disarm()
        timeout = (self._host.config.turn_detection or {}).get("idle_timeout_ms")
        if timeout is not None:
            clock = self.clock_ms
            self._idle = self._host.loop.call_later(speech_ms + timeout, lambda: self._timed_out(clock))

    def disarm(self) -> None:
        """No idle timeout: somebody speaks, or the session ends."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _started(self, audio_start_ms: int, *, scripted: bool = False) -> None:
        if self._turn is not None:
            return
        self.disarm()
        self._turn = _Turn(self._host.ids.new("item"), audio_start_ms, scripted)
        fields = {"audio_start_ms": audio_start_ms, "item_id": self._turn.item_id}
        self._host.emit("input_audio_buffer.speech_started", fields)
        self._host.speech_began()

    def _stopped(self, heard: SpeechStopped, transcribe: Callable[[], str | None] | None = None) -> None:
        turn, self._turn = self._turn, None
        assert turn is not None  # noqa: S101 - both callers know
        fields = {"audio_end_ms": heard.audio_end_ms, "item_id": turn.item_id}
        self._host.emit("input_audio_buffer.speech_stopped", fields)
        pcmu = self._take(turn.start_ms, heard.audio_end_ms)
        self._commit(turn.item_id, transcribe or (lambda: self._host.brain.transcribe(pcmu)), len(pcmu))
        self._host.turn_ended()

    def _commit(self, item_id: str, transcribe: Callable[[], str | None], size: int) -> None:
        wire = {
            "id": item_id,
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        item = Item(wire)
        previous = self._host.conversation.add(item)
        self._host.emit("input_audio_buffer.committed", {"previous_item_id": previous, "item_id": item_id})
        self._host.emit("conversation.item.added", {"previous_item_id": previous, "item": wire})
        self._host.emit("conversation.item.done", {"previous_item_id": previous, "item": wire})
        self._transcribe(item, transcribe, size)

    def _transcribe(self, item: Item, transcribe: Callable[[], str | None], size: int) -> None:
        wanted = self._host.config.input["transcription"] is not None
        if not wanted and not self._host.brain.needs_transcripts:
            return
        began = self._host.loop.now_ms()
        self._transcribing.add(item.id)

        def heard(text: str | Exception | None) -> None:
            if isinstance(text, Exception):
                log.error("brain failed to transcribe", error=type(text).__name__, at=raised_at(text))
                text = None
            item.wire["content"][0]["transcript"] = text
            self._heard(item.id)
            if wanted:
                rest = self._host.brain.timing.transcription_ms - (self._host.loop.now_ms() - began)
                self._host.loop.call_later(max(0.0, rest), lambda: self._tell(item.id, text, size))

        self._host.loop.run(transcribe, heard)

    def _heard(self, item_id: str) -> None:
        self._transcribing.discard(item_id)
        waiting, self._waiting = self._waiting, []
        for items, callback in waiting:
            items.discard(item_id)
            if items:
                self._waiting.append((items, callback))
            else:
                callback()

    def _tell(self, item_id: str, text: str | None, size: int) -> None:
        """The transcription's events. It may come after anything, even after the item is gone (1.6 B)."""
        kind = "conversation.item.input_audio_transcription"
        where = {"item_id": item_id, "content_index": 0}
        if text is None:
            error = {
                "type": "transcription_error",
                "code": "audio_unintelligible",
                "message": "The audio could not be transcribed.",
                "param": None,
            }
            self._host.emit(f"{kind}.failed", {**where, "error": error})
        else:
            if text:
                self._host.emit(f"{kind}.delta", {**where, "delta": text})
            usage = {"type": "duration", "seconds": size / PCMU_BYTES_PER_MS / 1000}
            self._host.emit(f"{kind}.completed", {**where, "transcript": text, "usage": usage})
        self._host.settle()

    def _timed_out(self, armed_at_ms: int) -> None:
        """Nobody spoke: the recorded order of 1.6 I. The server's clock is the audio, so it needs audio."""
        self._idle = None
        if self.clock_ms == armed_at_ms or self._turn is not None:
            return
        item_id = self._host.ids.new("item")
        span = {"audio_start_ms": armed_at_ms, "audio_end_ms": self.clock_ms, "item_id": item_id}
        self._host.emit("input_audio_buffer.timeout_triggered", span)
        note = {
            "id": self._host.ids.new("item"),
            "type": "message",
            "status": "completed",
            "role": "system",
            "content": [{"type": "input_text", "text": _IDLE_TEXT}],
        }
        previous = self._host.conversation.add(Item(note))
        self._host.emit("conversation.item.added", {"previous_item_id": previous, "item": note})
        self._host.emit("conversation.item.done", {"previous_item_id": previous, "item": note})
        self._forget(0)
        self._commit(item_id, lambda: "", 0)
        self._host.turn_ended()
        self._host.settle()

    def _take(self, start_ms: int, end_ms: int) -> bytes:
        """The audio of a turn, as far as it is still there; the buffer begins anew behind it."""
        start = max(0, start_ms * PCMU_BYTES_PER_MS - self._buffer_start)
        end = max(0, end_ms * PCMU_BYTES_PER_MS - self._buffer_start)
        pcmu = bytes(self._buffer[start:end])
        dropped = min(end, len(self._buffer))
        del self._buffer[:dropped]
        self._buffer_start += dropped
        return pcmu

    def _forget(self, keep_ms: int) -> None:
        dropped = len(self._buffer) - keep_ms * PCMU_BYTES_PER_MS
        if dropped > 0:
            del self._buffer[:dropped]
            self._buffer_start += dropped
