"""A password's hash takes a tenth of a second; the other greenlets of the process do not notice."""

from __future__ import annotations

import os
from collections.abc import Iterator

import gevent
import pytest
from flask import Flask
from sqlalchemy import Engine

from app.adapters.passwords import MOST_AT_ONCE, Argon2Hasher, off_the_hub
from app.domain.access import BUSINESS_SCOPES, Role
from app.domain.users import NewSession, NewUser
from app.services import build_services
from tests.factories import new_business
from tests.fakes.passwords import CheapHasher

WAIT_S = 20


class Gate:
    """Native threads that come to it stop; on the hub they would stop everything. `os.read` is not patched."""

    def __init__(self) -> None:
        self._inside, self._outside = os.pipe()
        self.arrived = 0
        self.left = 0

    def wait(self) -> None:
        """Until somebody opens it."""
        self.arrived += 1
        os.read(self._inside, 1)
        self.left += 1

    def open(self, times: int = 1) -> None:
        """Let so many through."""
        os.write(self._outside, b"x" * times)

    def close(self) -> None:
        """Give the pipe back, once nobody reads it any more."""
        with gevent.Timeout(WAIT_S):
            while self.left < self.arrived:
                gevent.sleep(0)
        os.close(self._inside)
        os.close(self._outside)


class SlowHasher(CheapHasher):
    """Checks a password only when the gate has been opened."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    def fits(self, stored: str, password: bytes) -> bool:
        """See PasswordHasher."""
        off_the_hub(self._gate.wait)
        return super().fits(stored, password)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.close()


def test_other_greenlets_run_while_somebody_logs_in(app: Flask, engine: Engine, gate: Gate) -> None:
    """The gate is opened by a greenlet: if the hub were blocked, nobody could."""
    services = build_services(engine, hasher=SlowHasher(gate))
    business = new_business(services)
    new = NewUser("owner@example.com", "Dana", Role.OWNER, "correct horse")
    services.users.create_user(business.id, new, "operator", BUSINESS_SCOPES)

    def log_in() -> NewSession:
        return services.sessions.log_in("owner@example.com", "correct horse", "192.0.2.1")

    login = gevent.spawn(log_in)
    with gevent.Timeout(WAIT_S):
        while not gate.arrived:
            gevent.sleep(0)
        counted = 0
        for _ in range(100):
            gevent.sleep(0)
            counted += 1
        assert not login.ready()
        gate.open()
        session = login.get()
    assert counted == 100
    assert session.user.email == "owner@example.com"


def test_only_a_few_hash_at_once(gate: Gate) -> None:
    """The hub's threads are few and look names up too; the others wait for their turn."""
    logins = [gevent.spawn(off_the_hub, gate.wait) for _ in range(MOST_AT_ONCE + 3)]
    with gevent.Timeout(WAIT_S):
        while gate.arrived < MOST_AT_ONCE:
            gevent.sleep(0)
        for _ in range(100):
            gevent.sleep(0)
        assert gate.arrived == MOST_AT_ONCE
        gate.open(len(logins))
        gevent.joinall(logins, raise_error=True)
    assert gate.arrived == len(logins)


def test_a_greenlet_that_gives_up_gives_its_turn_back(gate: Gate) -> None:
    """Else a few clients that hang up would shut the door for good."""
    for _ in range(MOST_AT_ONCE):
        greenlet = gevent.spawn(off_the_hub, gate.wait)
        with gevent.Timeout(WAIT_S):
            arrived = gate.arrived
            while gate.arrived == arrived:
                gevent.sleep(0)
        greenlet.kill()
    with gevent.Timeout(WAIT_S):
        assert gevent.spawn(off_the_hub, os.getpid).get() == os.getpid()
    gate.open(MOST_AT_ONCE)


def test_argon2_works_in_a_greenlet() -> None:
    """The real one, with its errors crossing threads."""
    hasher = Argon2Hasher(memory_kib=64, passes=1)
    stored = gevent.spawn(hasher.make, b"correct horse").get(timeout=WAIT_S)
    assert gevent.spawn(hasher.fits, stored, b"correct horse").get(timeout=WAIT_S)
    assert not gevent.spawn(hasher.fits, stored, b"wrong horse").get(timeout=WAIT_S)
