"""`python -m worker.rehearsal.record_sentences`: speak the recorded sentences anew."""

from __future__ import annotations

import sys

from worker.recordings import FOLDER
from worker.rehearsal.speaking.voice import speak

# language, name: voice, text
SENTENCES = {
    ("en", "trouble"): (
        "en-us",
        "I am sorry. We have a technical problem, and I can't take your call right now. Please call again soon.",
    ),
    ("he", "trouble"): ("he", "סליחה. יש לנו תקלה טכנית, ואיני יכול לענות כרגע. אנא התקשרו שוב בקרוב."),
}

for (language, name), (voice, text) in SENTENCES.items():
    path = FOLDER / language / f"{name}.ulaw"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(speak(text, voice=voice))
    sys.stdout.write(f"{path.name} ({language}): {path.stat().st_size // 8} ms\n")
