"""A Realtime client and its engine in virtual time: no sockets, no greenlets, no waiting."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from worker.rehearsal.brain import Brain, ResponseRequest
from worker.rehearsal.loop import VirtualLoop
from worker.rehearsal.outbox import Entry
from worker.rehearsal.scripted import Script, ScriptedBrain, silence, tone
from worker.rehearsal.session import RealtimeSession

PCMU = {"type": "audio/pcmu"}
# What the media worker asks for: turns are detected, nothing is created or cancelled by the server itself.
MANUAL_VAD = {
    "type": "server_vad",
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "create_response": False,
    "interrupt_response": False,
}


class VirtualClient:
    """Sends client events; `advance` lets time pass. `closed` is (code, reason) once the server has closed."""

    def __init__(self, script: Script | None = None, brain: Brain | None = None) -> None:
        self.loop = VirtualLoop()
        self.brain = brain or ScriptedBrain(script)
        self.closed: tuple[int | None, str] | None = None
        self.session = RealtimeSession(self.brain, self.loop, lambda _: None, self._close)
        self.session.start()

    def _close(self, code: int | None, reason: str) -> None:
        self.closed = (code, reason)

    @property
    def requests(self) -> list[ResponseRequest]:
        """What the scripted brain was asked, in order."""
        assert isinstance(self.brain, ScriptedBrain)
        return self.brain.requests

    @property
    def turns_heard(self) -> list[bytes]:
        """The audio of each turn that the scripted brain transcribed."""
        assert isinstance(self.brain, ScriptedBrain)
        return self.brain.turns_heard

    @property
    def log(self) -> list[Entry]:
        """Everything that was received, in order."""
        return self.session.server_events

    @property
    def types(self) -> list[str]:
        return [entry.type for entry in self.log]

    def events(self, kind: str) -> list[Mapping[str, Any]]:
        """All events of a type."""
        return [entry.event for entry in self.log if entry.type == kind]

    def last(self, kind: str) -> Mapping[str, Any]:
        """The newest event of a type."""
        return self.events(kind)[-1]

    @property
    def error(self) -> Mapping[str, Any]:
        """The newest error."""
        error: Mapping[str, Any] = self.last("error")["error"]
        return error

    def send(self, kind: str, **fields: Any) -> None:
        """Send one client event."""
        self.session.receive(json.dumps({"type": kind, **fields}))

    def update(self, **session: Any) -> None:
        """Send a `session.update` with these fields."""
        self.send("session.update", session={"type": "realtime", **session})

    def configure(self, detection: Mapping[str, Any] | None = MANUAL_VAD, **session: Any) -> VirtualClient:
        """The session that a telephone needs."""
        listening = {"format": PCMU, "transcription": {"model": "gpt-transcribe"}, "turn_detection": detection}
        self.update(audio={"input": listening, "output": {"format": PCMU}}, **session)
        self.advance(100)
        return self

    def create(self, **response: Any) -> None:
        """Send a `response.create`."""
        self.send("response.create", response=response)

    def say_item(self, text: str, **fields: Any) -> None:
        """Create a user's text item."""
        content = [{"type": "input_text", "text": text}]
        self.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content, **fields}
        )

    def append(self, pcmu: bytes) -> None:
        """Append audio, in frames of 20 ms."""
        for start in range(0, len(pcmu), 160):
            audio = base64.b64encode(pcmu[start : start + 160]).decode()
            self.send("input_audio_buffer.append", audio=audio)

    def speak(self, ms: int, *, quiet_ms: int = 600) -> None:
        """A real turn of the caller: loud, then quiet."""
        self.append(tone(ms) + silence(quiet_ms))

    def advance(self, ms: float) -> None:
        """Let time pass."""
        self.loop.advance(ms)

    def of_response(self, number: int) -> list[str]:
        """The types of a response's own events, in order."""
        return [entry.type for entry in self.log if entry.place is not None and entry.place[0] == number]
