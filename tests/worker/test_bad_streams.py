"""Streams that no carrier sends: refused or ignored, with one log line and no traceback; other calls go on."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.worker.conftest import Bench, await_reply, until
from worker.rehearsal.scripted import Script, reply, says

FRAME = "A" * 216


def dial(bench: Bench) -> ClientConnection:
    return connect(bench.url, compression=None, proxy=None)


def start(call_sid: str, token: str) -> dict[str, Any]:
    """A `start` as the carrier sends it."""
    media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    inner = {"accountSid": "AC1", "streamSid": "MZ1", "callSid": call_sid, "tracks": ["inbound"]}
    inner |= {"mediaFormat": media_format, "customParameters": {"token": token}}
    return {"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": inner}


def close_code(line: ClientConnection) -> int:
    """How the worker ends the connection."""
    until(lambda: line.protocol.close_rcvd is not None or not _received(line), "the connection was not closed")
    closing = line.protocol.close_rcvd
    assert closing is not None
    return closing.code


def _received(line: ClientConnection) -> bool:
    """Read one message; False when the connection is closed."""
    with contextlib.suppress(TimeoutError):
        try:
            line.recv(timeout=0.1)
        except ConnectionClosed:
            return False
    return True


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """Every log line of the test."""
    with capture_logs() as lines:
        yield lines


def lines_of(logs: list[Any], event: str) -> list[Any]:
    return [line for line in logs if line["event"] == event]


REFUSED_STARTS = {
    "without a token": lambda sid, token: start(sid, ""),
    "with a wrong token": lambda sid, token: start(sid, "x" * 43),
    "with another call's token": lambda sid, token: start("CA" + "0" * 32, token),
    "without parameters": lambda sid, token: {"event": "start", "start": {"callSid": sid}},
    "before anything else": lambda sid, token: {"event": "media", "streamSid": "MZ1", "media": {"payload": FRAME}},
    "with lists for ids": lambda sid, token: {"event": "start", "start": {"callSid": [], "streamSid": {}}},
}


@pytest.mark.parametrize("message", REFUSED_STARTS.values(), ids=REFUSED_STARTS.keys())
def test_start_is_not_valid_stream_is_refused(bench: Bench, logs: list[Any], message: Any) -> None:
    """1008 and one line; nothing was opened for it."""
    call_sid = f"CA{secrets.token_hex(16)}"
    token = bench.token(call_sid)
    with dial(bench) as line:
        line.send(json.dumps(message(call_sid, token)))
        assert close_code(line) == 1008
    assert len(lines_of(logs, "stream refused")) == 1
    assert bench.engine.sessions == []
    assert not [entry for entry in logs if "exc_info" in entry]


def test_token_is_used_twice_second_stream_is_refused(bench: Bench, logs: list[Any]) -> None:
    """A captured start message is worth nothing."""
    phone = bench.call()
    await_reply(phone)
    token = phone._parameters["token"]
    with dial(bench) as line:
        line.send(json.dumps(start(phone.call_sid, token)))
        assert close_code(line) == 1008
    assert [entry["reason"] for entry in lines_of(logs, "stream refused")] == ["used"]
    assert not phone.ended.is_set()


def test_nothing_is_sent_stream_is_refused_after_five_seconds(bench: Bench, logs: list[Any]) -> None:
    """An open socket costs an attacker something, too."""
    began = time.monotonic()
    with dial(bench) as line:
        assert close_code(line) == 1008
    assert time.monotonic() - began >= 4.9
    assert [entry["reason"] for entry in lines_of(logs, "stream refused")] == ["no_start_in_time"]


BROKEN = (b"\x00\x01", "{", '{"event":"media"}', "[]", '"text"', '{"event":"mark","streamSid":"MZ1"}')


@pytest.mark.parametrize("broken", BROKEN)
def test_message_breaks_the_protocol_that_call_alone_ends(
    bench: Bench, logs: list[Any], broken: str | bytes
) -> None:
    """A binary frame, or JSON that the carrier never sends: one line, and the call beside it goes on."""
    beside = bench.call(Script(otherwise=reply(says("Hello.", 3000))))
    call_sid = f"CA{secrets.token_hex(16)}"
    with dial(bench) as line:
        line.send(json.dumps(start(call_sid, bench.token(call_sid))))
        until(lambda: len(lines_of(logs, "stream opened")) == 2, "the stream was not opened")
        line.send(broken)
        assert close_code(line) == 1003
    assert len(lines_of(logs, "carrier broke the protocol")) == 1
    until(lambda: beside.quiet_for_ms() == 0, "the other call was disturbed")
    assert not beside.ended.is_set()
    assert not lines_of(logs, "greenlet died")


def test_frame_of_another_stream_is_ignored_with_one_line(bench: Bench, logs: list[Any]) -> None:
    """Its audio never reaches the model."""
    call_sid = f"CA{secrets.token_hex(16)}"
    with dial(bench) as line:
        line.send(json.dumps(start(call_sid, bench.token(call_sid))))
        until(lambda: lines_of(logs, "stream opened"), "the stream was not opened")
        for _ in range(5):
            line.send(json.dumps({"event": "media", "streamSid": "MZ2", "media": {"payload": FRAME}}))
        line.send(json.dumps({"event": "stop", "streamSid": "MZ1", "stop": {}}))
        until(lambda: lines_of(logs, "stream closed"), "the stream was not closed")
    assert len(lines_of(logs, "frame of another stream ignored")) == 1
    assert lines_of(logs, "stream closed")[0]["reason"] == "caller_hung_up"


def test_frame_is_oversized_it_is_never_read(bench: Bench) -> None:
    """The header alone, announcing 300 MiB, is answered with 1009."""
    host, port = bench.media.address
    with socket.create_connection((host, port)) as raw:
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        raw.sendall(
            f"GET /media HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += raw.recv(4096)
        raw.sendall(struct.pack("!BBQ4s", 0x81, 0x80 | 127, 300 * 2**20, b"mask"))
        frame = raw.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101")
    assert frame[0] == 0x88
    assert struct.unpack("!H", frame[2:4]) == (1009,)


def test_path_is_unknown_it_is_not_upgraded(bench: Bench) -> None:
    """Only `/media` speaks WebSocket."""
    with pytest.raises(InvalidStatus) as refused:
        connect(bench.url.replace("/media", "/other"), proxy=None)
    assert refused.value.response.status_code == 404
