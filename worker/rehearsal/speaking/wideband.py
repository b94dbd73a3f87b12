"""Telephone audio as a 16 kHz recogniser wants it: with a guess of what is above 4 kHz.

The recogniser's English model was made from 16 kHz speech. Telephone speech that is merely resampled has nothing
above 4 kHz, so an "s" sounds like silence to it, and of spoken digits every third was wrong. What a hiss would
have up there follows from its tilt: in an "s" all above 2.7 kHz is louder than all below 1 kHz, in a vowel far
fainter. So noise is added above 4 kHz, as loud as the tilt says, and a faint hiss over all bands, because exact
digital silence is as foreign to the model.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain, cycle, islice, repeat
from operator import add, mul

from worker.rehearsal.speaking import mulaw

RECOGNISER_RATE = 16000

_BLOCK = 40  # 5 ms at 8 kHz: the tilt is measured, and the noise set anew, so often
_HISS = 5.0
_TILT_GAIN = 2.0
_MOST_TILT = 30.0
_MOST = 32767


def _high_pass(samples: Sequence[float], cut_off: float, reach: int) -> list[float]:
    """A Hamming-windowed sinc. `cut_off` is a part of the sampling rate; `2 * reach` samples are lost."""
    taps = []
    for offset in range(-reach, reach + 1):
        angle = 2 * math.pi * cut_off * offset
        ideal = 2 * cut_off * (math.sin(angle) / angle if angle else 1.0)
        taps.append(-ideal * (0.54 + 0.46 * math.cos(math.pi * offset / (reach + 1))))
    taps[reach] += 1.0
    return [sum(map(mul, taps, samples[at : at + len(taps)])) for at in range(len(samples) - 2 * reach)]


def _noises() -> tuple[list[float], list[float]]:
    """Noise above 4.2 kHz, and a faint hiss over all bands: half a second each, the same in every process."""
    source = random.Random(8000)  # noqa: S311  # noise, not a secret
    white = [source.gauss(0, 1) for _ in range(RECOGNISER_RATE)]
    half = RECOGNISER_RATE // 2
    return [1.5 * sample for sample in _high_pass(white[:half], 4200 / 16000, 16)], [
        _HISS * sample for sample in white[half:]
    ]


_HIGH_NOISE, _FAINT_HISS = _noises()


def widen(pcmu: bytes) -> bytes:
    """`pcmu` as 16-bit samples at 16 kHz, with a guess of what the telephone cut off. About 40 ms a second."""
    narrow = mulaw.decode(pcmu)
    wide = array("h", mulaw.resample(narrow, mulaw.TELEPHONE_RATE, RECOGNISER_RATE))
    loudness = chain.from_iterable(repeat(loud, 2 * _BLOCK) for loud in _missing_loudness(array("h", narrow)))
    hiss = map(add, islice(cycle(_FAINT_HISS), len(wide)), map(mul, loudness, cycle(_HIGH_NOISE)))
    return array("h", _clipped(map(add, wide, hiss))).tobytes()


def _clipped(samples: Iterable[float]) -> list[int]:
    return [int(max(-_MOST, min(_MOST, sample))) for sample in samples]


def _missing_loudness(samples: array[int]) -> list[float]:
    """How loud the band above 4 kHz may have been, for each block."""
    loudness = []
    margin = array("h", bytes(8))
    padded = margin + samples + margin
    for start in range(4, len(samples) + 4, _BLOCK):
        block = padded[start - 4 : start + _BLOCK + 4]
        high, low = _high_energy(block), _low_energy(block)
        loudness.append(math.sqrt(high * min(_MOST_TILT, _TILT_GAIN * (high + 1) / (low + 1))))
    return loudness


def _high_energy(block: Sequence[int]) -> float:
    """Above 2.7 kHz: a fourth difference (33 dB down at 1 kHz) of every second sample is enough for an energy."""
    high = [
        a + e - 4 * (b + d) + 6 * c
        for a, b, c, d, e in zip(
            block[2:-6:2], block[3:-5:2], block[4:-4:2], block[5:-3:2], block[6:-2:2], strict=True
        )
    ]
    return sum(map(mul, high, high)) / (256 * len(high)) if high else 0.0


def _low_energy(block: Sequence[int]) -> float:
    """Below 1 kHz: means of eight samples (nothing at 1, 2, 3 kHz), every fourth."""
    low = [sum(block[at : at + 8]) / 8 for at in range(0, len(block) - 7, 4)]
    return sum(map(mul, low, low)) / len(low) if low else 0.0
