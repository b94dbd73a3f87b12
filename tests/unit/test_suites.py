"""The test run itself: a suite can't pass by running nothing, by skipping, or by leaving its process."""

from __future__ import annotations

import socket
from pathlib import Path

import psycopg2
import pytest

from tests.run import SUITES, Outcome, counts, paths_within, summarise
from tests.unit.conftest import Unreachable


def report(path: Path, **totals: int) -> Path:
    """A JUnit file as pytest writes it."""
    attributes = " ".join(f'{name}="{count}"' for name, count in totals.items())
    path.write_text(f'<testsuites name="pytest tests"><testsuite name="pytest" {attributes}/></testsuites>')
    return path


@pytest.mark.parametrize("kind", ["failures", "errors", "skipped"])
def test_whatever_did_not_pass_counts_as_failed(tmp_path: Path, kind: str) -> None:
    """A skipped test too."""
    totals = {"tests": 5, "failures": 0, "errors": 0, "skipped": 0, kind: 1}
    assert counts(report(tmp_path / "suite.xml", **totals)) == (4, 1)


@pytest.mark.parametrize(
    ("outcomes", "code", "last"),
    [
        ([Outcome("unit", 3, 0, 1.0), Outcome("worker", 4, 0, 1.0)], 0, "7 passed, 0 failed"),
        ([Outcome("unit", 3, 0, 1.0), Outcome("worker", 4, 2, 1.0)], 1, "7 passed, 2 failed"),
        ([], 1, "0 passed, 1 failed"),
    ],
)
def test_the_last_line_holds_the_totals(
    outcomes: list[Outcome], code: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run of nothing is a failure."""
    assert summarise(outcomes) == code
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_a_path_goes_to_the_suite_that_holds_it() -> None:
    """One test, a folder, and a folder above several suites."""
    suites = {suite.name: suite for suite in SUITES}
    one = "tests/unit/test_suites.py::test_the_last_line_holds_the_totals"
    assert paths_within(suites["unit"], [one, "tests/worker"]) == [one]
    assert paths_within(suites["worker"], [one, "tests/worker"]) == ["tests/worker"]
    assert paths_within(suites["integration"], ["tests"]) == ["tests/integration"]
    assert paths_within(suites["integration"], [one]) == []


def test_a_unit_test_can_not_leave_its_process() -> None:
    """No network, no name look-up, no database."""
    with pytest.raises(Unreachable):
        socket.create_connection(("127.0.0.1", 9))
    with pytest.raises(Unreachable), socket.socket() as plain:
        plain.connect(("127.0.0.1", 9))
    with pytest.raises(Unreachable):
        socket.getaddrinfo("localhost", 9)
    with pytest.raises(Unreachable):
        psycopg2.connect("postgresql://127.0.0.1/none")
