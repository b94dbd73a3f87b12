"""The session's configuration: defaults as recorded, partial updates, limits (protocol 1.3)."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from worker.rehearsal.brain import HearingConfig
from worker.rehearsal.errors import Refused, bad_value, missing, unsupported

DEFAULT_INSTRUCTIONS = "You are a helpful assistant on the telephone. Be brief and friendly."
PCMU = {"type": "audio/pcmu"}
# A semantic VAD waits for the end of the thought; this engine waits for so much silence in its place.
_EAGERNESS_SILENCE_MS = {"low": 1000, "medium": 600, "auto": 600, "high": 300}
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_VAD_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "server_vad": {
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {"eagerness": "auto", "create_response": True, "interrupt_response": True},
}


class SessionConfig:
    """The effective configuration. `wire` is the `session` object of session.created and session.updated."""

    def __init__(self, session_id: str, model: str, expires_at: int) -> None:
        pcm = {"type": "audio/pcm", "rate": 24000}
        self.wire: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model,
            "output_modalities": ["audio"],
            "instructions": DEFAULT_INSTRUCTIONS,
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "expires_at": expires_at,
            "audio": {
                "input": {
                    "format": dict(pcm),
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": {"type": "server_vad", **_VAD_DEFAULTS["server_vad"]},
                },
                "output": {"format": dict(pcm), "voice": "marin", "speed": 1.0},
            },
            "include": None,
        }

    @property
    def input(self) -> dict[str, Any]:
        section: dict[str, Any] = self.wire["audio"]["input"]
        return section

    @property
    def output(self) -> dict[str, Any]:
        section: dict[str, Any] = self.wire["audio"]["output"]
        return section

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        """The turn detection, complete with its defaults, or None where it is off."""
        detection: dict[str, Any] | None = self.input["turn_detection"]
        return detection

    @property
    def hearing(self) -> HearingConfig | None:
        """The turn detection, as the brain takes it."""
        detection = self.turn_detection
        if detection is None:
            return None
        if detection["type"] == "semantic_vad":
            return HearingConfig(silence_duration_ms=_EAGERNESS_SILENCE_MS[detection["eagerness"]])
        return HearingConfig(
            detection["threshold"], detection["prefix_padding_ms"], detection["silence_duration_ms"]
        )

    def update(self, changes: Mapping[str, Any], *, voice_locked: bool) -> None:
        """Take the fields that are present, all or none. Raises `Refused`. `changes` is validated already."""
        if changes["type"] != "realtime":
            raise unsupported("transcription sessions", "session.type")
        if changes.get("model") not in (None, self.wire["model"]):
            raise Refused("cannot_update_model", "Cannot update a session's model.", "session.model")
        merged = copy.deepcopy(self.wire)
        for name, value in changes.items():
            if name == "audio":
                _merge_audio(merged["audio"], value or {})
            elif name == "instructions":
                merged[name] = value or DEFAULT_INSTRUCTIONS  # as recorded: "" brings the server's own back
            elif name == "tools":
                merged[name] = copy.deepcopy(value or [])
            elif name != "type":
                merged[name] = copy.deepcopy(value)
        _check_session(merged)
        if voice_locked and merged["audio"]["output"]["voice"] != self.output["voice"]:
            # github.com/openai/openai-agents-python/issues/1661
            raise Refused(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
            )
        self.wire = merged


def _merge_audio(audio: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Sections merge; the objects in them (format, turn detection …) replace, completed by their defaults."""
    for name, value in (changes.get("input") or {}).items():
        if name == "turn_detection" and value is not None:
            audio["input"][name] = {**_VAD_DEFAULTS[value["type"]], **_present(value)}
        elif name == "transcription" and value is not None:
            audio["input"][name] = {"language": None, "prompt": None, **value}
        elif name != "format" or value is not None:
            audio["input"][name] = copy.deepcopy(value)
    audio["output"].update(copy.deepcopy(_present(changes.get("output") or {})))


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _check_session(wire: Mapping[str, Any]) -> None:
    output = wire["audio"]["output"]
    check_overrides(wire, "session")
    _check_range(output["speed"], 0.25, 1.5, "session.audio.output.speed")
    detection = wire["audio"]["input"]["turn_detection"] or {}
    where = "session.audio.input.turn_detection"
    _check_range(detection.get("threshold"), 0, 1, f"{where}.threshold")
    _check_range(detection.get("prefix_padding_ms"), 0, 60_000, f"{where}.prefix_padding_ms")
    _check_range(detection.get("silence_duration_ms"), 0, 60_000, f"{where}.silence_duration_ms")
    _check_range(detection.get("idle_timeout_ms"), 5_000, 30_000, f"{where}.idle_timeout_ms")


def check_overrides(wire: Mapping[str, Any], where: str) -> None:
    """Refuse what the types allow and the API does not, in a session or in the parameters of a response."""
    modalities = wire.get("output_modalities")
    if modalities is not None and len(modalities) != 1:
        raise bad_value(modalities, "['text'] and ['audio']", f"{where}.output_modalities")
    tokens = wire.get("max_output_tokens")
    if isinstance(tokens, int):
        _check_range(tokens, 1, 4096, f"{where}.max_output_tokens")
    for index, tool in enumerate(wire.get("tools") or ()):
        _check_tool(tool, f"{where}.tools[{index}]")
    metadata = wire.get("metadata") or {}
    if len(metadata) > 16 or any(len(k) > 64 or len(v) > 512 for k, v in metadata.items()):
        raise Refused("invalid_value", f"Invalid '{where}.metadata': too many or too long.", f"{where}.metadata")


def _check_tool(tool: Mapping[str, Any], where: str) -> None:
    if tool.get("type") is None:
        raise missing(f"{where}.type")
    if tool["type"] != "function":
        raise unsupported("MCP tools", f"{where}.type")
    if tool.get("name") is None:
        raise missing(f"{where}.name")
    if not _TOOL_NAME.fullmatch(tool["name"]):
        raise Refused(
            "invalid_value",
            f"Invalid '{where}.name': string does not match pattern. "
            "Expected a string that matches the pattern '^[a-zA-Z0-9_-]{1,64}$'.",
            f"{where}.name",
        )


def _check_range(value: float | None, low: float, high: float, where: str) -> None:
    if value is not None and not low <= value <= high:
        raise bad_value(value, f"{low} to {high}", where)
