"""`python -m worker.call.replay FILE`: feed a recorded call to the machine and print the commands.

A line of FILE is one event as JSON, {"event": "SpeechStarted", "at_ms": 2350, "generation": 1, …}, with the fields
of its class in `events.py`. An optional first line {"config": {…}} has the fields of `CallConfig`. Ticks are given
whenever the machine wants one, so that a file holds only what came from outside.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from worker.call import events
from worker.call.commands import Command
from worker.call.context import CallConfig
from worker.call.machine import CallMachine


class MalformedReplayError(Exception):
    """A line that is no event; the text names the line."""


def replay(lines: Iterable[str]) -> Iterator[tuple[float, Command]]:
    """The commands of a recorded call, each with the time of its event in milliseconds."""
    machine: CallMachine | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = _parse(number, line)
        if machine is None:
            machine = CallMachine(_config(fields.pop("config", {})))
        if fields:
            yield from _take(machine, _event(number, fields))


def _take(machine: CallMachine, event: events.Event) -> Iterator[tuple[float, Command]]:
    while (wake := machine.wake_at_ms) is not None and wake < event.at_ms:
        for command in machine.receive(events.Tick(wake)):
            yield wake, command
    for command in machine.receive(event):
        yield event.at_ms, command


def _parse(number: int, line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError:
        raise MalformedReplayError(f"line {number} is not JSON") from None
    if not isinstance(fields, dict):
        raise MalformedReplayError(f"line {number} is not a JSON object")
    return fields


def _config(fields: dict[str, Any]) -> CallConfig:
    return CallConfig(**{"greeting": "", **fields})


def _event(number: int, fields: dict[str, Any]) -> events.Event:
    kind = getattr(events, str(fields.pop("event", "")), None)
    if not isinstance(kind, type) or not issubclass(kind, events.Event):
        raise MalformedReplayError(f"line {number} names no event of worker/call/events.py")
    if "calls" in fields:
        fields["calls"] = tuple(events.FunctionCall(**call) for call in fields["calls"])
    if "status" in fields:
        fields["status"] = events.ResponseStatus(fields["status"])
    try:
        return kind(**fields)
    except TypeError as error:
        raise MalformedReplayError(f"line {number}: {error}") from None


def main(path: str) -> int:
    with open(path, encoding="utf-8") as file:
        try:
            for at_ms, command in replay(file):
                sys.stdout.write(f"{at_ms:9.1f}  {command}\n")
        except MalformedReplayError as error:
            sys.stderr.write(f"{path}: {error}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else "usage: python -m worker.call.replay FILE")
