"""Sounds: µ-law, voice activity, and the stretches between pauses."""

from __future__ import annotations

from worker.rehearsal.brain import HearingConfig, SpeechStarted, SpeechStopped
from worker.rehearsal.speaking import mulaw
from worker.rehearsal.speaking.listening import recognise_number
from worker.rehearsal.speaking.vad import VoiceActivity
from worker.rehearsal.speaking.voice import speak, speak_digits

SILENCE = b"\xff" * 8


class FakeRecogniser:
    """Answers with the next of `words`; remembers how long the sounds were."""

    def __init__(self, *words: str) -> None:
        self.words = [word for word in words for _ in range(3)]
        self.heard_ms: list[float] = []

    def recognise(self, pcmu: bytes, grammar: str) -> str:
        self.heard_ms.append(len(pcmu) / 8)
        return self.words.pop(0) if self.words else ""


def test_mulaw_there_and_back_every_code_is_itself() -> None:
    """G.711: decoding and encoding again loses nothing (negative zero is zero)."""
    codes = bytes(range(256))
    assert mulaw.encode(mulaw.decode(codes)).replace(b"\x7f", b"\xff") == codes.replace(b"\x7f", b"\xff")


def test_voice_begins_and_ends_with_padding_and_silence() -> None:
    """Positions count all audio; the padding comes before, the configured silence after."""
    activity = VoiceActivity(HearingConfig(prefix_padding_ms=300, silence_duration_ms=500))
    audio = SILENCE * 1000 + speak("I would like an appointment please") + SILENCE * 1500
    changes = activity.hear(audio)
    assert [type(change) for change in changes] == [SpeechStarted, SpeechStopped]
    started, stopped = changes
    assert isinstance(started, SpeechStarted)
    assert isinstance(stopped, SpeechStopped)
    assert 600 <= started.audio_start_ms <= 1000
    assert len(audio) / 8 - 1500 <= stopped.audio_end_ms <= len(audio) / 8


def test_pieces_of_any_length_are_heard_as_one() -> None:
    """The wire's frames are not the detector's."""
    audio = SILENCE * 500 + speak("the first one please") + SILENCE * 1000
    whole = VoiceActivity(HearingConfig()).hear(audio)
    pieces = VoiceActivity(HearingConfig())
    assert [c for at in range(0, len(audio), 137) for c in pieces.hear(audio[at : at + 137])] == whole


def test_nobody_speaks_nothing_is_heard() -> None:
    """A quiet line is no turn."""
    assert VoiceActivity(HearingConfig()).hear(SILENCE * 4000) == []


def test_digits_are_told_apart_by_their_pauses() -> None:
    """Each is heard alone; the sentence before them is too long for one."""
    recogniser = FakeRecogniser("one", "zero", "four", "two")
    audio = speak("Your appointment number is") + speak_digits("1042") + SILENCE * 500
    assert recognise_number(recogniser, audio) == 1042  # type: ignore[arg-type]
    assert all(ms < 1400 for ms in recogniser.heard_ms)


def test_no_digits_were_spoken_there_is_no_number() -> None:
    """A sentence, or nothing at all."""
    assert recognise_number(FakeRecogniser(), speak("Which one would you like?")) is None  # type: ignore[arg-type]
    assert recognise_number(FakeRecogniser(), b"") is None  # type: ignore[arg-type]
