"""`bin/test [--all] [pytest options and paths]`: every suite in a process of its own, then one line of totals.

With paths, only the suites that hold them. `--all` adds the tests marked `long`, and format, lint and types.
Nothing may be skipped: a skipped or expected failure counts as failed, and so does a suite without tests.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from xml.etree import ElementTree

from app.adapters import places
from app.adapters.embedded_postgres import EmbeddedPostgresError
from app.adapters.tied import tied
from app.settings import Settings
from tests.postgres import start_disposable

NO_TESTS = 5  # pytest's exit code


@dataclass(frozen=True)
class Suite:
    """Tests that share a process. `module` is what runs them; `database`: they ask for `postgres_admin_url`."""

    name: str
    path: str
    module: str = "pytest"
    database: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a suite or check came to."""

    name: str
    passed: int
    failed: int
    seconds: float


SUITES = (
    Suite("unit", "tests/unit"),
    Suite("properties", "tests/properties"),
    Suite("engine", "tests/engine"),
    Suite("architecture", "tests/test_architecture.py"),
    Suite("integration", "tests/integration", database=True),
    Suite("worker", "tests/worker", module="tests.worker", database=True),
    Suite("spoken", "tests/spoken", database=True),
)
CHECKS = (
    ("format", ("ruff", "format", "--check", ".")),
    ("lint", ("ruff", "check", ".")),
    ("types", ("mypy",)),
)


def main(arguments: Sequence[str]) -> int:
    """Run what `arguments` ask for; the exit code."""
    everything = "--all" in arguments
    options = [argument for argument in arguments if argument != "--all"]
    paths = [option for option in options if (places.CHECKOUT / option.partition("::")[0]).exists()]
    options = [option for option in options if option not in paths]
    filtered = bool(options)
    chosen = {suite: paths_within(suite, paths) for suite in SUITES}
    if paths:
        chosen = {suite: inside for suite, inside in chosen.items() if inside}
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="moed-test-") as scratch:
        if everything:
            outcomes += [_check(name, command) for name, command in CHECKS]
            options = ["-m", "", *options]
        with _database(needed=any(suite.database for suite in chosen)) as environment:
            for suite, inside in chosen.items():
                targets = inside if paths else [suite.path]
                report = Path(scratch) / f"{suite.name}.xml"
                outcomes.append(_run(suite, [*targets, *options], environment, report, filtered=filtered))
    return summarise(outcomes)


def paths_within(suite: Suite, paths: Sequence[str]) -> list[str]:
    """Those of `paths` that `suite` runs: its own folder for a folder above it."""
    root = places.CHECKOUT / suite.path
    found = []
    for path in paths:
        asked = (places.CHECKOUT / path.partition("::")[0]).resolve()
        if asked.is_relative_to(root):
            found.append(path)
        elif root.is_relative_to(asked):
            found.append(suite.path)
    return found


@contextlib.contextmanager
def _database(*, needed: bool) -> Iterator[dict[str, str]]:
    """The environment of the suites: none of the operator's settings, one server for all of them.

    A DATABASE_URL or an OPENAI_API_KEY of the shell must never reach a test.
    """
    own = {item.name.upper() for item in fields(Settings)}
    environment = {name: value for name, value in os.environ.items() if name not in own}
    environment |= {"MOED_ENV": "test"}
    with contextlib.ExitStack() as stack:
        if needed and not environment.get("TEST_DATABASE_URL"):
            environment["TEST_DATABASE_URL"] = start_disposable(stack).admin_url
        yield environment


def _run(
    suite: Suite, arguments: Sequence[str], environment: Mapping[str, str], report: Path, *, filtered: bool
) -> Outcome:
    cache = ["-o", f"cache_dir={places.state_folder() / 'caches' / 'pytest'}"]
    seconds, code = _execute(suite.name, [suite.module, *arguments, *cache, f"--junitxml={report}"], environment)
    passed, failed = counts(report) if report.exists() else (0, 1)
    if code == NO_TESTS and filtered:
        return Outcome(suite.name, 0, 0, seconds)
    return Outcome(suite.name, passed, failed or int(code != 0), seconds)


def _check(name: str, command: Sequence[str]) -> Outcome:
    seconds, code = _execute(name, command, os.environ)
    return Outcome(name, int(code == 0), int(code != 0), seconds)


def _execute(name: str, module: Sequence[str], environment: Mapping[str, str]) -> tuple[float, int]:
    _say(f"== {name}")
    began_at = time.monotonic()
    command = tied([sys.executable, "-m", *module])
    code = subprocess.run(command, cwd=places.CHECKOUT, env=environment).returncode
    return time.monotonic() - began_at, code


def counts(report: Path) -> tuple[int, int]:
    """(passed, not passed) of a JUnit file. Skipped and expected failures are among the second."""
    suites = ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314 - written by our own child
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in suites:
        for name in totals:
            totals[name] += int(suite.get(name, 0))
    bad = totals["failures"] + totals["errors"] + totals["skipped"]
    return totals["tests"] - bad, bad


def summarise(outcomes: Sequence[Outcome]) -> int:
    """Print what each came to, and the totals as the last line; the exit code."""
    _say("== summary")
    for outcome in outcomes:
        verdict = f"{outcome.failed} FAILED" if outcome.failed else "ok"
        _say(f"{outcome.name:<14}{outcome.passed:>5} passed  {outcome.seconds:6.1f} s  {verdict}")
    passed, failed = (sum(getattr(outcome, name) for outcome in outcomes) for name in ("passed", "failed"))
    if passed == 0 and failed == 0:
        failed = 1
        _say("no test ran")
    _say(f"{passed} passed, {failed} failed")
    return int(failed > 0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EmbeddedPostgresError as error:
        sys.exit(f"moed: {error}")
    except KeyboardInterrupt:
        sys.exit("moed: interrupted")
