"""The operator's commands: what they make, and that whatever goes wrong is one line and exit code 2."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import text
from structlog.testing import capture_logs

from app.domain.access import BUSINESS_SCOPES, CREATE_BUSINESSES, SCOPES, Role
from app.services import Services
from tests.factories import SomeBusiness
from tests.integration.conftest import Server
from tests.integration.test_web_process import environment

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse"
NEW = ("--new-business", "Clinic", "--timezone", "Asia/Jerusalem", "--language", "he")

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    """`flask --app wsgi …` in this process."""

    def run(*arguments: object, password: str = PASSWORD) -> Result:
        with capture_logs():
            return app.test_cli_runner().invoke(args=[str(a) for a in arguments], input=f"{password}\n")

    return run


@pytest.fixture
def email() -> str:
    """Nobody's yet."""
    return f"{secrets.token_hex(6)}@example.com"


def owner(email: str, *place: object) -> tuple[object, ...]:
    """The command that makes one, its password from standard input."""
    return ("create-owner", *place, "--email", email, "--name", "Dana", "--password-stdin")


def log_in(services: Services, email: str, password: str = PASSWORD) -> int:
    return services.sessions.log_in(email, password, email).user.business_id


def test_an_owner_is_made_and_can_log_in(run: Run, services: Services, business: SomeBusiness, email: str) -> None:
    """With the password that came in, to the last character but the line's end."""
    result = run(*owner(email, "--business", business.id), password=" with spaces ")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"business {business.id}: user ")
    session = services.sessions.log_in(email, " with spaces ", email)
    assert (session.user.business_id, session.user.role) == (business.id, Role.OWNER)


def test_the_first_owner_comes_with_a_business(run: Run, services: Services, email: str) -> None:
    """On an empty installation there is none to name."""
    result = run(*owner(email, *NEW, "--country", "US"), "--json")
    assert result.exit_code == 0, result.stderr
    made = json.loads(result.stdout)
    assert made["business_id"] == log_in(services, email)
    business = services.businesses.get_business(made["business_id"])
    assert (business.name, business.timezone, business.language) == ("Clinic", "Asia/Jerusalem", "he")
    assert business.country == "US"


def test_an_owner_that_is_refused_leaves_no_business(run: Run, app: Flask, services: Services, email: str) -> None:
    """Both are made, or neither."""
    run(*owner(email, *NEW))
    with services.businesses._db.system() as session:
        before = session.execute(text("SELECT count(*) FROM all_tenants()")).scalar_one()
    assert run(*owner(email, *NEW)).exit_code == 2
    with services.businesses._db.system() as session:
        assert session.execute(text("SELECT count(*) FROM all_tenants()")).scalar_one() == before


