"""What is left of a call's timeline when nobody may know any more what was said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# Texts that are no words of a person: ids, and words of our own vocabulary. Numbers and switches stay wherever
# they stand. What is not named here goes, so that a new kind of entry gives nothing away.
_OWN_TEXTS: Mapping[str, frozenset[str]] = {
    "barge_in": frozenset({"response_id"}),
    "connection_lost": frozenset({"reason"}),
    "fault": frozenset({"code"}),
    "latency": frozenset({"response_id"}),
    "recorded_sentence": frozenset({"name", "reason"}),
    "tool_call": frozenset({"tool_call_id", "name"}),
}
# A later stream of the call must still tell the model what was booked.
_OF_OUTPUT = ("success", "code", "appointment_id", "appointment_number")


def without_words(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` of a timeline entry without what was said: lengths, counts, ids and outcomes stay."""
    own = _OWN_TEXTS.get(kind, frozenset())
    kept = {name: value for name, value in data.items() if isinstance(value, int | float) or name in own}
    if kind == "tool_call":
        kept["arguments"] = "{}"
        kept["output"] = json.dumps(_outcome(data.get("output")))
    return kept


def _outcome(output: object) -> dict[str, Any]:
    try:
        given = json.loads(output) if isinstance(output, str) else None
    except ValueError:
        given = None
    return {name: given[name] for name in _OF_OUTPUT if name in given} if isinstance(given, dict) else {}
