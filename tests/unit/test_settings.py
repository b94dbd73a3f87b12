"""Settings: what is read, what is refused, and that a refusal is one line without secrets."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from app.settings import Settings, SettingsError, child_environment, load_settings

GOOD = {
    "DATABASE_URL": "postgres://moed:s3cret@db.example/moed?sslmode=require",
    "MOED_ENV": "development",
    "MOED_ROLE": "media",
    "HOST": "0.0.0.0",
    "PORT": "5000",
    "PUBLIC_BASE_URL": "https://moed.example/",
    "MEDIA_PUBLIC_URL": "wss://media.example/media",
    "TWILIO_AUTH_TOKEN": "t0ken",
    "TWILIO_SIGNATURE_CHECK": "0",
    "OPENAI_API_KEY": "sk-1",
    "OPENAI_BASE_URL": "http://127.0.0.1:9000/v1",
    "REALTIME_MODEL": "a-model",
    "TRANSCRIPTION_MODEL": "another",
    "CANCEL_WAIT_MS": "750",
    "SERVER_FIRST_SCHEDULING": "0",
    "DB_POOL_SIZE": "3",
    "DB_CONNECTION_LIMIT": "90",
    "WEB_CONCURRENCY": "2",
    "API_RATE_LIMIT_PER_MIN": "600",
    "TRUSTED_PROXIES": "1",
    "OUTBOX_THREADS": "4",
    "WEBHOOK_TIMEOUT_S": "3",
    "WEBHOOK_LEASE_S": "7",
    "WEBHOOK_ALLOW_PRIVATE": "1",
    "LOG_LEVEL": "DEBUG",
}


def test_no_environment_gives_production_defaults() -> None:
    """Nothing set: production, signatures checked, no database."""
    settings = load_settings({})
    assert settings == Settings()
    assert settings.production
    assert settings.twilio_signature_check
    assert settings.database_url == ""


def test_each_setting_is_read_from_its_variable() -> None:
    """Every field takes the variable of its own name, in its own type."""
    settings = load_settings(GOOD)
    assert settings == Settings(
        database_url="postgresql+psycopg2://moed:s3cret@db.example/moed?sslmode=require",
        moed_env="development",
        moed_role="media",
        host="0.0.0.0",
        port=5000,
        public_base_url="https://moed.example",
        media_public_url="wss://media.example/media",
        twilio_auth_token="t0ken",
        twilio_signature_check=False,
        openai_api_key="sk-1",
        openai_base_url="http://127.0.0.1:9000/v1",
        realtime_model="a-model",
        transcription_model="another",
        cancel_wait_ms=750,
        server_first_scheduling=False,
        db_pool_size=3,
        db_connection_limit=90,
        web_concurrency=2,
        api_rate_limit_per_min=600,
        trusted_proxies=1,
        outbox_threads=4,
        webhook_timeout_s=3,
        webhook_lease_s=7,
        webhook_allow_private=True,
        log_level="DEBUG",
    )


def test_the_example_sets_every_field() -> None:
    """A new setting must be added to the example above, so that its parser runs here."""
    assert {item.name.upper() for item in fields(Settings)} == set(GOOD)


def test_blank_values_count_as_missing() -> None:
    """A variable that is set to spaces is not set."""
    assert load_settings({"DATABASE_URL": "  ", "PORT": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "80a"),
        ("PORT", "٨٠"),
        ("MOED_ENV", "prod"),
        ("MOED_ROLE", "worker"),
        ("LOG_LEVEL", "debug"),
        ("TWILIO_SIGNATURE_CHECK", "false"),
        ("DB_POOL_SIZE", "0"),
        ("CANCEL_WAIT_MS", "1.5"),
        ("OUTBOX_THREADS", "0"),
        ("WEBHOOK_LEASE_S", "15"),
        ("WEBHOOK_TIMEOUT_S", "61"),
        ("WEBHOOK_ALLOW_PRIVATE", "yes"),
        ("PUBLIC_BASE_URL", "moed.example"),
        ("PUBLIC_BASE_URL", "wss://moed.example"),
        ("PUBLIC_BASE_URL", "https://"),
        ("PUBLIC_BASE_URL", "https://moed.example:http"),
        ("PUBLIC_BASE_URL", "https://[::1"),
        ("MEDIA_PUBLIC_URL", "https://media.example/media"),
        ("MEDIA_PUBLIC_URL", "wss://media.example/media?token=1"),
        ("OPENAI_BASE_URL", "wss://api.example"),
        ("DATABASE_URL", "mysql://moed:s3cret@db.example/moed"),
        ("DATABASE_URL", "moed"),
    ],
)
def test_bad_value_is_one_line_that_names_the_setting(name: str, value: str) -> None:
    """A malformed value: one line, with the variable's name, without the database's password."""
    with pytest.raises(SettingsError) as refusal:
        load_settings({"MOED_ENV": "development", name: value})
    line = str(refusal.value)
    assert name in line
    assert "\n" not in line
    assert "s3cret" not in line


def test_signature_check_off_in_production_is_refused() -> None:
    """The check can't be switched off where real callers are, and production is the default."""
    with pytest.raises(SettingsError, match="TWILIO_SIGNATURE_CHECK=0 is refused"):
        load_settings({"TWILIO_SIGNATURE_CHECK": "0"})


def test_private_webhooks_in_production_are_refused() -> None:
    """A customer's URL must not lead into the operator's network."""
    with pytest.raises(SettingsError, match="WEBHOOK_ALLOW_PRIVATE=1 is refused"):
        load_settings({"WEBHOOK_ALLOW_PRIVATE": "1"})


def test_server_first_scheduling_is_refused_until_it_exists() -> None:
    """A switch without anything behind it says so."""
    with pytest.raises(SettingsError, match="SERVER_FIRST_SCHEDULING"):
        load_settings({"SERVER_FIRST_SCHEDULING": "1"})


def test_require_names_every_missing_setting() -> None:
    """One line lists all that is missing, not only the first."""
    with pytest.raises(SettingsError, match=r"missing setting: DATABASE_URL, PUBLIC_BASE_URL "):
        Settings(media_public_url="wss://m.example").require("database_url", "public_base_url", "media_public_url")


def test_settings_are_frozen() -> None:
    """Nobody changes a setting after it was read."""
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_child_environment_keeps_ours_and_applies_the_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process gets this process's environment with the overrides on top."""
    monkeypatch.setenv("MOED_TEST_KEPT", "kept")
    monkeypatch.setenv("PORT", "1")
    child = child_environment({"PORT": "2"})
    assert (child["MOED_TEST_KEPT"], child["PORT"]) == ("kept", "2")
