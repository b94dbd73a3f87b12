"""`bin/demo` and `bin/test` on a machine that has a Python and a shell: the environment they make for themselves.

Each test has a checkout of its own with empty requirements, so nothing is fetched.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.adapters import places

KILL_POINTS = 20
SOMEBODY_ELSE = 65534
WHERE = "import sys; print(sys.prefix)"
# A Python without ensurepip, as Debian ships it; called as `PYTHON -I (-c CODE | FILE) arguments`.
CRIPPLED = f"""#!{sys.executable} -I
import runpy, sys
sys.modules["ensurepip"] = None
if sys.argv[2] == "-c":
    exec(sys.argv[3])
else:
    del sys.argv[:2]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True)
class Checkout:
    """A copy of what runs before anything is installed."""

    folder: Path

    @property
    def marker(self) -> Path:
        """A file that only building anew removes."""
        return self.folder / ".venv" / "marker"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """`bin/_launch.py` with a home that does not exist and no package index."""
        own = {"HOME": "/nonexistent", "PIP_NO_INDEX": "1", "MOED_PYTHON": sys.executable}
        own |= {"PATH": os.environ["PATH"], **environment}
        return subprocess.Popen(
            ["sh", "-c", '. bin/_python.sh; exec "$python" -I bin/_launch.py "$@"', "bin/demo", *arguments],
            cwd=self.folder,
            env=own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of that, when it has ended."""
        process = self.start(*arguments, **environment)
        output, errors = process.communicate()
        return process.returncode, output.strip(), errors


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """In a folder whose name has a space and letters of two scripts."""
    folder = tmp_path / f"Moed מועד {secrets.token_hex(4)}"
    shutil.copytree(places.CHECKOUT / "bin", folder / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "app" / "adapters").mkdir(parents=True)
    for name in ("places.py", "tied.py"):
        shutil.copy(places.CHECKOUT / "app" / "adapters" / name, folder / "app" / "adapters")
    for name in ("demo", "dev"):
        (folder / f"requirements-{name}.txt").touch()
    yield Checkout(folder)
    shutil.rmtree(places.system_folder(folder), ignore_errors=True)


def test_the_first_run_makes_the_environment_and_becomes_the_program(checkout: Checkout) -> None:
    """Its exit code and its stdout are the program's alone."""
    code, output, errors = checkout.run("demo", "-c", f"{WHERE}; sys.exit(7)")
    assert (code, output) == (7, str(checkout.folder / ".venv"))
    assert "making" in errors


@pytest.mark.long
def test_later_runs_change_nothing_until_the_requirements_change(checkout: Checkout) -> None:
    """What `dev` needs comes on top of `demo`; other pins mean another environment."""
    checkout.run("demo")
    checkout.marker.touch()
    assert checkout.run("demo", "-c", WHERE)[2] == ""
    assert checkout.run("dev")[0] == 0
    assert checkout.run("demo", "-c", WHERE)[2] == ""
    assert checkout.marker.exists()
    (checkout.folder / "requirements-demo.txt").write_text("# other pins\n")
    assert checkout.run("demo", "-c", WHERE)[1] == str(checkout.folder / ".venv")
    assert not checkout.marker.exists()


@pytest.mark.long
def test_a_failed_installation_is_told_and_tried_again(checkout: Checkout) -> None:
    """With the last lines of pip, and exit code 2."""
    (checkout.folder / "requirements-demo.txt").write_text(f"nothing-of-this-name==1 --hash=sha256:{'0' * 64}\n")
    code, output, errors = checkout.run("demo", "-c", WHERE)
    assert (code, output) == (2, "")
    assert "nothing-of-this-name" in errors
    (checkout.folder / "requirements-demo.txt").write_text("")
    assert checkout.run("demo", "-c", WHERE)[0] == 0


def test_a_python_without_ensurepip_is_one_clear_line(checkout: Checkout, tmp_path: Path) -> None:
    """It names the package to install."""
    python = tmp_path / "python3"
    python.write_text(CRIPPLED)
    python.chmod(0o755)
    code, output, errors = checkout.run("demo", "-c", WHERE, MOED_PYTHON=str(python))
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert (code, output) == (2, "")
    assert errors.count("\n") == 1
    assert f"no ensurepip: install {package}" in errors


def test_no_python_is_one_clear_line(checkout: Checkout) -> None:
    """Too old counts as none."""
    code, output, errors = checkout.run("demo", "-c", WHERE, MOED_PYTHON="/bin/false")
    assert (code, output) == (2, "")
    assert errors == "moed: needs Python 3.11 or newer, and MOED_PYTHON=/bin/false is not; none was found\n"


@pytest.mark.long
def test_root_leaves_nothing_in_the_checkout_of_somebody_else(checkout: Checkout) -> None:
    """Its owner could not remove it. For an ordinary user everything stays in the checkout, and is theirs."""
    for path in [checkout.folder, *checkout.folder.rglob("*")]:
        os.chown(path, SOMEBODY_ELSE if places.is_root() else -1, -1)
    before = {path.stat().st_uid for path in checkout.folder.rglob("*")}
    code, output, _ = checkout.run("demo", "-c", WHERE)
    assert (code, output) == (0, str(places.environment_folder(checkout.folder)))
    assert {path.lstat().st_uid for path in checkout.folder.rglob("*")} == before


@pytest.mark.long
def test_two_set_ups_at_once_make_one_environment(checkout: Checkout) -> None:
    """The second waits for the first, then finds nothing left to do."""
    started = [checkout.start("demo", "-c", WHERE) for _ in range(2)]
    ended = [(process.communicate(), process.returncode) for process in started]
    assert [code for _, code in ended] == [0, 0]
    assert sum("making" in errors for (_, errors), _ in ended) == 1


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_set_up_killed_anywhere_can_be_repeated(checkout: Checkout) -> None:
    """kill -9 at twenty moments spread over a first set-up; after each of them, it works."""
    began_at = time.monotonic()
    checkout.run("demo")
    whole_s = time.monotonic() - began_at
    for point in range(KILL_POINTS):
        shutil.rmtree(checkout.folder / ".venv")
        process = checkout.start("demo")
        time.sleep(whole_s * point / KILL_POINTS)  # the moment is the test, not a synchronisation
        process.kill()
        process.communicate()
        assert checkout.run("demo", "-c", "import pip, sys; print(sys.prefix)")[:2] == (
            0,
            str(checkout.folder / ".venv"),
        )
