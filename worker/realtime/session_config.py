"""The one `session.update` that a call sends, and the check that the API took it (docs/protocols.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PCMU = {"type": "audio/pcmu"}


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What a call's Realtime session must be. `tools` are the API's function definitions."""

    instructions: str
    voice: str
    language: str
    transcription_model: str
    tools: Sequence[Mapping[str, Any]]
    prefix_padding_ms: int
    silence_duration_ms: int

    def update(self) -> dict[str, Any]:
        """The `session` object. Nested objects are sent whole: whether the API merges them is not known."""
        return {
            "type": "realtime",
            "instructions": self.instructions,
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": PCMU,
                    "transcription": {"model": self.transcription_model, "languages": [self.language]},
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.5,
                        "prefix_padding_ms": self.prefix_padding_ms,
                        "silence_duration_ms": self.silence_duration_ms,
                        "create_response": False,  # we own every response
                        "interrupt_response": False,
                    },
                },
                "output": {"format": PCMU, "voice": self.voice},
            },
            "tools": list(self.tools),
            "tool_choice": "auto",
        }

    def differences(self, session: Mapping[str, Any]) -> list[str]:
        """Where the session that the API reports is not the one that a call can be run on."""
        audio = _get(session, "audio")
        detection = _get(audio, "input", "turn_detection")
        checks = {
            "input format": _get(audio, "input", "format", "type") == PCMU["type"],
            "output format": _get(audio, "output", "format", "type") == PCMU["type"],
            "create_response": _get(detection, "create_response") is False,
            "interrupt_response": _get(detection, "interrupt_response") is False,
            "tools": self._same_tools(_get(session, "tools")),
        }
        return [name for name, right in checks.items() if not right]

    def _same_tools(self, tools: Any) -> bool:
        names = [_get(tool, "name") for tool in tools] if isinstance(tools, list) else None
        return names == [tool["name"] for tool in self.tools]


def _get(value: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value
