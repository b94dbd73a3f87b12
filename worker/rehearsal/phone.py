"""A caller's telephone at the carrier: the carrier's side of the media stream, in real time.

Plays what it is sent at 8 bytes a millisecond, echoes a mark when the audio before it was played, and on `clear`
drops the rest and echoes every pending mark at once (docs/protocols.md, "Twilio Media Streams"). Messages that
the real carrier would warn about are remembered in `warnings`.
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

FRAME_MS = 20
FRAME_BYTES = 160
SILENCE = b"\xff"
# Above this share of loud samples a frame is speech; our own voices are far above it, line noise below.
_QUIET = frozenset((0xFF, 0x7F, 0xFE, 0x7E, 0xFD, 0x7D))


class Phone:
    """One call. `dial` opens the stream; then the line runs until `hang_up` or the other side closes."""

    def __init__(
        self, url: str, call_sid: str, parameters: Mapping[str, str], headers: Mapping[str, str] | None = None
    ):
        self.url = url
        self.call_sid = call_sid
        self.stream_sid = f"MZ{call_sid[2:]}"
        self.warnings: list[str] = []
        self.clears_at: list[float] = []
        self.closed: tuple[int, str] | None = None
        self.ended = threading.Event()
        self._parameters = dict(parameters)
        self._headers = dict(headers or {})
        self._socket: ClientConnection | None = None
        self._sequence = itertools.count(1)
        self._chunks = itertools.count(1)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._to_say: deque[bytes] = deque()
        self._buffer: deque[bytes | str] = deque()  # audio, and the names of marks between it
        self._heard = bytearray()
        self._threads: list[threading.Thread] = []
        self._began = 0.0

    def dial(self) -> None:
        """Connect and start the stream. Raises what `websockets` raises when the server refuses."""
        # The carrier does not compress, and a proxy has no place on a loopback call.
        self._socket = connect(
            self.url,
            additional_headers=self._headers,
            compression=None,
            proxy=None,
            max_size=None,
            close_timeout=2,
        )
        self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {
            "accountSid": "AC" + "0" * 32,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": media_format,
            "customParameters": self._parameters,
        }
        self._send_numbered({"event": "start", "start": start})
        self._began = time.monotonic()
        for task in (self._run_line, self._listen):
            thread = threading.Thread(target=task, daemon=True)
            thread.start()
            self._threads.append(thread)

    def say(self, pcmu: bytes) -> None:
        """Speak after what is still being said."""
        with self._lock:
            for start in range(0, len(pcmu), FRAME_BYTES):
                self._to_say.append(pcmu[start : start + FRAME_BYTES].ljust(FRAME_BYTES, SILENCE))

    def press(self, digit: str) -> None:
        """A key on the phone."""
        self._send_numbered({"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": digit}})

    def hang_up(self) -> None:
        """End the call from this side."""
        if not self.ended.is_set():
            self._send_numbered(
                {"event": "stop", "stop": {"accountSid": "AC" + "0" * 32, "callSid": self.call_sid}}
            )
        self.drop()

    def drop(self) -> None:
        """The line breaks: no `stop`, only a closed socket."""
        self.ended.set()
        if self._socket is not None:
            self._socket.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5)

    @property
    def now_ms(self) -> float:
        """Since the stream began."""
        return (time.monotonic() - self._began) * 1000

    @property
    def heard(self) -> bytes:
        """All that the caller heard, silence included: 8 bytes a millisecond since the stream began."""
        with self._lock:
            return bytes(self._heard)

    @property
    def speaking(self) -> bool:
        """Whether something of what we were told to say is still unsaid."""
        with self._lock:
            return bool(self._to_say)

    def quiet_for_ms(self) -> float:
        """How long the caller has heard nothing: 0 while there is a voice, infinite before the first frame."""
        with self._lock:
            heard = bytes(self._heard[-80_000:])
        frames = [heard[i : i + FRAME_BYTES] for i in range(0, len(heard) - FRAME_BYTES + 1, FRAME_BYTES)]
        if not frames:
            return math.inf
        return FRAME_MS * sum(1 for _ in itertools.takewhile(is_silent, reversed(frames)))

    def wait_until(self, what: Callable[[], bool], within_s: float) -> bool:
        """Look every frame; False when it did not come in time, or the call ended first."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and not self.ended.is_set():
            if what():
                return True
            time.sleep(FRAME_MS / 1000)
        return what()

    # The line: one frame each way every 20 ms

    def _run_line(self) -> None:
        due = time.monotonic()
        while not self.ended.is_set():
            due += FRAME_MS / 1000
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                self._send_frame()
                self._play_frame()
            except ConnectionClosed:
                self.ended.set()

    def _send_frame(self) -> None:
        with self._lock:
            frame = self._to_say.popleft() if self._to_say else SILENCE * FRAME_BYTES
        chunk = next(self._chunks)
        media = {
            "track": "inbound",
            "chunk": str(chunk),
            "timestamp": str(chunk * FRAME_MS),
            "payload": base64.b64encode(frame).decode(),
        }
        self._send_numbered({"event": "media", "media": media})

    def _play_frame(self) -> None:
        room, played, marks = FRAME_BYTES, bytearray(), []
        with self._lock:
            while self._buffer and (room or isinstance(self._buffer[0], str)):
                head = self._buffer.popleft()
                if isinstance(head, str):
                    marks.append(head)
                    continue
                played += head[:room]
                if len(head) > room:
                    self._buffer.appendleft(head[room:])
                room = FRAME_BYTES - len(played)
            self._heard += played.ljust(FRAME_BYTES, SILENCE)
        for name in marks:
            self._echo(name)

    def _listen(self) -> None:
        line = self._line()
        try:
            while True:
                self._take(line.recv())
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                self.closed = (closed.rcvd.code, closed.rcvd.reason)
        finally:
            self.ended.set()

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.warnings.append("31950 binary message")
            return
        try:
            fields = json.loads(message)
            if fields["streamSid"] != self.stream_sid:
                raise ValueError("another stream")
            self._obey(fields)
        except (ValueError, KeyError, TypeError) as error:
            self.warnings.append(f"31951 {type(error).__name__}")

    def _obey(self, fields: Mapping[str, Any]) -> None:
        event = fields["event"]
        if event == "media":
            audio = base64.b64decode(fields["media"]["payload"], validate=True)
            with self._lock:
                self._buffer.append(audio)
        elif event == "mark":
            with self._lock:
                self._buffer.append(str(fields["mark"]["name"]))
        elif event == "clear":
            self._clear()
        else:
            raise ValueError(event)

    def _clear(self) -> None:
        with self._lock:
            marks = [entry for entry in self._buffer if isinstance(entry, str)]
            self._buffer.clear()
            self.clears_at.append(self.now_ms)
        for name in marks:
            self._echo(name)

    def _echo(self, name: str) -> None:
        self._send_numbered({"event": "mark", "mark": {"name": name}})

    def _send_numbered(self, fields: dict[str, Any]) -> None:
        # Counters are strings on this wire, and rise with every message of any kind.
        with self._sending:
            self._send({**fields, "sequenceNumber": str(next(self._sequence)), "streamSid": self.stream_sid})

    def _send(self, fields: Mapping[str, Any]) -> None:
        self._line().send(json.dumps(fields))

    def _line(self) -> ClientConnection:
        if self._socket is None:
            raise RuntimeError("dial first")
        return self._socket


def is_silent(frame: bytes) -> bool:
    """Whether a frame holds no speech."""
    return sum(byte not in _QUIET for byte in frame) < len(frame) // 8
