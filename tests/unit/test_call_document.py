"""The page about the call machine is the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.call import connection, playback, response, turns
from worker.call.document import document
from worker.call.tables import OURS, TABLES, Axis, IllegalTransitionError, Trigger

AXES = {
    "connection": connection.ConnectionAxis,
    "response": response.ResponseAxis,
    "playback": playback.Ledger,
    "caller": turns.Turns,
}


def test_page_is_generated_from_the_tables() -> None:
    """Run `python -m worker.call.document > docs/call-machine.md` after changing a row."""
    page = Path(__file__).parents[2] / "docs" / "call-machine.md"
    assert page.read_text(encoding="utf-8") == document()


@pytest.mark.parametrize("name", TABLES)
def test_no_two_rows_contradict_and_every_action_exists(name: str) -> None:
    """One row for a state and a trigger; its action is a method of the axis."""
    rows = TABLES[name]
    assert len({(row.state, row.trigger) for row in rows}) == len(rows)
    for row in rows:
        assert not row.action or callable(getattr(AXES[name], row.action)), row


@pytest.mark.parametrize("name", TABLES)
def test_every_state_is_reached_and_left(name: str) -> None:
    """No state is a dead end."""
    rows = TABLES[name]
    assert {row.state for row in rows} == {row.then for row in rows}


def test_our_own_illegal_request_raises_and_the_peer_s_is_counted() -> None:
    """Blame the right side: a stray message never drops a call."""
    for name, rows in TABLES.items():
        allowed = {(row.state, row.trigger) for row in rows}
        for state in {row.state for row in rows}:
            for trigger in Trigger:
                if (state, trigger) in allowed:
                    continue
                axis = Axis(rows, state)
                if trigger in OURS:
                    with pytest.raises(IllegalTransitionError):
                        axis.fire(trigger)
                else:
                    assert axis.fire(trigger) is False, name
                    assert axis.ignored == {(state, trigger): 1}
                assert axis.state == state
