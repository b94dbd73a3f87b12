"""Speech by espeak-ng, called through ctypes: the `espeakng-loader` wheel brings the library and its data.

About 2 ms a second of speech for the library, and 25 ms for making it telephone audio, in pure Python.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from typing import Any

import espeakng_loader

from worker.rehearsal.speaking import mulaw

# Two that nobody mistakes for one another.
BOT_VOICE = "en-us+klatt4"  # of all voices the one whose spoken digits are recognised without a fault
CALLER_VOICE = "en-us+adam"
WORDS_PER_MINUTE = 150
DIGIT_PAUSE_MS = 300
# At these paces each digit was recognised in 30 of 30 alignments; a slower "six" is sometimes heard as an eight.
DIGIT_PACE = 160
DIGIT_PACES = {"6": 180}

# espeak-ng/speak_lib.h
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_RATE = 1

_SynthesisCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class VoiceError(Exception):
    """espeak-ng can't be loaded, or knows no such voice."""


class _Espeak:
    """The library is one set of globals: one text at a time, whoever asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library: Any = None
        self._rate = 0
        self._samples = bytearray()
        # Kept alive for as long as the library may call it.
        self._callback = _SynthesisCallback(self._take)

    def synthesise(self, text: str, voice: str, words_per_minute: int) -> tuple[bytes, int]:
        """16-bit samples and their rate."""
        with self._lock:
            if self._library is None:
                self._load()
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise VoiceError(f"espeak-ng knows no voice {voice!r}")
            self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
            self._samples.clear()
            spoken = text.encode()
            failed = self._library.espeak_Synth(
                spoken, len(spoken) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
            )
            if failed:
                raise VoiceError(f"espeak-ng refused a text of {len(spoken)} bytes")
            return bytes(self._samples), self._rate

    def _load(self) -> None:
        try:
            library = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise VoiceError(f"espeak-ng can't be loaded: {error}") from error
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        rate = library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _INITIALIZE_DONT_EXIT
        )
        if rate <= 0:
            raise VoiceError("espeak-ng can't read its data")
        library.espeak_SetSynthCallback(self._callback)
        self._library, self._rate = library, rate

    def _take(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._samples += ctypes.string_at(samples, 2 * count)
        return 0


_espeak = _Espeak()


@functools.lru_cache(maxsize=256)
def speak(text: str, *, voice: str = BOT_VOICE, words_per_minute: int = WORDS_PER_MINUTE) -> bytes:
    """`text` as telephone audio (µ-law, 8 kHz). Raises `VoiceError`.

    espeak-ng is loaded at the first call. It keeps a sentence's closing pause (about 300 ms) in the audio.
    """
    pcm, rate = _espeak.synthesise(text, voice, words_per_minute)
    return mulaw.encode(mulaw.resample(pcm, rate, mulaw.TELEPHONE_RATE))


def speak_digits(digits: str, *, voice: str = BOT_VOICE) -> bytes:
    """Digits one by one with a pause between them, as a number is told on the phone."""
    pause = b"\xff" * (DIGIT_PAUSE_MS * 8)
    paces = [DIGIT_PACES.get(digit, DIGIT_PACE) for digit in digits]
    sounds = [speak(d, voice=voice, words_per_minute=pace) for d, pace in zip(digits, paces, strict=True)]
    spoken = (sound.strip(b"\xff") for sound in sounds)
    return pause + pause.join(spoken) + pause
