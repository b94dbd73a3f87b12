"""The carrier's JSON, as it comes and as nobody should send it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from worker.transports import twilio

FRAME = base64.b64encode(b"\xff" * 160).decode()
START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": "MZ1",
    "start": {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "abc"},
    },
}


def parse(message: Any, stream_sid: str | None = "MZ1") -> Any:
    return twilio.parse(json.dumps(message), stream_sid)


def test_start_gives_ids_and_parameters() -> None:
    """The token comes as a custom parameter."""
    assert parse(START, None) == twilio.Opened("CA1", "MZ1", {"token": "abc"})


def test_connected_is_nothing_to_do() -> None:
    """It has neither a number nor a stream."""
    assert parse({"event": "connected", "protocol": "Call", "version": "1.0.0"}, None) is None


def test_media_is_passed_on_with_its_duration() -> None:
    """160 bytes are 20 ms."""
    message = {"event": "media", "streamSid": "MZ1", "media": {"track": "inbound", "payload": FRAME}}
    assert parse(message) == twilio.Audio(FRAME, 20.0)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"event": "mark", "streamSid": "MZ1", "mark": {"name": "1:400"}}, twilio.Played("1:400")),
        ({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"digit": "5"}}, twilio.Dtmf("5")),
        ({"event": "stop", "streamSid": "MZ1", "stop": {}}, twilio.Stopped()),
        ({"event": "media", "streamSid": "MZ2", "media": {"payload": FRAME}}, twilio.Foreign()),
        ({"event": "invented", "streamSid": "MZ1"}, None),
    ],
)
def test_other_messages_are_told_apart(message: Any, expected: Any) -> None:
    """A new kind of message is no reason to end a call."""
    assert parse(message) == expected


INJECTED = 'AAAA"},"x":{"y":"'
START_L16 = {**START, "start": {**START["start"], "mediaFormat": {"encoding": "audio/l16", "sampleRate": 8000}}}
START_ODD_ID = {**START, "start": {**START["start"], "streamSid": 'MZ"1'}}


@pytest.mark.parametrize(
    "message",
    [
        {"event": "media", "streamSid": "MZ1", "media": {"payload": INJECTED}},
        {"event": "media", "streamSid": "MZ1", "media": {"payload": 7}},
        {"event": "media", "streamSid": "MZ1"},
        {"event": "mark", "streamSid": "MZ1", "mark": {"name": "x" * 129}},
        {"event": "media", "media": {"payload": FRAME}},
        {"streamSid": "MZ1"},
        START_L16,
        START_ODD_ID,
        [],
        None,
    ],
)
def test_malformed_message_breaks_the_protocol(message: Any) -> None:
    """What is spliced into other JSON is known to be base64; what can't be meant is refused."""
    with pytest.raises(twilio.ProtocolViolationError):
        parse(message)


@pytest.mark.parametrize("message", [b"{}", "{", "\x00"])
def test_frame_is_no_json_text_it_breaks_the_protocol(message: str | bytes) -> None:
    """The carrier sends text only."""
    with pytest.raises(twilio.ProtocolViolationError):
        twilio.parse(message, "MZ1")


def test_audio_before_start_breaks_the_protocol() -> None:
    """Nothing is taken from a stream that has not said who it is."""
    with pytest.raises(twilio.ProtocolViolationError):
        parse({"event": "media", "streamSid": "MZ1", "media": {"payload": FRAME}}, None)


def test_what_we_send_is_what_the_carrier_reads() -> None:
    """Media, mark and clear, each with the stream's id in the carrier's spelling."""
    assert json.loads(twilio.media("MZ1", FRAME)) == {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": FRAME},
    }
    assert json.loads(twilio.mark("MZ1", "1:400")) == {
        "event": "mark",
        "streamSid": "MZ1",
        "mark": {"name": "1:400"},
    }
    assert json.loads(twilio.clear("MZ1")) == {"event": "clear", "streamSid": "MZ1"}
