"""Secrets that are looked up: only their SHA-256 is stored. They are random, so a fast hash is enough."""

from __future__ import annotations

import hashlib


def sha256_of(token: str) -> bytes:
    """As which it is stored and found. Takes whatever a stranger may send."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
