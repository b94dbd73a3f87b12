"""`bin/start` as a child process with a real port, for the tests that need one."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode

from app.settings import Settings, child_environment
from tests.fakes.voice import AUTH_TOKEN, PUBLIC_BASE_URL, URLS, signed

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30

FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}


def environment(**ours: str) -> dict[str, str]:
    """This process's environment with no setting of Moed in it but `ours`."""
    blank = {item.name.upper(): "" for item in fields(Settings)}
    return child_environment({**blank, **ours})


def web_environment(database_url: str, port: int, **changes: str) -> dict[str, str]:
    """A complete production environment for `web`."""
    complete = environment(
        DATABASE_URL=database_url,
        PORT=str(port),
        PUBLIC_BASE_URL=PUBLIC_BASE_URL,
        MEDIA_PUBLIC_URL=URLS.media,
        TWILIO_AUTH_TOKEN=AUTH_TOKEN,
        HOST="127.0.0.1",
        DB_POOL_SIZE="4",
    )
    return {**complete, **changes}


def start(arguments: list[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`bin/start …` until it ends."""
    return subprocess.run(
        [ROOT / "bin" / "start", *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class WebProcess:
    """A running `bin/start web`."""

    process: subprocess.Popen[str]
    port: int
    lines: list[str] = field(default_factory=list)

    def request(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[HTTPResponse, bytes]:
        """One request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response, response.read()

    def post_signed(self, path: str, form: Mapping[str, str]) -> tuple[HTTPResponse, bytes]:
        """A webhook of the carrier."""
        headers = FORM_TYPE | signed(PUBLIC_BASE_URL + path, form)
        return self.request("POST", path, urlencode(form), headers)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def running_web(database_url: str, **changes: str) -> Iterator[WebProcess]:
    """`bin/start web`, answering; its stderr is collected line by line. `changes`: settings."""
    port = free_port()
    process = subprocess.Popen(
        [ROOT / "bin" / "start", "web"],
        env=web_environment(database_url, port, **changes),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    web = WebProcess(process, port)
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: web.lines.extend(process.stderr or ()), daemon=True)
    reader.start()
    try:
        wait_until(lambda: process.poll() is not None or answers(web))
        assert process.poll() is None, web.lines
        yield web
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join(PATIENCE_S)
        process.stderr.close()


def answers(web: WebProcess) -> bool:
    """Whether the process answers already."""
    try:
        return web.request("GET", "/healthz")[0].status == 200
    except ConnectionError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again until it holds, or fail after a long while."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        threading.Event().wait(0.02)
