"""Real recognition of real telephone sound: what the demo's call depends on."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from worker.demo.caller import CHOICE, FAREWELL, INTRODUCTION, REQUEST
from worker.rehearsal.speaking.ears import Recogniser, RecogniserError
from worker.rehearsal.speaking.listening import recognise_number
from worker.rehearsal.speaking.phrases import KNOWN_PHRASES, SENTENCES
from worker.rehearsal.speaking.voice import CALLER_VOICE, speak, speak_digits


@pytest.fixture(scope="module")
def recogniser() -> Iterator[Recogniser]:
    recogniser = Recogniser()
    yield recogniser
    recogniser.close()


def on_the_line(sound: bytes, shift: int) -> bytes:
    """As a turn comes: with silence around it, and beginning anywhere within a frame."""
    return b"\xff" * (2400 + shift) + sound + b"\xff" * 4000


def plain(text: str) -> str:
    return text.lower().replace(",", "")


@pytest.mark.parametrize("sentence", sorted({REQUEST, CHOICE, INTRODUCTION, FAREWELL, *KNOWN_PHRASES}))
def test_sentence_is_recognised_word_for_word(recogniser: Recogniser, sentence: str) -> None:
    """Wherever it begins."""
    sound = speak(sentence, voice=CALLER_VOICE)
    heard = {recogniser.recognise(on_the_line(sound, shift), SENTENCES) for shift in (0, 37, 90, 121)}
    assert heard == {plain(sentence)}


def test_numbers_are_heard_exactly(recogniser: Recogniser) -> None:
    """Every digit, told one by one after the sentence of the confirmation."""
    source = random.Random(1042)  # noqa: S311 - numbers to speak
    numbers = [*range(1001, 1011), *(source.randint(1001, 99999) for _ in range(10))]
    lead = speak("Your appointment number is")
    heard = [
        recognise_number(recogniser, on_the_line(lead + speak_digits(str(number)), source.randrange(160)))
        for number in numbers
    ]
    assert heard == numbers


def test_noise_is_not_taken_for_words(recogniser: Recogniser) -> None:
    """Bursts of a tenth of a second to more than one."""
    source = random.Random(7)  # noqa: S311 - noise
    for ms in (120, 300, 600, 1200):
        burst = bytes(source.choice((0x20, 0xA0, 0x60, 0xE0)) for _ in range(8 * ms))
        assert recogniser.recognise(on_the_line(burst, 0), SENTENCES) == ""


def test_recogniser_dies_the_next_sentence_is_heard_by_a_new_one() -> None:
    """One error for the turn that was lost, and no more."""
    recogniser = Recogniser(processes=1)
    sound = on_the_line(speak(REQUEST, voice=CALLER_VOICE), 0)
    assert recogniser.recognise(sound, SENTENCES) == plain(REQUEST)
    with pytest.raises(RecogniserError):
        recogniser.recognise(sound, "no grammar at all")
    assert recogniser.recognise(sound, SENTENCES) == plain(REQUEST)
    recogniser.close()
