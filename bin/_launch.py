"""Make the virtual environment if it is not whole, then become a program in it: `_launch.py demo|dev -m module …`.

Runs under the machine's own Python, before anything is installed. The environment is built in place (its
scripts carry absolute paths, so it can't be moved) and a stamp is written last: without a valid stamp it is
built anew. Whatever is started here is tied to this process and holds its lock, so a run after a kill -9
never meets a writer of the last one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# As modules of their own: the package around them imports libraries that are not there yet. Last on the path,
# so that none of their neighbours can stand in for a module of the standard library.
sys.path.append(str(ROOT / "app" / "adapters"))
sys.dont_write_bytecode = True
import places  # noqa: E402
from tied import tied  # noqa: E402

# Not the Python of an activated environment: it may be the one that is about to be replaced.
sys.executable = getattr(sys, "_base_executable", sys.executable)

LEVELS = ("demo", "dev")  # each installs requirements-LEVEL.txt and holds all of those before it
STAMP = "moed-stamp"
LOG = "moed-setup.log"
REPORT_EVERY_S = 5
EXIT_CANNOT = 2
# ensurepip runs pip in a child, which would go on writing after a kill -9 of its parent: run it here instead.
# Compiling pip costs more than its one use here gains.
BOOTSTRAP_PIP = """
import ensurepip, runpy, sys
def run_here(args, additional_paths=None):
    sys.path[:0] = additional_paths or []
    sys.argv[1:] = [*args, "--no-compile"]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
