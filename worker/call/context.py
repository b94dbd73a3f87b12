"""What the parts of the machine share while one event is handled: the time, the deadlines, the commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.call.commands import Command, Log, Record
from worker.call.deadlines import Deadlines


@dataclass(frozen=True, slots=True)
class CallConfig:
    """What a business wants of its calls. Durations in milliseconds."""

    greeting: str
    barge_in_enabled: bool = True
    barge_in_after_greeting: bool = False
    cancel_wait_ms: int = 500
    vad_prefix_padding_ms: int = 300
    vad_silence_duration_ms: int = 500


class Context:
    """`now_ms` is the time of the event being handled; commands leave in the order they were asked for."""

    def __init__(self, config: CallConfig) -> None:
        self.config = config
        self.now_ms = 0.0
        self.deadlines = Deadlines()
        self._commands: list[Command] = []
        self._ids = 0

    def emit(self, command: Command) -> None:
        self._commands.append(command)

    def record(self, kind: str, at_ms: float | None = None, /, **data: Any) -> None:
        """A timeline entry, of now unless `at_ms` says otherwise."""
        self.emit(Record(self.now_ms if at_ms is None else at_ms, kind, data))

    def log(self, event: str, /, **fields: Any) -> None:
        """A log line: never what was said, nor who said it."""
        self.emit(Log(event, fields))

    def new_id(self, prefix: str) -> str:
        """An id of ours for an event, a create or an item; unique within the call."""
        self._ids += 1
        return f"{prefix}_{self._ids}"

    def take_commands(self) -> list[Command]:
        commands, self._commands = self._commands, []
        return commands
