"""Recorded sentences: every language has every one."""

from __future__ import annotations

import base64

import pytest

from worker import recordings
from worker.call.machine import APOLOGY, CLOSING_LIMIT_MS
from worker.tools.refusals import SENTENCES

LANGUAGES = sorted(next(iter(SENTENCES.values())))


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentence_is_there_and_is_heard_before_the_line_is_closed(language: str) -> None:
    """As payloads of at most a second; the whole is shorter than the longest wait for its end."""
    pieces = [base64.b64decode(piece) for piece in recordings.pieces(language, APOLOGY)]
    assert all(0 < len(piece) <= 8000 for piece in pieces)
    assert 2000 < sum(map(len, pieces)) / 8 < CLOSING_LIMIT_MS
