"""Who speaks when: webrtcvad on 20 ms frames, with the parameters of the API's server VAD."""

from __future__ import annotations

from collections import deque

import webrtcvad

from worker.rehearsal.brain import HearingConfig, SpeechStarted, SpeechStopped
from worker.rehearsal.speaking import mulaw

FRAME_MS = 20
FRAME_BYTES = 160
# A voice has this many voiced frames among the last ones; a click has not.
ONSET_VOICED, ONSET_FRAMES = 4, 5


class VoiceActivity:
    """`hear` takes audio of any length; positions count all audio heard so far, in milliseconds."""

    def __init__(self, hearing: HearingConfig) -> None:
        self._hearing = hearing
        self._detector = webrtcvad.Vad(min(3, int(hearing.threshold * 4)))
        self._rest = b""
        self._frames = 0
        self._recent: deque[bool] = deque(maxlen=ONSET_FRAMES)
        self._quiet_ms = 0
        self._speaking = False

    def hear(self, pcmu: bytes) -> list[SpeechStarted | SpeechStopped]:
        """What began or ended in this audio."""
        audio = self._rest + pcmu
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        found = (self._frame(audio[at : at + FRAME_BYTES]) for at in range(0, whole, FRAME_BYTES))
        return [change for change in found if change is not None]

    def _frame(self, frame: bytes) -> SpeechStarted | SpeechStopped | None:
        voiced = self._detector.is_speech(mulaw.decode(frame), mulaw.TELEPHONE_RATE)
        self._frames += 1
        self._recent.append(voiced)
        self._quiet_ms = 0 if voiced else self._quiet_ms + FRAME_MS
        now_ms = self._frames * FRAME_MS
        if not self._speaking and sum(self._recent) >= ONSET_VOICED:
            self._speaking = True
            onset = now_ms - len(self._recent) * FRAME_MS
            return SpeechStarted(max(0, onset - self._hearing.prefix_padding_ms))
        if self._speaking and self._quiet_ms >= self._hearing.silence_duration_ms:
            self._speaking = False
            self._recent.clear()
            return SpeechStopped(now_ms)
        return None
