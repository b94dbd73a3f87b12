"""`python -m worker` as an operator meets it: one line for what can't work, and a drain that hands calls back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.calls import CallState
from tests.worker.conftest import Bench, await_reply, until
from worker.rehearsal.phone import Phone

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def environment(**settings: str) -> dict[str, str]:
    """What a worker in production is given, changed by `settings` ("" takes one away)."""
    values = {
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "MEDIA_PUBLIC_URL": "wss://media.example.com/media",
        "TWILIO_AUTH_TOKEN": "secret",
        "OPENAI_API_KEY": "key",
    }
    return {name: value for name, value in {**values, **settings}.items() if value}


def run(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker"],
        cwd=ROOT,
        env=settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        ({"MEDIA_PUBLIC_URL": ""}, "MEDIA_PUBLIC_URL"),
        ({"TWILIO_AUTH_TOKEN": ""}, "TWILIO_AUTH_TOKEN"),
        ({"TWILIO_SIGNATURE_CHECK": "0"}, "TWILIO_SIGNATURE_CHECK"),
        ({"OPENAI_API_KEY": ""}, "OPENAI_API_KEY"),
        ({"PORT": "http"}, "PORT"),
        ({"SERVER_FIRST_SCHEDULING": "1"}, "SERVER_FIRST_SCHEDULING"),
    ],
)
def test_setting_is_missing_or_malformed_one_line_names_it(changed: dict[str, str], named: str) -> None:
    """Exit code 2, before anything is opened."""
    ended = run(environment(**changed))
    assert ended.returncode == 2
    assert named in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_port_is_in_use_one_line_says_so() -> None:
    """Exit code 2 and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(environment(PORT=port))
    assert ended.returncode == 2
    assert port in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def worker(bench: Bench, database_url: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A worker process on the bench's database and engine, and its media URL."""
    port = free_port()
    settings = environment(
        DATABASE_URL=database_url,
        MOED_ENV="test",
        TWILIO_SIGNATURE_CHECK="0",
        OPENAI_BASE_URL=bench.engine.url,
        PORT=str(port),
    )
    command = [sys.executable, "-m", "worker"]
    process = subprocess.Popen(command, cwd=ROOT, env=settings, stderr=subprocess.DEVNULL)
    until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the worker did not start", within_s=60)
    yield process, f"ws://127.0.0.1:{port}/media"
    process.kill()
    process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_worker_is_told_to_stop_calls_are_handed_back_and_it_exits_0(
    bench: Bench, worker: tuple[subprocess.Popen[bytes], str]
) -> None:
    """New streams are refused at once; a call that goes on is closed as lost: the carrier reconnects it."""
    process, url = worker
    call_sid = "CA" + "d" * 32
    phone = Phone(url, call_sid, {"token": bench.token(call_sid)})
    bench.phones.append(phone)
    phone.dial()
    await_reply(phone)
    process.send_signal(signal.SIGTERM)
    until(lambda: not answers(url.replace("ws", "http", 1).replace("/media", "/healthz")), "it still listens")
    assert not phone.ended.is_set()
    until(lambda: process.poll() is not None, "the worker did not exit", within_s=30)
    assert process.returncode == 0
    call = bench.stored(phone)
    assert (call.state, call.end_reason) == (CallState.LOST, "drained")
    assert bench.services.calls.after_stream(call_sid).action == "reconnect"


def test_worker_s_handshake_is_not_signed_it_is_refused(bench: Bench) -> None:
    """In production only the carrier gets as far as a WebSocket."""
    from websockets.exceptions import InvalidStatus

    from app.adapters.carrier_signature import CarrierSignature

    bench.media._signature = CarrierSignature("secret")
    with pytest.raises(InvalidStatus) as refused:
        bench.call()
    assert refused.value.response.status_code == 403
