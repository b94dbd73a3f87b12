"""The demo's processes: started one after another, ended together, and gone when this process is."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from app.adapters import places
from app.adapters.tied import tied
from app.settings import child_environment

START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0
CHECKOUT = places.CHECKOUT


class DemoError(Exception):
    """The demo can't go on; one line that says why, and where to look."""


class Supervisor:
    """Children that share one environment; each writes its log to `logs/<name>.log`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._logs = log_folder()
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        places.make_folder(self._logs)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(self, name: str, arguments: Sequence[str]) -> None:
        """Run a program of ours to its end. Raises `DemoError` when it fails."""
        process = self._start(name, arguments, {})
        try:
            code = process.wait(START_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise DemoError(f"{name} did not end within {START_LIMIT_S:.0f} s{self._tail(name)}") from None
        if code != 0:
            raise DemoError(f"{name} failed with exit code {code}{self._tail(name)}")

    def start(self, name: str, arguments: Sequence[str], **settings: str) -> None:
        """Start a server; `await_ready` waits for it."""
        self._children[name] = self._start(name, arguments, settings)

    def await_ready(self, name: str, url: str) -> None:
        """Until the server answers at `url`, whatever it says. Raises `DemoError`."""
        process = self._children[name]
        deadline = time.monotonic() + START_LIMIT_S
        while not _answers(url):
            if process.poll() is not None:
                raise DemoError(f"{name} ended with exit code {process.returncode}{self._tail(name)}")
            if time.monotonic() > deadline:
                raise DemoError(f"{name} did not start within {START_LIMIT_S:.0f} s{self._tail(name)}")
            time.sleep(0.05)

    def failed(self) -> str | None:
        """The name of a server that has ended, if one has."""
        return next((name for name, process in self._children.items() if process.poll() is not None), None)

    def stop(self) -> None:
        """End all of them, the last one started first."""
        for process in reversed(self._children.values()):
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_LIMIT_S
        for process in self._children.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._children.clear()

    def _start(self, name: str, arguments: Sequence[str], settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with (self._logs / f"{name}.log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - our own programs
                tied([sys.executable, *arguments]),
                cwd=CHECKOUT,
                env=child_environment({**self._environment, **settings}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _tail(self, name: str) -> str:
        path: Path = self._logs / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines()[-8:]
        return "".join([f"; {path} ends with:", *(f"\n  {line}" for line in lines)])


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def can_listen(port: int) -> bool:
    """Whether a server could take this port of the loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no place on the loopback
    try:
        with opener.open(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def log_folder() -> Path:
    """Where the children write."""
    return places.state_folder() / "logs"
