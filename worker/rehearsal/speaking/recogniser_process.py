"""`python -m worker.rehearsal.speaking.recogniser_process`: recognises speech for its parent until stdin ends.

A request is two lengths (32 bits, big endian), a grammar (JSGF) and 16 kHz samples; the answer a length and text.
"""

from __future__ import annotations

import struct
import sys
from typing import IO, Any

import pocketsphinx

REQUEST = struct.Struct("!II")
ANSWER = struct.Struct("!I")


class Sphinx:
    """pocketsphinx with the English model of its wheel; each grammar is compiled once."""

    def __init__(self) -> None:
        pocketsphinx.set_loglevel("FATAL")
        model = pocketsphinx.get_model_path("en-us")
        self._decoder: Any = pocketsphinx.Decoder(
            hmm=f"{model}/en-us",
            dict=f"{model}/cmudict-en-us.dict",
            lm=None,
            loglevel="FATAL",
            wip=1e-3,
            cmn="batch",
        )
        self._names: dict[str, str] = {}

    def recognise(self, grammar: str, samples: bytes) -> str:
        """The sentence of the grammar that the audio fits best; empty when none does."""
        if grammar not in self._names:
            name = f"grammar_{len(self._names)}"
            self._decoder.add_jsgf_string(name, grammar)  # raises on a malformed one: then this process ends
            self._names[grammar] = name
        self._decoder.activate_search(self._names[grammar])
        self._decoder.start_utt()
        self._decoder.process_raw(samples, no_search=False, full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return str(found.hypstr) if found is not None else ""


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the parent closes its end, or dies."""
    sphinx = Sphinx()
    while header := requests.read(REQUEST.size):
        grammar_size, audio_size = REQUEST.unpack(header)
        grammar = requests.read(grammar_size).decode()
        text = sphinx.recognise(grammar, requests.read(audio_size)).encode()
        answers.write(ANSWER.pack(len(text)) + text)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