def refused(result: Result, told: str) -> None:
    """One line on standard error, which says this, and the exit code of a refusal."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("moed: ")
    assert told in line


@pytest.mark.parametrize(
    ("place", "password", "told"),
    [
        ((), PASSWORD, "either --business or --new-business"),
        (("--business", 1, *NEW), PASSWORD, "either --business or --new-business"),
        (("--business", 1, "--language", "he"), PASSWORD, "--language goes with --new-business"),
        (("--new-business", "X"), PASSWORD, "needs --timezone and --language"),
        ((*NEW, "--country", "XX"), PASSWORD, "country"),
        (("--new-business", "X", "--timezone", "Mars/Base", "--language", "he"), PASSWORD, "timezone"),
        (("--new-business", "X", "--timezone", "UTC", "--language", "tlh"), PASSWORD, "--language"),
        (("--business", 2**62), PASSWORD, "no such business"),
        (("--business", 0), PASSWORD, "--business"),
        (("--business", "x"), PASSWORD, "--business"),
        (NEW, "short", "password"),
        (NEW, "", "password"),
        ((*NEW, "--password", PASSWORD), PASSWORD, "No such option"),
    ],
)
def test_what_is_wrong_with_an_owner_is_told_in_one_line(
    run: Run, email: str, place: tuple[object, ...], password: str, told: str
) -> None:
    """A password is never an argument: everybody on the machine can read those."""
    refused(run(*owner(email, *place), password=password), told)


def test_an_e_mail_that_somebody_has_is_refused(run: Run, business: SomeBusiness, email: str) -> None:
    """And not repeated in the error."""
    run(*owner(email, "--business", business.id))
    result = run(*owner(email, "--business", business.id))
    refused(result, "somebody has this e-mail already")
    assert email not in result.output


def test_without_a_terminal_the_password_comes_from_standard_input(
    run: Run, business: SomeBusiness, email: str
) -> None:
    """Else the command would wait for somebody who is not there."""
    result = run("create-owner", "--business", business.id, "--email", email, "--name", "Dana")
    refused(result, "--password-stdin")


@pytest.mark.parametrize(
    ("options", "scopes"),
    [
        (("--all",), BUSINESS_SCOPES),
        (("--read-only",), {scope for scope in BUSINESS_SCOPES if scope.endswith(":read")}),
        (("--scope", "calls:read", "--scope", "blocks:write"), {"calls:read", "blocks:write"}),
    ],
)
def test_a_key_is_printed_once_and_works(
    run: Run, services: Services, business: SomeBusiness, options: tuple[str, ...], scopes: set[str]
) -> None:
    """Alone on its line, so that a shell can take it."""
    result = run("create-key", "--business", business.id, "--name", "Till", *options)
    assert result.exit_code == 0, result.stderr
    credential = services.api_keys.authenticate(result.stdout.removesuffix("\n"))
    assert (credential.business_id, credential.scopes) == (business.id, scopes)
    assert result.stdout.strip() not in result.stderr


def test_the_operator_s_key_may_make_businesses(run: Run, services: Services) -> None:
    """With --all; a read-only one may not."""
    everything = run("create-key", "--business", "operator", "--name", "Ops", "--all").stdout.strip()
    assert services.api_keys.authenticate(everything).is_operator
    assert services.api_keys.authenticate(everything).scopes == set(SCOPES)
    reading = run("create-key", "--business", "operator", "--name", "Ops", "--read-only").stdout.strip()
    assert CREATE_BUSINESSES not in services.api_keys.authenticate(reading).scopes


def test_a_key_in_json_says_what_it_is(run: Run, services: Services, business: SomeBusiness) -> None:
    """For scripts: id, business, scopes and when it expires."""
    result = run("create-key", "--business", business.id, "--name", "Till", "--all", "--expires-days", 7, "--json")
    told = json.loads(result.stdout)
    assert services.api_keys.authenticate(told["token"]).actor == f"key:{told['id']}"
    details = services.api_keys.get_key(business.id, told["id"])
    assert details.expires_at is not None
    assert (told["expires_at"], told["scopes"]) == (details.expires_at.isoformat(), list(details.scopes))
    assert details.created_by == "operator"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "give one of --scope, --all and --read-only"),
        (("--all", "--read-only"), "give one of --scope, --all and --read-only"),
        (("--scope", "everything"), "scope"),
        (("--scope", CREATE_BUSINESSES), "operator"),
        (("--all", "--expires-days", 0), "--expires-days"),
        (("--all", "--name", ""), "name"),
        (("--all", "--business", 2**62), "no such business"),
        (("--all", "--business", "somebody"), "--business"),
        (("--all", "--business", "٣"), "--business"),
        (("--all", "--nonsense"), "--nonsense"),
    ],
)
def test_what_is_wrong_with_a_key_is_told_in_one_line(
    run: Run, business: SomeBusiness, options: tuple[object, ...], told: str
) -> None:
    """Nothing on standard output, so a script that takes it takes nothing."""
    result = run("create-key", "--business", business.id, "--name", "Till", *options)
    refused(result, told)
    assert result.stdout == ""


def command_line(*arguments: object) -> list[str]:
    """`flask --app wsgi …` as an operator types it."""
    return [sys.executable, "-m", "flask", "--app", "wsgi", *map(str, arguments)]


def flask(database_url: str, *arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command_line(*arguments),
        cwd=ROOT,
        env=environment(DATABASE_URL=database_url),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_real_process_makes_an_owner_and_a_key(database_url: str, services: Services, email: str) -> None:
    """With the real Argon2id, and nothing on standard output but the answer."""
    made = flask(database_url, *owner(email, *NEW), "--json", stdin=f"{PASSWORD}\n")
    assert made.returncode == 0, made.stderr
    business_id = json.loads(made.stdout)["business_id"]
    assert log_in(services, email) == business_id
    key = flask(database_url, "create-key", "--business", business_id, "--name", "Till", "--all")
    assert key.returncode == 0, key.stderr
    assert services.api_keys.authenticate(key.stdout.strip()).business_id == business_id
    for secret in (PASSWORD, email, key.stdout.strip()):
        assert secret not in made.stderr + key.stderr


def test_a_terminal_is_asked_for_the_password_twice(
    database_url: str, services: Services, business: SomeBusiness, email: str
) -> None:
    """And shows nothing of it."""
    keyboard, terminal = os.openpty()
    command = command_line("create-owner", "--business", business.id, "--email", email, "--name", "Dana")
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(DATABASE_URL=database_url),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # no other terminal that it could ask
    )
    with process:
        assert process.stderr is not None
        for _ in range(2):
            # The space is written when the terminal has stopped echoing.
            asked = b""
            while not asked.endswith(b": "):
                more = process.stderr.read1()
                assert more, asked
                asked += more
            os.write(keyboard, f"{PASSWORD}\n".encode())
        output, errors = process.communicate(timeout=60)
    os.write(terminal, b"end")
    shown = os.read(keyboard, 4096)
    os.close(terminal)
    os.close(keyboard)
    assert process.returncode == 0, errors
    assert log_in(services, email) == business.id
    assert PASSWORD.encode() not in output + errors + shown


def test_a_database_that_is_not_there_is_one_line() -> None:
    """No traceback."""
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    made = flask(url, "create-key", "--business", "operator", "--name", "Ops", "--all")
    assert (made.returncode, made.stdout) == (2, "")
    assert len(made.stderr.splitlines()) == 1
    assert "the database does not answer" in made.stderr


def test_a_database_that_is_not_migrated_is_one_line(
    server: Server, new_database: Callable[[str | None], str]
) -> None:
    """It says what to run first."""
    url = server.url_of(new_database(None))
    made = flask(url, "create-key", "--business", "operator", "--name", "Ops", "--all")
    assert (made.returncode, made.stdout) == (2, "")
    assert len(made.stderr.splitlines()) == 1
    assert "bin/start release" in made.stderr
