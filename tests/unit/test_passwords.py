"""Argon2id, and the form in which e-mails and passwords are compared."""

from __future__ import annotations

import threading

import pytest

from app.adapters.passwords import MEMORY_KIB, PASSES, Argon2Hasher, off_the_hub
from app.domain.passwords import check_password, is_email, password_bytes, same_email
from app.errors import InvalidInput

QUICK = Argon2Hasher(memory_kib=64, passes=1)


def test_a_hash_fits_its_password_only() -> None:
    """And no hash is like another one."""
    stored = QUICK.make(b"correct horse")
    assert QUICK.fits(stored, b"correct horse")
    assert not QUICK.fits(stored, b"correct horse ")
    assert stored != QUICK.make(b"correct horse")
    assert not QUICK.is_outdated(stored)


def test_a_hash_of_other_parameters_fits_and_is_outdated() -> None:
    """So that it can be renewed at the next login."""
    stored = QUICK.make(b"correct horse")
    stronger = Argon2Hasher(memory_kib=64, passes=2)
    assert stronger.fits(stored, b"correct horse")
    assert stronger.is_outdated(stored)


def test_nobody_s_hash_fits_nothing_and_has_the_same_parameters() -> None:
    """Checking it does the work of a real one: the library reads its parameters and finds a mismatch."""
    stored = QUICK.make(b"")
    assert QUICK.nobodys.split("$")[:4] == stored.split("$")[:4]
    assert [len(part) for part in QUICK.nobodys.split("$")] == [len(part) for part in stored.split("$")]
    assert not QUICK.is_outdated(QUICK.nobodys)
    assert not QUICK.fits(QUICK.nobodys, b"")


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$", "$2b$12$" + "x" * 53, "é"])
def test_what_is_no_hash_fits_nothing(stored: str) -> None:
    """A row that somebody damaged lets nobody in, and is no fault of the program."""
    assert not QUICK.fits(stored, b"correct horse")


def test_hashes_are_made_by_argon2id_with_the_parameters_that_stand_here() -> None:
    """OWASP's least is 46 MiB and one pass."""
    assert Argon2Hasher().nobodys.startswith(f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1$")
    assert MEMORY_KIB >= 46 * 1024


def test_a_plain_thread_does_the_work_itself() -> None:
    """Nothing of gevent is made for it."""
    assert off_the_hub(threading.get_ident) == threading.get_ident()


@pytest.mark.parametrize(
    "typed", ["dana@example.com", " Dana@Example.COM ", "ｄａｎａ@example.com", "DANA@EXAMPLE.COM\n"]
)
def test_an_e_mail_is_the_same_however_it_is_typed(typed: str) -> None:
    """Case, spaces around it and full-width letters make no difference."""
    assert same_email(typed) == "dana@example.com"
    assert is_email(same_email(typed))


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "dana",
        "@example.com",
        "dana@",
        "a b@example.com",
        "a@b@c",
        "dana@-x.com",
        "דנה@example.com",
        "a@b\x00.c",
        "a" * 251 + "@b.c",
        "a@b..c",
        "ı@example.com",
        "\ud800@example.com",
    ],
)
def test_what_is_no_e_mail_is_told(typed: str) -> None:
    """ASCII only: then the database's idea of lower case is ours."""
    assert not is_email(same_email(typed))


def test_a_letter_composed_in_two_ways_is_one_password() -> None:
    """Keyboards differ, people do not notice."""
    assert password_bytes("pass\u00e9word") == password_bytes("passe\u0301word")


def test_a_password_is_cut_only_where_none_can_be() -> None:
    """A megabyte is not hashed, and does not fit the longest password either."""
    longest = "x" * 200
    assert password_bytes(longest) == longest.encode()
    assert password_bytes("x" * 1_000_000) == password_bytes("x" * 201) != password_bytes(longest)
    assert password_bytes("\ud800")


@pytest.mark.parametrize(
    "password", ["x" * 9, "x" * 201, "with\x00nothing", "with\nline end", "\ud800" * 10, " DANA@example.com"]
)
def test_a_password_that_may_not_be_is_refused(password: str) -> None:
    """And the field is named."""
    with pytest.raises(InvalidInput) as refused:
        check_password("password", password, "dana@example.com")
    assert refused.value.field == "password"


@pytest.mark.parametrize("password", ["x" * 10, "x" * 200, "סיסמה ארוכה מאוד"])
def test_any_other_password_may_be(password: str) -> None:
    """Of any letters, from ten on."""
    assert check_password("password", password, "dana@example.com") == password_bytes(password)
