"""What the rehearsal engine's protocol half asks of a brain, and what a brain answers.

One brain serves one session, for its whole life. The protocol half owns ids, event order, refusals, turn
commits and timing; the brain owns ears (`hear`, `transcribe`) and mind (`respond`).
All audio is mu-law, 8 kHz, mono: 8 bytes are one millisecond. All positions and durations are in ms.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.rehearsal.faults import NO_FAULTS, Faults

PCMU_BYTES_PER_MS = 8
PCMU_SILENCE = b"\xff"


@dataclass(frozen=True, slots=True)
class HearingConfig:
    """`turn_detection` as the client has set it, for the ears.

    `threshold` is 0..1. A semantic VAD arrives here with the silence that the engine stands in for it.
    """

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller began to speak. `audio_start_ms` counts all audio appended so far and includes the padding."""

    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The caller has been silent for `silence_duration_ms`; `audio_end_ms` includes that silence."""

    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class Speak:
    """Say `text`; `pcmu` is its whole sound. Speaks in a row grow one message item (a sentence each is fine)."""

    text: str = field(repr=False)
    pcmu: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallTool:
    """Call the tool `name`; `arguments` is the JSON text, sent as it is. Several in one response are allowed."""

    name: str
    arguments: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for `ms`."""

    ms: int


@dataclass(frozen=True, slots=True)
class Fail:
    """End the response with status failed (protocol 1.6 J). Nothing after it is asked for."""

    code: str = "server_error"
    message: str = "The server had an error while processing your request."
    error_type: str = "server_error"


@dataclass(frozen=True, slots=True)
class Incomplete:
    """End the response with status incomplete: `max_output_tokens` or `content_filter` (protocol 1.6 J)."""

    reason: str = "max_output_tokens"


Act = Speak | CallTool | Pause | Fail | Incomplete


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """All that a model would see when it is asked for a response.

    `items` is the conversation in order, as wire items: {"id", "type": "message", "role", "content": [...]},
    function_call {"call_id", "name", "arguments"}, function_call_output {"call_id", "output"}. A caller's turn is
    content {"type": "input_audio", "transcript": str | None}; the bot's is {"type": "output_audio",
    "transcript": str | None}, None once it was truncated (protocol 1.6 G: its text is deleted).
    `instructions`, `tools` and `tool_choice` are the effective ones: the response's own, else the session's.
    `out_of_band` is `conversation: "none"`; `items` is then its `input`, if it was given one.
    """

    response_id: str
    index: int
    instructions: str = field(repr=False)
    items: tuple[Mapping[str, Any], ...] = field(repr=False)
    tools: tuple[Mapping[str, Any], ...] = field(repr=False)
    tool_choice: str | Mapping[str, Any]
    output_modalities: tuple[str, ...]
    metadata: Mapping[str, str] | None
    out_of_band: bool
    voice: str


@dataclass(frozen=True, slots=True)
class Timing:
    """When events leave, in ms after what caused them.

    The defaults are those of one recorded session (protocol 1.6 A): after `response.create`, created +93, first
    transcript +403, first audio +524, and 3 s of speech in 240 ms.
    """

    session_updated_ms: float = 65
    created_ms: float = 93
    first_output_ms: float = 310  # created -> output_item.added and the first transcript delta
    audio_behind_text_ms: float = 121
    text_step_ms: float = 40
    faster_than_playback: float = 12.5
    done_ms: float = 30  # last delta -> the closing events
    cancelled_ms: float = 30  # cancel, or the caller's speech -> response.done
    rate_limits_ms: float = 30
    transcription_ms: float = 250  # committed -> transcription.completed, where `transcribe` itself took less


INSTANT = Timing(0, 0, 0, 0, 0, math.inf, 0, 0, 0, 0)


class Brain(ABC):
    """Ears and mind of one session. Subclass it; only the three abstract methods are required.

    `needs_transcripts`: the engine calls `respond` only once `transcribe` has returned for every turn committed
    before it, and calls `transcribe` even where the client has switched transcription off. A real model hears the
    audio itself, so `response.created` never waits for it, only the output does.
    """

    timing: Timing = Timing()
    faults: Faults = NO_FAULTS
    needs_transcripts: bool = False

    def configure(self, hearing: HearingConfig | None) -> None:  # noqa: B027  # not every brain cares
        """Take the turn detection, before the first audio and whenever it changes. None: it is off."""

    @abstractmethod
    def hear(self, pcmu: bytes) -> Sequence[SpeechStarted | SpeechStopped]:
        """Listen to the next appended audio, of any length; what began or ended in it, in order.

        Called for every append in order, silence included, while turn detection is on. It runs in the session's
        reader, so it must be quick (well below 1 ms per 20 ms of audio).
        """

    @abstractmethod
    def transcribe(self, pcmu: bytes) -> str | None:
        """The text of one committed turn: "" is noise, None is a transcription that failed.

        Called once per committed turn, in a greenlet of its own; calls begin in the order of the commits and may
        overlap. It may block that greenlet, never the hub.
        """

    @abstractmethod
    def respond(self, request: ResponseRequest) -> Iterable[Act]:
        """What to do now, lazily: the engine asks for the next act when it has sent the last.

        Iterated in a greenlet of its own, which may be blocked (never the hub). Not iterated to its end when the
        response is cancelled: a generator is closed then. No act at all is a completed response without output.
        """

    def close(self) -> None:  # noqa: B027  # not every brain holds something
        """Let go of everything: the session has ended. Called once."""
