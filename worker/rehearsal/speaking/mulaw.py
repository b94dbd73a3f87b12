"""Telephone audio: G.711 µ-law to 16-bit samples and back, and speech from one sampling rate to another.

`pcmu` is 8 kHz µ-law, one byte a sample; `pcm` is 16-bit samples in the machine's byte order, mono. Standard
library only: `audioop` left it with Python 3.13.
"""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from operator import mul

TELEPHONE_RATE = 8000
FRAME_MS = 20
FRAME_BYTES = TELEPHONE_RATE * FRAME_MS // 1000
SILENCE = 0xFF

_BIAS = 132
_MOST = 32767
# Half the kernel's length in zero crossings, and its cut-off as a part of the lower rate's half: enough for
# speech (aliases stay 40 dB down) at about 2 µs a sample.
_ZERO_CROSSINGS = 6
_CUT_OFF = 0.92


def _magnitudes() -> list[int]:
    """What each of the 128 steps stands for, quietest first (ITU-T G.711, table 2)."""
    return [(((step & 15) << 3) + _BIAS << (step >> 4)) - _BIAS for step in range(128)]


def _decoding_table() -> array[int]:
    """The sample of each code. A code is the step's complement; its top bit is set when positive."""
    steps = _magnitudes()
    return array("h", [-steps[127 - code] if code < 128 else steps[255 - code] for code in range(256)])


def _encoding_table() -> bytes:
    """The code of each sample, indexed by the sample as an unsigned 16-bit number."""
    codes = bytearray()
    for step in range(128):
        width = 8 << (step >> 4)
        codes += bytes([255 - step]) * (width if step else width // 2)
    positive = bytes(codes.ljust(_MOST + 1, bytes([128])))
    negative = bytes(code - 128 for code in positive)
    return positive + negative[-1:] + negative[:0:-1]


_SAMPLES = _decoding_table()
_LOW_BYTES = _SAMPLES.tobytes()[0::2]
_HIGH_BYTES = _SAMPLES.tobytes()[1::2]
_CODES = _encoding_table()


def decode(pcmu: bytes) -> bytes:
    """`pcmu` as 16-bit samples at the same rate."""
    pcm = bytearray(2 * len(pcmu))
    pcm[0::2] = pcmu.translate(_LOW_BYTES)
    pcm[1::2] = pcmu.translate(_HIGH_BYTES)
    return bytes(pcm)


def encode(pcm: bytes) -> bytes:
    """16-bit samples as µ-law at the same rate. Raises `ValueError` if a half sample is left over."""
    return bytes(map(_CODES.__getitem__, array("H", pcm)))


def resample(pcm: bytes, source_rate: int, target_rate: int) -> bytes:
    """Samples at `target_rate` (Hz), low-passed so that nothing folds back. As long as `pcm` to a sample."""
    if source_rate == target_rate:
        return pcm
    divisor = math.gcd(source_rate, target_rate)
    step, phases = source_rate // divisor, target_rate // divisor
    kernels = _kernels(source_rate, target_rate)
    width = len(kernels[0])
    margin = bytes(2 * (width // 2))
    samples = list(map(float, array("h", margin + pcm + margin)))
    resampled = array("h")
    for position in range(0, len(pcm) // 2 * phases, step):
        start, phase = divmod(position, phases)
        value = round(sum(map(mul, kernels[phase], samples[start + 1 : start + 1 + width])))
        resampled.append(max(-_MOST, min(_MOST, value)))
    return resampled.tobytes()


@lru_cache(maxsize=8)
def _kernels(source_rate: int, target_rate: int) -> tuple[tuple[float, ...], ...]:
    """A Hann-windowed sinc for each place that a target sample can have between two source samples."""
    phases = target_rate // math.gcd(source_rate, target_rate)
    cut_off = _CUT_OFF * min(1.0, target_rate / source_rate)
    reach = math.ceil(_ZERO_CROSSINGS / cut_off)
    kernels = []
    for phase in range(phases):
        taps = [_tap(index - reach + 1 - phase / phases, cut_off, reach) for index in range(2 * reach)]
        whole = sum(taps)
        kernels.append(tuple(tap / whole for tap in taps))
    return tuple(kernels)


def _tap(offset: float, cut_off: float, reach: int) -> float:
    if abs(offset) >= reach:
        return 0.0
    angle = math.pi * cut_off * offset
    return (math.sin(angle) / angle if angle else 1.0) * (0.5 + 0.5 * math.cos(math.pi * offset / reach))
