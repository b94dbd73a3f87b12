"""A brain for tests: plain data says what it replies, what it hears and what goes wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from worker.rehearsal.brain import (
    PCMU_BYTES_PER_MS,
    PCMU_SILENCE,
    Act,
    Brain,
    HearingConfig,
    ResponseRequest,
    Speak,
    SpeechStarted,
    SpeechStopped,
    Timing,
)
from worker.rehearsal.faults import SOUND, Faults, ResponseFaults, Rule

FRAME_MS = 20
_FRAME_BYTES = FRAME_MS * PCMU_BYTES_PER_MS
_ONSET_FRAMES = 3
_LOUD_SHARE = 0.2


def tone(ms: int, mark: int = 0x20) -> bytes:
    """`ms` of a loud square wave, 500 Hz. `mark` (0..0x40) tells one tone from another: see `marks`."""
    period = bytes([mark]) * PCMU_BYTES_PER_MS + bytes([mark | 0x80]) * PCMU_BYTES_PER_MS
    return (period * (ms // 2 + 1))[: ms * PCMU_BYTES_PER_MS]


def marks(pcmu: bytes) -> set[int]:
    """Which tones are in this audio, by their marks."""
    return {byte & 0x7F for byte in pcmu} - {PCMU_SILENCE[0] & 0x7F}


def silence(ms: int) -> bytes:
    """`ms` of mu-law silence."""
    return PCMU_SILENCE * (ms * PCMU_BYTES_PER_MS)


def says(text: str, ms: int | None = None, mark: int = 0x20) -> Speak:
    """Speech: this text, and a tone of `ms` (default: 60 ms a character) for its sound."""
    return Speak(text, tone(60 * len(text) if ms is None else ms, mark))


@dataclass(frozen=True)
class Reply:
    """What one response does, and what is wrong with it. No acts: it completes without output."""

    acts: tuple[Act, ...] = ()
    faults: ResponseFaults = SOUND


def reply(*acts: Act, faults: ResponseFaults = SOUND) -> Reply:
    """`reply(says("Hello."), CallTool("find", "{}"))`."""
    return Reply(acts, faults)


ReplyTo = Callable[[ResponseRequest], Iterable[Act]]


@dataclass(frozen=True)
class Script:
    """One session. `replies`: by the number of the response, then `otherwise`; `answer`, where it is given, makes
    the acts from the request instead (the faults still come from `replies`). `turns`: the texts of the turns that
    real audio makes, in order ("" noise, None failed), then `otherwise_heard`.
    """

    replies: Sequence[Reply] = ()
    otherwise: Reply = field(default_factory=lambda: reply(says("I see.", 400)))
    answer: ReplyTo | None = None
    turns: Sequence[str | None] = ()
    otherwise_heard: str | None = "hello"
    rules: Sequence[Rule] = ()
    timing: Timing = field(default_factory=Timing)


class ScriptedBrain(Brain):
    """Plays a `Script`. `requests` are all requests so far; its ears hear loudness only."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.timing = self.script.timing
        faults = {number: one.faults for number, one in enumerate(self.script.replies)}
        self.faults = Faults(tuple(self.script.rules), faults)
        self.requests: list[ResponseRequest] = []
        self.turns_heard: list[bytes] = []
        self._ears: LoudnessEars | None = None

    def configure(self, hearing: HearingConfig | None) -> None:
        if hearing is None:
            self._ears = None
        elif self._ears is None:
            self._ears = LoudnessEars(hearing)
        else:
            self._ears.hearing = hearing

    def hear(self, pcmu: bytes) -> Sequence[SpeechStarted | SpeechStopped]:
        return self._ears.hear(pcmu) if self._ears is not None else ()

    def transcribe(self, pcmu: bytes) -> str | None:
        number = len(self.turns_heard)
        self.turns_heard.append(pcmu)
        turns = self.script.turns
        return turns[number] if number < len(turns) else self.script.otherwise_heard

    def respond(self, request: ResponseRequest) -> Iterable[Act]:
        self.requests.append(request)
        if self.script.answer is not None:
            return self.script.answer(request)
        replies = self.script.replies
        return (replies[request.index] if request.index < len(replies) else self.script.otherwise).acts


def in_turn(*scripts: Script) -> Callable[[], ScriptedBrain]:
    """A brain factory: the first session gets the first script, and so on; the last one stays."""
    waiting = deque(scripts)
    return lambda: ScriptedBrain(waiting.popleft() if len(waiting) > 1 else waiting[0])


class LoudnessEars:
    """A VAD by loudness: three loud frames begin a turn, `silence_duration_ms` of quiet ones end it."""

    def __init__(self, hearing: HearingConfig) -> None:
        self.hearing = hearing
        self._rest = b""
        self._frames = 0
        self._loud = 0
        self._quiet = 0
        self._speaking = False

    def hear(self, pcmu: bytes) -> list[SpeechStarted | SpeechStopped]:
        """What began or ended in this audio. Positions as in `Brain.hear`."""
        found: list[SpeechStarted | SpeechStopped] = []
        audio = self._rest + pcmu
        whole = len(audio) - len(audio) % _FRAME_BYTES
        self._rest = audio[whole:]
        for start in range(0, whole, _FRAME_BYTES):
            self._frames += 1
            change = self._frame(_is_loud(audio[start : start + _FRAME_BYTES], self.hearing.threshold))
            if change is not None:
                found.append(change)
        return found

    def _frame(self, loud: bool) -> SpeechStarted | SpeechStopped | None:  # noqa: FBT001 - what it is about
        self._loud = self._loud + 1 if loud else 0
        self._quiet = 0 if loud else self._quiet + 1
        now_ms = self._frames * FRAME_MS
        if not self._speaking and self._loud >= _ONSET_FRAMES:
            self._speaking = True
            onset = now_ms - self._loud * FRAME_MS
            return SpeechStarted(max(0, onset - self.hearing.prefix_padding_ms))
        if self._speaking and self._quiet * FRAME_MS >= self.hearing.silence_duration_ms:
            self._speaking = False
            return SpeechStopped(now_ms)
        return None


def _magnitude(byte: int) -> int:
    """The absolute sample of a mu-law byte, 0..32124 (ITU-T G.711)."""
    value = ~byte & 0xFF
    return ((((value & 0x0F) << 3) + 0x84) << ((value & 0x70) >> 4)) - 0x84


_MAGNITUDES = [_magnitude(byte) for byte in range(256)]


@cache
def _louder_than(threshold: float) -> bytes:
    """A `bytes.translate` table: 1 for each byte above the level of a threshold from 0 to 1."""
    level = 200 + 2000 * threshold
    return bytes(magnitude > level for magnitude in _MAGNITUDES)


def _is_loud(frame: bytes, threshold: float) -> bool:
    return frame.translate(_louder_than(threshold)).count(1) > _LOUD_SHARE * len(frame)
