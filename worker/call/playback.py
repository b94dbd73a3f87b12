"""What the caller has really heard: the ledger of audio sent to the phone.

The carrier's buffer plays in real time. What was heard follows from the marks that came back and the clock
since, capped by what was sent. After a `clear` the carrier echoes every pending mark at once: those were not
heard, so the generation in a mark's name is compared (docs/protocols.md, "Marks").
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from worker.call import commands as cmd
from worker.call.context import Context
from worker.call.deadlines import Deadline
from worker.call.events import AudioDelta
from worker.call.tables import PLAYBACK, Axis, Playback, Trigger

MARK_EVERY_MS = 400.0
MARK_GRACE_MS = 1000.0
# How long a character of speech lasts, roughly, while its audio is not all here yet.
MS_A_CHARACTER = 60.0


@dataclass(slots=True)
class Segment:
    """One item of a response: its text, and its audio from `start_ms` on the phone's buffer's clock."""

    response_id: str
    item_id: str
    content_index: int = 0
    start_ms: float = 0.0
    forwarded_ms: float = 0.0
    received_ms: float = 0.0
    heard_ms: float = 0.0
    begun_at_ms: float = 0.0
    complete: bool = False
    # Its socket is gone: no item stands behind it any more.
    orphaned: bool = False
    text: str = ""

    @property
    def fully_heard(self) -> bool:
        """Nothing that the model generated for it is missing in the caller's ear."""
        return self.complete and self.received_ms > 0 and self.heard_ms >= self.received_ms

    @property
    def heard_text(self) -> str:
        """What of the text was heard, to the last whole word: the text runs ahead of its audio."""
        if self.fully_heard:
            return self.text
        total = self.received_ms if self.complete else max(self.received_ms, len(self.text) * MS_A_CHARACTER)
        if self.heard_ms <= 0 or total <= 0:
            return ""
        cut = round(len(self.text) * min(1.0, self.heard_ms / total))
        if cut < len(self.text) and not self.text[cut].isspace():
            cut = self.text.rfind(" ", 0, cut) + 1
        return self.text[:cut].rstrip()


