"""Hearing an appointment number in what a phone received: digits spoken one by one, with a pause between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from worker.rehearsal.speaking.ears import Recogniser
from worker.rehearsal.speaking.phrases import DIGITS, ONE_DIGIT
from worker.rehearsal.speaking.voice import DIGIT_PAUSE_MS

BYTES_A_MS = 8
FRAME_BYTES = 160
# Between digits there is more silence than within a word, and less than between sentences.
SEPARATING_MS = DIGIT_PAUSE_MS * 0.7
LONGEST_DIGIT_MS = 900
FEWEST_DIGITS = 3
MARGIN = 60 * BYTES_A_MS  # words begin and end softly
_QUIET = frozenset((0xFF, 0x7F, 0xFE, 0x7E, 0xFD, 0x7D))


def recognise_number(recogniser: Recogniser, pcmu: bytes) -> int | None:
    """The last number that was spoken digit by digit; None when there is none. Raises `RecogniserError`."""
    digits: list[str] = []
    numbers: list[str] = []
    for sound in [*_sounds(pcmu), b""]:
        heard = _digit(recogniser, sound) if 0 < len(sound) <= LONGEST_DIGIT_MS * BYTES_A_MS else ""
        if heard in DIGITS:
            digits.append(str(DIGITS.index(heard)))
            continue
        if len(digits) >= FEWEST_DIGITS:
            numbers.append("".join(digits))
        digits = []
    return int(numbers[-1]) if numbers else None


def _sounds(pcmu: bytes) -> Iterator[bytes]:
    """The stretches between pauses."""
    begin = end = None
    for start in range(0, len(pcmu), FRAME_BYTES):
        frame = pcmu[start : start + FRAME_BYTES]
        if sum(byte not in _QUIET for byte in frame) >= len(frame) // 8:
            begin = start if begin is None else begin
            end = start + FRAME_BYTES
        elif begin is not None and end is not None and start + FRAME_BYTES - end >= SEPARATING_MS * BYTES_A_MS:
            yield pcmu[max(0, begin - MARGIN) : end + MARGIN]
            begin = end = None
    if begin is not None:
        yield pcmu[max(0, begin - MARGIN) :]


def _digit(recogniser: Recogniser, sound: bytes) -> str:
    """The word that most of a few hearings agree on: where the sound begins within a frame shifts all of them."""
    lead, tail = b"\xff" * (200 * BYTES_A_MS), b"\xff" * (200 * BYTES_A_MS)
    shifts = (0, 27, 53)
    heard = [recogniser.recognise(lead + b"\xff" * shift + sound + tail, ONE_DIGIT) for shift in shifts]
    words = Counter(filter(None, heard)).most_common(1)
    return words[0][0] if words else ""
