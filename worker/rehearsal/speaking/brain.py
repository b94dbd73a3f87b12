"""The brain that hears and speaks. English only; what it knows stands in `phrases.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache

from worker.rehearsal.brain import (
    Act,
    Brain,
    CallTool,
    HearingConfig,
    ResponseRequest,
    Speak,
    SpeechStarted,
    SpeechStopped,
    Timing,
)
from worker.rehearsal.speaking import dialogue
from worker.rehearsal.speaking.ears import Recogniser, RecogniserError
from worker.rehearsal.speaking.phrases import SENTENCES
from worker.rehearsal.speaking.vad import VoiceActivity
from worker.rehearsal.speaking.voice import speak, speak_digits

# Speech has about this much time for a word; a cough that resembles a sentence has not.
SHORTEST_WORD_MS = 110
BYTES_A_MS = 8
PACE = 190  # words a minute: brisk, as people at a desk speak


@cache
def shared_recogniser() -> Recogniser:
    """One pool for all sessions of this process."""
    return Recogniser()


def warm() -> None:
    """Load library, model and grammar before the first caller comes."""
    speak(dialogue.FAREWELL)
    shared_recogniser().warm(SENTENCES)


class SpeakingBrain(Brain):
    """One caller's receptionist."""

    needs_transcripts = True
    # Quicker than a model far away: recognising and speaking take their own time on top.
    timing = Timing(created_ms=40, first_output_ms=80, audio_behind_text_ms=60, transcription_ms=50)

    def __init__(self) -> None:
        self._activity: VoiceActivity | None = None

    def configure(self, hearing: HearingConfig | None) -> None:
        self._activity = None if hearing is None else VoiceActivity(hearing)

    def hear(self, pcmu: bytes) -> Sequence[SpeechStarted | SpeechStopped]:
        return () if self._activity is None else self._activity.hear(pcmu)

    def transcribe(self, pcmu: bytes) -> str | None:
        try:
            text = shared_recogniser().recognise(pcmu, SENTENCES)
        except RecogniserError:
            return None
        plausible = len(pcmu) / BYTES_A_MS >= SHORTEST_WORD_MS * len(text.split())
        return text if plausible else ""

    def respond(self, request: ResponseRequest) -> Iterator[Act]:
        decision = dialogue.decide(request.items, request.tools, request.instructions)
        if isinstance(decision, dialogue.Call):
            yield CallTool(decision.name, json.dumps(decision.arguments))
            return
        yield Speak(decision.text, speak(decision.text, words_per_minute=PACE))
        if decision.number:
            yield Speak(f" {' '.join(decision.number)}.", speak_digits(decision.number))
