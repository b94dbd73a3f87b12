"""How customers are found again: by the beginning of a name, by the end of a phone number.

Both searches compare beginnings of what is stored, because a comparison of ranges can use an index.
"""

from __future__ import annotations

import unicodedata

_END = "\U0010ffff"
"""Greater than whatever may follow a prefix, where text is compared by code point."""


def name_key(name: str) -> str:
    """What two spellings of one name share.

    Case, accents and niqqud, gershayim, geresh, maqaf and other punctuation do not count; a dash or a maqaf parts
    words, marks within a word vanish (צ'רלי, ז״ל, O'Neil).
    """
    letters = []
    for mark in unicodedata.normalize("NFKD", name.casefold()):
        kind = unicodedata.category(mark)
        if kind[0] in "LN":
            letters.append(mark)
        elif kind[0] == "Z" or kind in ("Pd", "Pc") or mark in "\t\n\r/,;":
            letters.append(" ")
    # A second time: the compatibility form of a letter may be an upper-case one.
    return " ".join("".join(letters).casefold().split())


def phone_reversed(phone: str) -> str:
    """The digits of a number, last one first."""
    return "".join(digit for digit in reversed(phone) if digit in "0123456789")


def prefix_range(prefix: str) -> tuple[str, str]:
    """`low <= text < high` is "begins with `prefix`" where text is compared by code point."""
    return prefix, prefix + _END
