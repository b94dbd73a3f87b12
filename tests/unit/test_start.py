"""`bin/start`: what is refused before anything runs, in one line and exit code 2."""

from __future__ import annotations

import os

import pytest

from app import schema, start
from app.settings import Settings, SettingsError

GOOD = {
    "DATABASE_URL": "postgresql://moed:s3cret@127.0.0.1:1/moed",
    "PORT": "5000",
    "PUBLIC_BASE_URL": "https://moed.example",
    "MEDIA_PUBLIC_URL": "wss://media.example/media",
    "TWILIO_AUTH_TOKEN": "t0ken",
}


def run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    environment: dict[str, str],
) -> tuple[int, list[str]]:
    """Exit code and stderr of `bin/start` with exactly this environment."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code = start.main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err.splitlines()


@pytest.mark.parametrize("name", ["web", "worker", "outbox", "release"])
@pytest.mark.parametrize("role", ["all", "media"])
def test_no_database_url_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, role: str
) -> None:
    """A lost setting must never open an empty calendar."""
    environment = GOOD | {"DATABASE_URL": "", "MOED_ROLE": role}
    code, lines = run(monkeypatch, capsys, [name], environment)
    assert code == 2
    assert lines == ["missing setting: DATABASE_URL (see the settings table in README.md)"]


@pytest.mark.parametrize("name", ["PORT", "PUBLIC_BASE_URL", "MEDIA_PUBLIC_URL", "TWILIO_AUTH_TOKEN"])
def test_web_without_a_setting_it_needs_is_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Each is named."""
    code, lines = run(monkeypatch, capsys, ["web"], GOOD | {name: ""})
    assert code == 2
    assert lines[-1].startswith(f"missing setting: {name} ")


def test_all_missing_settings_of_web_are_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator mends everything at once."""
    code, lines = run(monkeypatch, capsys, ["web"], {})
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(
        "missing setting: DATABASE_URL, PORT, PUBLIC_BASE_URL, MEDIA_PUBLIC_URL, TWILIO_AUTH_TOKEN "
    )


@pytest.mark.parametrize("arguments", [[], ["web", "worker"], ["wub"]])
def test_unknown_process_is_the_usage_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """A typo in a Procfile."""
    assert run(monkeypatch, capsys, arguments, GOOD) == (2, ["usage: bin/start web|worker|outbox|release"])


@pytest.mark.parametrize(
    "bad", [{"PORT": "http"}, {"TWILIO_SIGNATURE_CHECK": "0"}, {"MOED_ROLE": "web"}, {"DATABASE_URL": "x"}]
)
def test_malformed_setting_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bad: dict[str, str]
) -> None:
    """The line names the setting."""
    code, lines = run(monkeypatch, capsys, ["web"], GOOD | bad)
    assert code == 2
    assert len(lines) == 1
    assert next(iter(bad)) in lines[0]


def test_media_role_never_migrates(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Two apps on one database: the first one migrates; the second's release phase passes."""
    code, lines = run(monkeypatch, capsys, ["release"], GOOD | {"MOED_ROLE": "media"})
    assert code == 0
    assert lines[-1] == "release: nothing to do where MOED_ROLE=media, the other app migrates"


def test_media_role_sends_no_webhooks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The first app's sender does; a second one would be as good as none."""
    code, lines = run(monkeypatch, capsys, ["outbox"], GOOD | {"MOED_ROLE": "media"})
    assert code == 0
    assert lines[-1] == "outbox: nothing to do where MOED_ROLE=media, the other app sends"


def test_role_picks_the_process() -> None:
    """Routers reach only `web`: where the role is media it is the worker, and `worker` stays it."""
    assert start.PROGRAMS["media", "web"] == start.PROGRAMS["all", "worker"] == "worker"
    assert start.PROGRAMS["media", "worker"] == "worker"
    assert start.PROGRAMS["all", "web"] == "web"


def test_sum_of_connections_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Every process's pool, web processes times their number."""
    start.check_connections(Settings(web_concurrency=3, db_pool_size=4, db_connection_limit=20))
    said = capsys.readouterr().err
    assert said == "database connections: web 3 x 4 + worker 1 x 4 + outbox 4 = 20, limit 20\n"


def test_more_connections_than_the_limit_are_refused() -> None:
    """One connection too many, and the line says what to change."""
    with pytest.raises(SettingsError, match=r"= 20, limit 19: lower DB_POOL_SIZE or WEB_CONCURRENCY"):
        start.check_connections(Settings(web_concurrency=3, db_pool_size=4, db_connection_limit=19))


def test_default_settings_fit_their_own_limit(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is refused who set nothing."""
    start.check_connections(Settings())
    assert capsys.readouterr().err.endswith("= 20, limit 20\n")


def test_migrations_are_numbered_one_after_another() -> None:
    """The wait for the schema compares numbers: each file's revision is its prefix, its parent the one before."""
    files = sorted(schema.MIGRATIONS.glob("[0-9]*.py"))
    numbers = [path.name[:4] for path in files]
    assert numbers == [f"{index:04d}" for index in range(1, len(files) + 1)]
    assert schema.newest_revision() == len(files)
    parents = ["None", *(f'"{number}"' for number in numbers)]
    for path, number, parent in zip(files, numbers, parents, strict=False):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert f'revision = "{number}"' in lines
        assert f"down_revision = {parent}" in lines
