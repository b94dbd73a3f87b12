"""Names and numbers as searches see them."""

from __future__ import annotations

import pytest

from app.domain.customers import name_key, phone_reversed, prefix_range


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Dana Levi", "dana levi"),
        ("  DANA \t levi\n", "dana levi"),
        ("José Ñandú", "jose nandu"),
        ("Straße", "strasse"),
        ("O'Neil", "oneil"),
        ("Anne-Marie", "anne marie"),
        ("דָּנָה לֵוִי", "דנה לוי"),
        ("בן־דוד", "בן דוד"),
        ("צ'רלי", "צרלי"),
        ("צ׳רלי", "צרלי"),
        ("ד״ר כהן", "דר כהן"),
        ('ד"ר כהן', "דר כהן"),
        ("\u200fדנה\u200e", "דנה"),
        ("ﬁnn", "finn"),
        ("Ⅳ", "iv"),
        ("...", ""),
    ],
)
def test_a_name_is_reduced_to_its_letters(name: str, key: str) -> None:
    """Spellings that a person would take for one name are one key."""
    assert name_key(name) == key


@pytest.mark.parametrize("name", ["Dana", "דָּנָה", "Straße", "ΑΣ", "İbrahim", "ﬃ", "Ⅳ-ö"])
def test_a_key_is_its_own_key(name: str) -> None:
    """So that what is typed from what is shown finds it."""
    assert name_key(name_key(name)) == name_key(name)


def test_a_number_is_its_digits_backwards() -> None:
    """Its end becomes a beginning."""
    assert phone_reversed("+972-52 123") == "32125279"


def test_the_range_of_a_prefix_holds_what_begins_with_it() -> None:
    """The prefix itself, longer ones, and nothing else."""
    low, high = prefix_range("dan")
    assert all(low <= key < high for key in ("dan", "dana levi", "dan\U0010fffe"))
    assert not any(low <= key < high for key in ("da", "dam", "dao", "e", ""))
