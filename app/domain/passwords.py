"""What users type to log in, in the one form in which it is compared and hashed."""

from __future__ import annotations

import re
import unicodedata

from app.errors import InvalidInput

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
LONGEST_EMAIL = 254
"""RFC 5321, 4.5.3.1.3: a path has 256 octets with its angle brackets."""

# What browsers take for `input type=email` (HTML, "valid email address"), in the form of `same_email`.
_EMAIL = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*",
    re.ASCII,
)


def same_email(text: str) -> str:
    """The form in which an e-mail is stored and looked up."""
    return unicodedata.normalize("NFKC", text).strip().lower()


def is_email(text: str) -> bool:
    """Whether `same_email` of something is one."""
    return len(text) <= LONGEST_EMAIL and _EMAIL.fullmatch(text) is not None


def password_bytes(text: str) -> bytes:
    """What is hashed: the same for all ways in which keyboards compose a letter (NIST SP 800-63B, 5.1.1.2).

    Longer than any password can be is cut, to bound the work; it still fits none.
    """
    return unicodedata.normalize("NFKC", text[: LONGEST_PASSWORD + 1]).encode("utf-8", "surrogatepass")


def check_password(field: str, text: str, email: str) -> bytes:
    """A password that may be set, as `password_bytes`. Raises InvalidInput."""
    if not SHORTEST_PASSWORD <= len(text) <= LONGEST_PASSWORD:
        raise InvalidInput(field, f"must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    if any(unicodedata.category(mark) in ("Cc", "Cs") for mark in text):
        raise InvalidInput(field, "must not hold control characters")
    if same_email(text) == email:
        raise InvalidInput(field, "must not be the e-mail")
    return password_bytes(text)