ensurepip._run_pip = run_here
ensurepip.bootstrap()
"""
# Would send packages elsewhere, or our imports.
UNWANTED = ("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER")


class CannotSetUp(Exception):
    """One line for the person at the keyboard."""


def say(line: str) -> None:
    """A line of progress, on stderr: stdout belongs to the program that follows."""
    sys.stderr.write(f"moed: {line}\n")
    sys.stderr.flush()


class Environment:
    """The virtual environment in `folder`, for the requirements of ROOT."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self._lock = lock
        self._stamp = folder / STAMP
        self._log = folder / LOG

    def holds(self, level: str) -> bool:
        """Whether everything of `level` is installed whole, at the pinned versions, for a Python that runs."""
        try:
            stamp = self._stamp.read_text().splitlines()
        except OSError:
            return False
        return self._key(level) in stamp and self._is_wanted() and self._runs()

    def make(self, level: str) -> None:
        """Build it; `CannotSetUp` if that fails."""
        try:
            self._make(level)
        except OSError as error:
            raise CannotSetUp(f"can't make {self.folder}: {error}") from error

    def _make(self, level: str) -> None:
        smaller = LEVELS[: LEVELS.index(level)]
        on_top = any(self.holds(other) for other in smaller)
        self._stamp.unlink(missing_ok=True)
        if not on_top:
            self._make_empty()
        self._install(level)
        half_written = self._stamp.with_suffix(".new")
        half_written.write_text("".join(f"{self._key(held)}\n" for held in (*smaller, level)))
        half_written.replace(self._stamp)

    def _make_empty(self) -> None:
        version = ".".join(str(part) for part in sys.version_info[:3])
        if importlib.util.find_spec("ensurepip") is None:
            package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
            raise CannotSetUp(
                f"{sys.executable} ({version}) has no ensurepip: install {package} (Debian, Ubuntu), or name"
                " another Python in MOED_PYTHON"
            )
        say(f"making {self.folder} with Python {version}")
        if self.folder.exists():
            shutil.rmtree(self.folder)
        places.make_folder(self.folder.parent)
        self.folder.mkdir()
        self._run([sys.executable, "-I", "-m", "venv", "--without-pip", str(self.folder)], "making it")
        self._run([str(self.python), "-I", "-c", BOOTSTRAP_PIP], "adding pip to it")

    def _install(self, level: str) -> None:
        requirements = ROOT / f"requirements-{level}.txt"
        total = sum("==" in line for line in requirements.read_text().splitlines())
        say(f"installing {total} libraries from {requirements.name} (log: {self._log})")
        pip = [str(self.python), "-I", "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]
        command = [*pip, "--no-warn-script-location", "--require-hashes", "-r", str(requirements)]
        self._run(command, f"installing {requirements.name}", total)

    def _run(self, command: Sequence[str], what: str, total: int = 0) -> None:
        """Run `command` to its end, with a line of progress every few seconds; its output goes to the log."""
        began_at = time.monotonic()
        with self._log.open("ab") as log:
            beginning = log.tell()
            process = subprocess.Popen(  # noqa: S603 - our own command lines
                tied(command, signal.SIGKILL),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=cleaned(os.environ),
                pass_fds=(self._lock,),
            )
        while process.poll() is None:
            try:
                process.wait(REPORT_EVERY_S)
            except subprocess.TimeoutExpired:
                say(f"  {what}: {time.monotonic() - began_at:.0f} s{self._seen(beginning, total)}")
            except BaseException:
                process.kill()
                process.wait()
                raise
        if process.returncode != 0:
            raise CannotSetUp("\n  ".join([f"{what} failed; {self._log} ends with:", *self._tail()]))

    def _seen(self, beginning: int, total: int) -> str:
        """How far pip is, by what the log says since `beginning`; nothing for other programs."""
        lines = self._log.read_bytes()[beginning:].decode(errors="replace").splitlines()
        if not total:
            return ""
        if any(line.startswith("Installing collected") for line in lines):
            return ", unpacking"
        return f", {sum(line.startswith('Collecting ') for line in lines)} of {total} fetched"

    def _tail(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()[-15:]

    def _key(self, level: str) -> str:
        """What must not have changed since: the pins, and the place (scripts carry its absolute path)."""
        pins = (ROOT / f"requirements-{level}.txt").read_bytes()
        return f"{level} {hashlib.sha256(pins + os.fsencode(self.folder)).hexdigest()}"

    def _is_wanted(self) -> bool:
        """Whether it is for the Python that MOED_PYTHON names, if that is set."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return not os.environ.get("MOED_PYTHON") or (self.folder / "lib" / version).is_dir()

    def _runs(self) -> bool:
        """Whether its Python starts, and has pip: not after the system's Python went from 3.11 to 3.12."""
        probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pip') is None)"
        try:
            return subprocess.run([self.python, "-I", "-c", probe], capture_output=True).returncode == 0  # noqa: S603
        except OSError:
            return False


def cleaned(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what would lead a virtual environment astray; as a guest, writing nothing here."""
    result = {name: value for name, value in environ.items() if name not in UNWANTED}
    if places.is_guest():
        caches = places.state_folder() / "caches"
        result |= {
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(caches / "hypothesis"),
            "MYPY_CACHE_DIR": str(caches / "mypy"),
            "RUFF_CACHE_DIR": str(caches / "ruff"),
        }
    return result


@contextlib.contextmanager
def only_one() -> Iterator[int]:
    """The descriptor of this checkout's lock: its folder, so that no file is left for another user to trip on."""
    folder = places.environment_folder().parent
    places.make_folder(folder)
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up of this checkout is running: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def set_up(level: str) -> Path:
    """The Python of an environment that holds `level`."""
    if not os.access(ROOT, os.W_OK):
        raise CannotSetUp(f"{ROOT} is not yours to write: make a clone of your own")
    with only_one() as lock:
        environment = Environment(places.environment_folder(), lock)
        if not environment.holds(level):
            environment.make(level)
            say("ready")
        return environment.python


def main(level: str, *arguments: str) -> int:
    """Set up, then become the program that `arguments` name, if any."""
    try:
        python = str(set_up(level))
    except CannotSetUp as error:
        say(str(error))
        return EXIT_CANNOT
    except KeyboardInterrupt:
        say("interrupted; the next run begins again where it must")
        return 130
    if arguments:
        os.chdir(ROOT)
        os.execve(python, [python, *arguments], cleaned(os.environ))  # noqa: S606 - no shell is meant
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
