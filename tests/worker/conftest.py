"""A media worker and a rehearsal engine in this process, on real sockets and a real database."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest
from flask import Flask

from app.adapters.carrier_signature import NoSignature
from app.domain.calls import CallDetails, CallState, IncomingCall
from app.services import Services, services_of
from app.settings import load_settings
from tests.factories import SomeBusiness, new_business
from tests.integration.conftest import (  # noqa: F401 - fixtures
    app,
    database_url,
    engine,
    migrated_template,
    new_database,
    server,
)
from worker.realtime.client import OpenAIRealtime
from worker.rehearsal.phone import Phone
from worker.rehearsal.scripted import Script, ScriptedBrain
from worker.rehearsal.server import RehearsalServer
from worker.rehearsal.session import RealtimeSession
from worker.server import MediaServer


@dataclass
class Bench:
    """Places calls. Each Realtime session takes the next of `scripts`, and when they are used up `afterwards`."""

    services: Services
    business: SomeBusiness
    engine: RehearsalServer
    media: MediaServer
    scripts: list[Script] = field(default_factory=list)
    afterwards: Script | None = None
    phones: list[Phone] = field(default_factory=list)

    @property
    def url(self) -> str:
        host, port = self.media.address
        return f"ws://{host}:{port}/media"

    def token(self, call_sid: str) -> str:
        """A media token, as the voice webhook makes one."""
        incoming = IncomingCall(call_sid, self.business.phone_number, "+972525551234")
        return self.services.calls.accept_call(incoming).media_token

    def phone(self) -> Phone:
        """A phone with a valid token, not dialled yet."""
        call_sid = f"CA{secrets.token_hex(16)}"
        phone = Phone(self.url, call_sid, {"token": self.token(call_sid)})
        self.phones.append(phone)
        return phone

    def call(self, script: Script | None = None) -> Phone:
        """Dial a call that meets `script`."""
        if script is not None:
            self.scripts.append(script)
        phone = self.phone()
        phone.dial()
        return phone

    def stored(self, phone: Phone) -> CallDetails:
        """What is stored of the call now."""
        call = self.services.calls.find_call(self.business.id, phone.call_sid)
        assert call is not None
        return call

    def closed(self, phone: Phone) -> CallDetails:
        """What is stored once the stream has been closed."""
        open_states = (CallState.RINGING, CallState.IN_PROGRESS)
        until(lambda: self.stored(phone).state not in open_states, "the call's row was not closed")
        return self.stored(phone)

    def tool_answers(self, phone: Phone) -> list[dict[str, Any]]:
        """What the tools of this call have answered so far, as stored."""
        entries = self.stored(phone).timeline
        return [json.loads(entry.data["output"]) for entry in entries if entry.kind == "tool_call"]

    @property
    def refusals(self) -> list[str]:
        """What the engine has refused, over all sessions.

        A cancel that crosses the response's own end on the wire is not counted: nobody can prevent that.
        """
        return [
            refusal["code"]
            for session in self.engine.sessions
            for refusal in session.refusals
            if not (refusal["code"] == "response_cancel_not_active" and _crossed(session, refusal["event_id"]))
        ]


def _crossed(session: RealtimeSession, cancel_id: str) -> bool:
    """Whether the response that this cancel names came to its own end before the cancel was carried out."""
    (cancel,) = [e for e in session.client_events if e.event.get("event_id") == cancel_id]
    ended = [e.event["response"] for e in session.server_events if e.type == "response.done"]
    return any(r["id"] == cancel.event.get("response_id") and r["status"] == "completed" for r in ended)


def await_reply(phone: Phone, pause_ms: float = 300.0) -> None:
    """Until something was heard, and then nothing for `pause_ms`."""
    until(lambda: phone.quiet_for_ms() == 0, "nothing was heard")
    until(lambda: phone.quiet_for_ms() >= pause_ms, "the bot did not stop")


def until(what: Callable[[], object], failure: str, within_s: float = 15.0) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, failure
        gevent.sleep(0.02)


@contextmanager
def running_bench(services: Services) -> Iterator[Bench]:
    """A worker, an engine and a business of its own, on these services."""
    scripts: list[Script] = []
    rehearsal = RehearsalServer(lambda: ScriptedBrain(scripts.pop(0) if scripts else bench.afterwards))
    rehearsal.start()
    settings = load_settings({"MOED_ENV": "test", "OPENAI_API_KEY": "rehearsal", "OPENAI_BASE_URL": rehearsal.url})
    media = MediaServer(("127.0.0.1", 0), services, OpenAIRealtime(settings), NoSignature(), settings)
    media.start()
    bench = Bench(services, new_business(services), rehearsal, media, scripts)
    yield bench
    for phone in bench.phones:
        phone.drop()
    until(lambda: media.calls == 0, "a call outlived its phone")
    media.drain(0)
    rehearsal.stop()


@pytest.fixture
def bench(app: Flask) -> Iterator[Bench]:  # noqa: F811 - the fixture
    with running_bench(services_of(app)) as bench:
        yield bench
