"""The engine on a real socket, with the `openai` library as its client."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from openai import OpenAI
from openai.resources.realtime.realtime import RealtimeConnection, RealtimeConnectionManager
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from worker.rehearsal.brain import INSTANT, CallTool, ResponseRequest
from worker.rehearsal.faults import Answer, CallerSpeaks, DropSocket, OnCancel, ResponseFaults, Rule, Sent, SentOf
from worker.rehearsal.scripted import Script, ScriptedBrain, in_turn, reply, says, silence, tone
from worker.rehearsal.server import RehearsalServer

PCMU = {"type": "audio/pcmu"}
VAD = {"type": "server_vad", "silence_duration_ms": 200, "create_response": False, "interrupt_response": False}
PHONE: Any = {
    "type": "realtime",
    "audio": {
        "input": {"format": PCMU, "transcription": {"model": "gpt-transcribe"}, "turn_detection": VAD},
        "output": {"format": PCMU},
    },
}
OPTIONS: Any = {"compression": None, "close_timeout": 1, "open_timeout": 5, "proxy": None}

Serve = Callable[..., RehearsalServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(script)` starts an engine on a free port; all are stopped at the end."""
    servers: list[RehearsalServer] = []

    def start(script: Script | None = None) -> RehearsalServer:
        server = RehearsalServer(lambda: ScriptedBrain(script))
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


def connect(server: RehearsalServer) -> RealtimeConnectionManager:
    """A connection of the library's own: `with connect(server) as connection`, or `.enter()`."""
    client = OpenAI(api_key="x", base_url=server.url)
    return client.realtime.connect(model="gpt-realtime-2.1", websocket_connection_options=OPTIONS)


def until(connection: RealtimeConnection, kind: str) -> list[Any]:
    """Every event up to the first of this type; the library's unions are too wide to be typed here."""
    found: list[Any] = []
    with gevent.Timeout(10, TimeoutError(f"no {kind} after {[event.type for event in found]}")):
        while not found or found[-1].type != kind:
            found.append(connection.recv())
    return found


def configured(connection: RealtimeConnection) -> RealtimeConnection:
    """With a telephone's session."""
    connection.session.update(session=PHONE)
    until(connection, "session.updated")
    return connection


def test_the_library_holds_a_whole_conversation(serve: Serve) -> None:
    """Greeting, a spoken turn, a tool call, its output, an answer: and nothing is refused."""

    def answer(request: ResponseRequest) -> list[Any]:
        if request.index == 1:
            return [CallTool("find", '{"day": "tomorrow"}')]
        return [says("Ten o'clock is free." if request.index else "Hello.", 300)]

    server = serve(Script(answer=answer, turns=["tomorrow please"], timing=INSTANT))
    with connect(server) as connection:
        configured(connection)
        connection.response.create()
        until(connection, "response.done")
        for _ in range(20):
            connection.input_audio_buffer.append(audio=base64.b64encode(tone(20)).decode())
        for _ in range(15):
            connection.input_audio_buffer.append(audio=base64.b64encode(silence(20)).decode())
        heard = until(connection, "conversation.item.input_audio_transcription.completed")[-1]
        assert heard.transcript == "tomorrow please"
        connection.response.create()
        (call,) = until(connection, "response.done")[-1].response.output
        output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "{}"}
        connection.conversation.item.create(item=output)
        connection.response.create()
        done = until(connection, "response.done")[-1].response
        assert done.output[0].content[0].transcript == "Ten o'clock is free."
    session = server.sessions[0]
    assert session.refusals == []
    assert [run.response.status for run in session.runs] == ["completed"] * 3


def test_audio_arrives_as_it_was_made(serve: Serve) -> None:
    """Byte for byte, at the recorded pace."""
    speech = says("Hello, this is the clinic.", 1500, mark=0x15)
    server = serve(Script(replies=[reply(speech)]))
    with connect(server) as connection:
        configured(connection).response.create()
        events = until(connection, "response.done")
    deltas = [event.delta for event in events if event.type == "response.output_audio.delta"]
    assert b"".join(map(base64.b64decode, deltas)) == speech.pcmu


@pytest.mark.parametrize("authorization", ["", "Basic eDp5", "Bearer "])
def test_without_a_bearer_key_there_is_no_upgrade(serve: Serve, authorization: str) -> None:
    """401, before any session."""
    server = serve()
    client = OpenAI(api_key="x", base_url=server.url)
    manager = client.realtime.connect(
        model="m", extra_headers={"Authorization": authorization}, websocket_connection_options=OPTIONS
    )
    with pytest.raises(InvalidStatus) as caught:
        manager.enter()
    assert caught.value.response.status_code == 401
    assert server.sessions == []