class Ledger(Axis):
    """The playback axis, with the segments that are neither wholly heard nor corrected yet."""

    def __init__(self, context: Context, settle: Callable[[Segment], None]) -> None:
        """`settle(segment)` is told of each segment when it is known what was heard of it."""
        super().__init__(PLAYBACK, Playback.SILENT)
        self._context = context
        self._settle = settle
        self._segments: list[Segment] = []
        self._generation = 0
        self._sent_ms = 0.0
        self._confirmed_ms = 0.0
        self._marked_ms = 0.0
        self._ends_at_ms = 0.0
        self._marks: deque[tuple[str, float]] = deque()
        self._cut: list[Segment] = []
        self._known: set[str] = set()

    @property
    def playing(self) -> bool:
        return self.state == Playback.PLAYING

    def enter(self, response_id: str, item_id: str) -> Segment | None:
        """The segment of an item, entered when it is new; None when it was heard or corrected before."""
        if item_id not in self._known:
            self._known.add(item_id)
            self._segments.append(Segment(response_id, item_id, begun_at_ms=self._context.now_ms))
        return self._find(item_id)

    def add_text(self, item_id: str, text: str) -> None:
        """More of what an item says."""
        segment = self._find(item_id)
        if segment is not None:
            segment.text += text

    def forwarded(self, response_id: str) -> bool:
        """Whether any audio of the response went to the phone and is still in the ledger."""
        return any(s.forwarded_ms for s in self._segments + self._cut if s.response_id == response_id)

    def text_of(self, response_id: str | None) -> str:
        """What the items of the response say, as far as their text has come."""
        return " ".join(s.text for s in self._segments if s.response_id == response_id and s.text)

    def _find(self, item_id: str) -> Segment | None:
        return next((s for s in self._segments + self._cut if s.item_id == item_id), None)

    def send(self, delta: AudioDelta) -> None:
        """Forward audio to the phone and enter it."""
        now, segment = self._context.now_ms, self.enter(delta.response_id, delta.item_id)
        if segment is None:
            return
        if not segment.forwarded_ms:
            segment.content_index, segment.start_ms = delta.content_index, self._sent_ms
            segment.begun_at_ms = max(now, self._ends_at_ms)
        segment.forwarded_ms += delta.duration_ms
        segment.received_ms += delta.duration_ms
        self._sent_ms += delta.duration_ms
        self._ends_at_ms = max(now, self._ends_at_ms) + delta.duration_ms
        self._context.emit(cmd.PlayAudio(delta.payload))
        self.fire(Trigger.AUDIO_SENT)
        self._context.deadlines.set(Deadline.PLAYBACK, self._ends_at_ms + MARK_GRACE_MS)
        if self._sent_ms - self._marked_ms >= MARK_EVERY_MS:
            self.mark()

    def drop(self, delta: AudioDelta) -> None:
        """Audio that comes after its response was cancelled: generated, never forwarded."""
        segment = self.enter(delta.response_id, delta.item_id)
        if segment is not None:
            segment.received_ms += delta.duration_ms

    def mark(self) -> None:
        """Ask the carrier to tell when everything up to here was played."""
        if self._sent_ms > self._marked_ms:
            name = f"{self._generation}:{round(self._sent_ms)}"
            self._marks.append((name, self._sent_ms))
            self._marked_ms = self._sent_ms
            self._context.emit(cmd.SendMark(name))

    def mark_returned(self, name: str) -> None:
        """Played up to there; a mark of an older generation proves nothing."""
        if all(name != pending for pending, _ in self._marks):
            return
        while True:
            pending, position = self._marks.popleft()
            if pending == name:
                break
        now = self._context.now_ms
        self._confirmed_ms = position
        self._ends_at_ms = now + self._sent_ms - position
        self._context.deadlines.set(Deadline.PLAYBACK, self._ends_at_ms + MARK_GRACE_MS)
        self._hear(position)
        if position >= self._sent_ms:
            self.fire(Trigger.LAST_MARK)

    def complete(self, response_id: str) -> None:
        """The response is done: what was received is all that its items have."""
        for segment in self._segments + self._cut:
            segment.complete = segment.complete or segment.response_id == response_id
        self.mark()
        self._settle_heard()

    def cut(self, response_id: str, item_ids: Iterable[str]) -> None:
        """The response was interrupted: none of its items is said further; those never heard are corrected too."""
        for item_id in item_ids:
            self.enter(response_id, item_id)
        for segment in [s for s in self._segments if s.response_id == response_id]:
            self._segments.remove(segment)
            self._cut.append(segment)

    def interrupt(self) -> None:
        """Clear the phone and freeze what was heard of every segment. Corrections wait for `corrections`."""
        self._context.emit(cmd.ClearAudio())
        self._hear(self.heard_position())
        self._cut += self._segments
        self._segments = []
        self._generation += 1
        self._sent_ms = self._confirmed_ms = self._marked_ms = 0.0
        self._ends_at_ms = 0.0
        self._marks.clear()
        self._context.deadlines.clear(Deadline.PLAYBACK)
        self.fire(Trigger.CLEARED)

    def heard_position(self) -> float:
        """Milliseconds of what was sent since the last clear that have been played by now."""
        played = self._sent_ms - max(0.0, self._ends_at_ms - self._context.now_ms)
        return min(self._sent_ms, max(self._confirmed_ms, played))

    def heard_text(self) -> str:
        """What was heard of the segments that were cut and not yet corrected."""
        return " ".join(filter(None, (segment.heard_text for segment in self._cut)))

    def correct(self) -> None:
        """Bring the model's history in line with what was heard, item by item."""
        for segment in self._cut:
            self._correct_item(segment)
            self._settle(segment)
        self._cut = []

    def socket_lost(self) -> None:
        """The items are gone with their socket; what is at the phone plays on, and its end is all there is."""
        self._orphan_all()
        self.correct()
        for segment in self._segments:
            segment.complete = True
        self.mark()
        self._settle_heard()

    def close(self) -> None:
        """The stream is over: what was not heard by now never will be."""
        self._hear(self.heard_position())
        self._orphan_all()
        self._cut += self._segments
        self._segments = []
        self.correct()

    def all_heard(self) -> None:
        self._hear(self._sent_ms)
        self._context.deadlines.clear(Deadline.PLAYBACK)

    def _correct_item(self, segment: Segment) -> None:
        if segment.fully_heard or segment.orphaned:
            return
        heard = int(min(segment.heard_ms, segment.forwarded_ms))
        if heard <= 0:
            self._context.emit(cmd.DeleteItem(self._context.new_id("delete"), segment.item_id))
        elif heard < int(segment.received_ms):
            event_id = self._context.new_id("truncate")
            self._context.emit(cmd.TruncateItem(event_id, segment.item_id, segment.content_index, heard))

    def _orphan_all(self) -> None:
        for segment in self._segments + self._cut:
            segment.orphaned = True

    def _hear(self, position_ms: float) -> None:
        for segment in self._segments:
            heard = min(segment.forwarded_ms, position_ms - segment.start_ms)
            segment.heard_ms = max(segment.heard_ms, heard, 0.0)
        self._settle_heard()

    def _settle_heard(self) -> None:
        for segment in [s for s in self._segments if s.fully_heard]:
            self._segments.remove(segment)
            self._settle(segment)
