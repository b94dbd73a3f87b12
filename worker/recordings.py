"""Sentences that ship with Moed, for when there is no model to speak: `sentences/<language>/<name>.ulaw`.

8 kHz µ-law without a header. An operator may replace the files by a person's voice.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "sentences"
_PIECE = 8000  # one second


@cache
def pieces(language: str, name: str) -> tuple[str, ...]:
    """A sentence as base64 payloads of at most a second."""
    audio = (FOLDER / language / f"{name}.ulaw").read_bytes()
    return tuple(base64.b64encode(audio[i : i + _PIECE]).decode() for i in range(0, len(audio), _PIECE))