def test_nonsense_on_the_wire_is_answered(serve: Serve) -> None:
    """A binary frame, bad JSON, an unknown type: the session lives."""
    server = serve(Script(timing=INSTANT))
    with connect(server) as connection:
        configured(connection)
        for nonsense in (b"\x00\x01", "{", '{"type":"dance"}'):
            connection.send_raw(nonsense)
            assert until(connection, "error")[-1].type == "error"
        connection.response.create()
        until(connection, "response.done")


@pytest.mark.parametrize(
    ("code", "raised"), [(1001, ConnectionClosedOK), (1011, ConnectionClosedError), (None, ConnectionClosedError)]
)
def test_the_socket_drops_as_the_script_wants(serve: Serve, code: int | None, raised: type[Exception]) -> None:
    """A close frame with the code, or a TCP connection that just ends."""
    server = serve(Script(rules=[Rule(Sent("response.created"), DropSocket(code, "as planned"))]))
    connection = configured(connect(server).enter())
    connection.response.create()
    with pytest.raises(raised) as caught:
        until(connection, "nothing like that")
    frame = getattr(caught.value, "rcvd", None)
    assert (frame and (frame.code, frame.reason)) == (code and (code, "as planned"))
    connection.close()


def test_a_client_that_is_gone_ends_its_session(serve: Serve) -> None:
    """Nothing runs on, other sessions are undisturbed."""
    server = serve(Script(replies=[reply(says("Long.", 60_000))]))
    first, second = connect(server).enter(), connect(server).enter()
    configured(first).response.create()
    until(first, "response.created")
    first.close()
    configured(second).response.create()
    until(second, "response.created")
    with gevent.Timeout(5):
        while not server.sessions[0].outbox.closed:
            gevent.sleep(0.01)
    assert not server.sessions[1].outbox.closed
    second.close()


def test_an_interruption_at_an_event_with_a_late_cancel(serve: Serve) -> None:
    """The example of the README: speech at the fifth event, the cancel answered after 480 ms."""
    late = ResponseFaults(cancel=OnCancel(Answer.DONE, after_ms=480, keeps_talking=True))
    script = Script(
        replies=[reply(says("We are open from nine to five.", 4000), faults=late), reply(says("Yes?", 300))],
        rules=[Rule(SentOf(response=0, index=4), CallerSpeaks("wait", for_ms=900, stop_after_ms=30))],
    )
    server = serve(script)
    with connect(server) as connection:
        configured(connection).response.create()
        until(connection, "input_audio_buffer.speech_started")
        connection.response.cancel(response_id=server.sessions[0].runs[0].id)
        assert until(connection, "response.done")[-1].response.status == "cancelled"
        connection.response.create()
        assert until(connection, "response.done")[-1].response.status == "completed"
    session = server.sessions[0]
    assert session.refusals == []
    at = {entry.type: entry.at_ms for entry in session.client_events}
    done = next(entry for entry in session.server_events if entry.type == "response.done")
    assert done.at_ms - at["response.cancel"] >= 0
    assert done.place is not None
    assert done.place[0] == 0


def test_sessions_in_turn_have_their_own_scripts() -> None:
    """What a lost connection's successor does; the last script stays."""
    factory = in_turn(Script(turns=["first"]), Script(turns=["then"]))
    assert [factory().script.turns for _ in range(3)] == [["first"], ["then"], ["then"]]


def test_sessions_are_awaited(serve: Serve) -> None:
    """`wait_for_session` returns the session, or gives up."""
    server = serve()
    with pytest.raises(TimeoutError):
        server.wait_for_session(0, timeout_s=0.01)
    waiter = gevent.spawn(server.wait_for_session, 0)
    with connect(server):
        assert waiter.get(timeout=5) is server.sessions[0]


def start_engine(*arguments: str) -> subprocess.Popen[str]:
    """The engine as its own process."""
    command = [sys.executable, "-m", "worker.rehearsal", "--brain", "scripted", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_program_says_where_it_listens_and_stops_on_sigterm() -> None:
    """One line, exit 0; a second one on the same port: one line, exit 2."""
    with start_engine() as engine:
        assert engine.stdout is not None
        line = engine.stdout.readline()
        assert line.startswith("rehearsal engine listening on http://127.0.0.1:")
        assert line.endswith("/v1\n")
        url = line.split()[-1]
        with OpenAI(api_key="x", base_url=url).realtime.connect(
            model="m", websocket_connection_options=OPTIONS
        ) as connection:
            assert connection.recv().type == "session.created"
        port = url.split(":")[-1].removesuffix("/v1")
        with start_engine("--port", port) as second:
            out, err = second.communicate(timeout=30)
            assert second.returncode == 2
            assert (out, err.count("\n")) == ("", 1)
            assert f"cannot listen on 127.0.0.1:{port}" in err
        engine.terminate()
        assert engine.wait(timeout=30) == 0
