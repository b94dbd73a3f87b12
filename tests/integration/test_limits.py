"""Limits: counted together by all who ask at once, and forgotten when the window is over."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from app.errors import RateLimited
from app.services import Services
from tests.factories import Clock


@pytest.fixture
def bucket() -> str:
    """Who asks: nobody else of this run."""
    return f"login:{secrets.token_hex(8)}@example.com"


def refused(services: Services, bucket: str, most: int = 3, window_s: int = 60) -> bool:
    try:
        services.limits.count(bucket, most, window_s)
    except RateLimited:
        return True
    return False


def test_one_too_many_is_refused_with_the_time_to_wait(services: Services, clock: Clock, bucket: str) -> None:
    """Which is what is left of the window, in whole seconds."""
    for _ in range(3):
        services.limits.count(bucket, 3, 60)
    clock.advance(seconds=20.5)
    with pytest.raises(RateLimited) as told:
        services.limits.count(bucket, 3, 60)
    assert told.value.retry_after_s == 40


def test_a_new_window_begins_when_the_old_one_is_over(services: Services, clock: Clock, bucket: str) -> None:
    """Coming back after what was told is always soon enough."""
    answers = [refused(services, bucket) for _ in range(5)]
    clock.advance(seconds=60)
    answers += [refused(services, bucket) for _ in range(4)]
    assert answers == [False] * 3 + [True] * 2 + [False] * 3 + [True]


def test_being_refused_does_not_prolong_the_wait(services: Services, clock: Clock, bucket: str) -> None:
    """Nor does the count grow without bound."""
    for _ in range(30):
        refused(services, bucket)
        clock.advance(seconds=2)
    assert not refused(services, bucket)


def test_buckets_do_not_know_of_each_other(services: Services, bucket: str) -> None:
    """One who asks too often stops nobody else."""
    for _ in range(4):
        refused(services, bucket)
    assert refused(services, bucket)
    assert not refused(services, f"{bucket}2")


def test_counts_at_the_same_time_are_all_counted(services: Services, bucket: str) -> None:
    """Of a hundred at once exactly as many pass as may."""
    with ThreadPoolExecutor(25) as threads:
        answers = list(threads.map(lambda _: refused(services, bucket, most=40), range(100)))
    assert answers.count(False) == 40


def test_who_asks_is_not_stored(services: Services, engine: Engine, bucket: str) -> None:
    """A hash of it is; an e-mail or an address is personal data."""
    services.limits.count(bucket, 3, 60)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT encode(bucket, 'escape') FROM rate_limits")).scalars().all()
    assert rows
    assert not [row for row in rows if bucket in row]


def test_old_counts_are_forgotten(services: Services, clock: Clock, engine: Engine, bucket: str) -> None:
    """A day after their window began; younger ones stay."""
    clock.advance(days=30)
    services.limits.forget_old()
    services.limits.count(bucket, 3, 60)
    clock.advance(hours=12)
    services.limits.count(f"{bucket}2", 3, 60)
    clock.advance(hours=12)
    assert services.limits.forget_old() == 1
    with engine.connect() as connection:
        left = connection.scalars(text("SELECT window_starts_at FROM rate_limits")).all()
    assert clock.now - timedelta(hours=12) in left
    assert clock.now - timedelta(hours=24) not in left
