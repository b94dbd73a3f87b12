"""Password hashes by Argon2id, computed where they stop nobody else."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from typing import Protocol, TypeVar

import gevent
from argon2 import PasswordHasher as Argon2
from argon2.exceptions import InvalidHashError, VerificationError
from gevent.lock import BoundedSemaphore

T = TypeVar("T")

# Twice the passes of OWASP's first choice (Password Storage Cheat Sheet: m=46 MiB, t=1, p=1). One lane: a hash
# takes one core, not all of them.
MEMORY_KIB = 46 * 1024
PASSES = 2
_SALT_BYTES = 16
_HASH_BYTES = 32

# Each takes MEMORY_KIB while it runs, and the hub's ten threads are also what looks names up.
MOST_AT_ONCE = 2


class PasswordHasher(Protocol):
    """Makes and checks hashes of passwords; safe to share between greenlets and threads.

    `nobodys` is a hash that no password fits and that takes as long to check as any other.
    """

    @property
    def nobodys(self) -> str:
        """See the class."""

    def make(self, password: bytes) -> str:
        """A new hash, with a salt of its own."""

    def fits(self, stored: str, password: bytes) -> bool:
        """Whether `stored` was made of this password."""

    def is_outdated(self, stored: str) -> bool:
        """Whether `make` would make it in another way today."""


class Argon2Hasher:
    """Argon2id (RFC 9106)."""

    def __init__(self, memory_kib: int = MEMORY_KIB, passes: int = PASSES) -> None:
        self._argon2 = Argon2(
            time_cost=passes,
            memory_cost=memory_kib,
            parallelism=1,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        self.nobodys = "$".join(
            ["", "argon2id", "v=19", f"m={memory_kib},t={passes},p=1", _zeros(_SALT_BYTES), _zeros(_HASH_BYTES)]
        )

    def make(self, password: bytes) -> str:
        """See PasswordHasher."""
        return off_the_hub(functools.partial(self._argon2.hash, password))

    def fits(self, stored: str, password: bytes) -> bool:
        """See PasswordHasher. What is no hash at all fits nothing."""
        try:
            return off_the_hub(functools.partial(self._argon2.verify, stored, password))
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False

    def is_outdated(self, stored: str) -> bool:
        """See PasswordHasher."""
        return self._argon2.check_needs_rehash(stored)


_turns = BoundedSemaphore(MOST_AT_ONCE)


def off_the_hub(work: Callable[[], T]) -> T:
    """Do `work` in a native thread when a greenlet asks, so that the others of its thread go on meanwhile.

    Nothing waits for a plain thread but itself, and asking for its hub would make one that nobody ends.
    """
    if not isinstance(gevent.getcurrent(), gevent.Greenlet):
        return work()
    with _turns:
        answer: T = gevent.get_hub().threadpool.apply(work)
    return answer


def _zeros(count: int) -> str:
    return base64.b64encode(bytes(count)).decode().rstrip("=")
