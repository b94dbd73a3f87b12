"""Recorded calls, fed to the machine again: every fault that was ever seen stays impossible."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.call import commands as cmd
from worker.call.replay import MalformedReplayError, main, replay

FOLDER = Path(__file__).parents[1] / "replays"


def names(path: Path, *kinds: type[cmd.Command]) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return [type(command).__name__ for _, command in replay(file) if isinstance(command, kinds)]


def test_caller_speaks_before_the_cancel_is_answered_the_create_waits_for_done() -> None:
    """The fault that this project exists for: the old code created at once and was refused."""
    path = FOLDER / "barge_in_before_the_cancel_was_answered.jsonl"
    kinds = (cmd.CreateResponse, cmd.CancelResponse, cmd.ClearAudio, cmd.TruncateItem, cmd.OpenUplink)
    assert names(path, *kinds) == [
        "OpenUplink",
        "CreateResponse",
        "ClearAudio",
        "CancelResponse",
        "TruncateItem",
        "CreateResponse",
    ]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_replay_never_creates_while_a_response_may_be_active(path: Path) -> None:
    """Between two creates there is always an end: a finished response, a refusal, a new socket."""
    active = False
    lines = path.read_text(encoding="utf-8").splitlines()
    for end in range(1, len(lines) + 1):
        before = {str(command) for _, command in replay(lines[: end - 1])}
        created = [c for _, c in replay(lines[:end]) if isinstance(c, cmd.CreateResponse) and str(c) not in before]
        ended = any(word in lines[end - 1] for word in ("ResponseDone", "ApiError", "ConnectionReady"))
        active = active and not ended
        assert not (active and created), lines[end - 1]
        active = active or bool(created)


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"event": "Nonsense"}', '{"event": "Tick"}', '{"event": "commands"}']
)
def test_line_is_no_event_it_is_named(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One clear line and exit code 2."""
    with pytest.raises(MalformedReplayError, match="line 1"):
        list(replay([line]))
    path = tmp_path / "call.jsonl"
    path.write_text(line, encoding="utf-8")
    assert main(str(path)) == 2
    assert "line 1" in capsys.readouterr().err
