"""Settings: read once from the environment, validated at the edge, frozen. The only reader of `os.environ`.

Every field stands in the README's table; a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

EXIT_BAD_SETTINGS = 2

OUTBOX_POOL_SIZE = 3
"""Database connections of the webhook sender: its transactions are short, however many threads it has."""


class SettingsError(Exception):
    """A setting is missing or malformed. `str(error)` is one line for the operator."""


@dataclass(frozen=True)
class Settings:
    """All settings, with their defaults. Field `x_y` is the environment variable `X_Y`."""

    database_url: str = ""
    moed_env: str = "production"
    moed_role: str = "all"
    host: str = "0.0.0.0"
    port: int = 0
    public_base_url: str = ""
    media_public_url: str = ""
    twilio_auth_token: str = ""
    twilio_signature_check: bool = True
    openai_api_key: str = ""
    openai_base_url: str = "https://api.openai.com/v1"
    realtime_model: str = "gpt-realtime-2.1"
    transcription_model: str = "gpt-transcribe"
    cancel_wait_ms: int = 500
    server_first_scheduling: bool = False
    db_pool_size: int = 8
    db_connection_limit: int = 20
    web_concurrency: int = 1
    api_rate_limit_per_min: int = 6000
    trusted_proxies: int = 0
    outbox_threads: int = 8
    webhook_timeout_s: int = 15
    webhook_lease_s: int = 30
    webhook_allow_private: bool = False
    log_level: str = "INFO"

    @property
    def production(self) -> bool:
        """Whether the rules for production hold (signatures can't be switched off, secrets are required)."""
        return self.moed_env == "production"

    @property
    def secure_cookies(self) -> bool:
        """Whether browsers send cookies over TLS only: always, but on a developer's machine without it."""
        return self.production or not self.public_base_url.startswith("http://")

    def require(self, *names: str) -> None:
        """Raise `SettingsError` naming each of these fields that is empty."""
        missing = [name.upper() for name in names if not getattr(self, name)]
        if missing:
            raise SettingsError(f"missing setting: {', '.join(missing)} (see the settings table in README.md)")


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (the process's own by default). Raises `SettingsError` on the first bad value."""
    source = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for item in fields(Settings):
        text = source.get(item.name.upper(), "").strip()
        if text:
            values[item.name] = _PARSERS.get(item.name, _text)(item.name.upper(), text)
    settings = Settings(**values)
    _check(settings)
    return settings


def child_environment(overrides: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `overrides`, for a child process."""
    return {**os.environ, **overrides}


def _check(settings: Settings) -> None:
    if settings.production and not settings.twilio_signature_check:
        raise SettingsError("TWILIO_SIGNATURE_CHECK=0 is refused when MOED_ENV=production")
    if settings.production and settings.webhook_allow_private:
        raise SettingsError("WEBHOOK_ALLOW_PRIVATE=1 is refused when MOED_ENV=production")
    if settings.webhook_lease_s <= settings.webhook_timeout_s:
        raise SettingsError("WEBHOOK_LEASE_S must be more than WEBHOOK_TIMEOUT_S")
    if settings.server_first_scheduling:
        raise SettingsError("SERVER_FIRST_SCHEDULING=1 is not available in this version: set it to 0")


def _text(_: str, text: str) -> str:
    return text


def _integer(least: int, most: int) -> Callable[[str, str], int]:
    def parse(name: str, text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise SettingsError(f"{name} must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return parse


def _switch(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise SettingsError(f"{name} must be 0 or 1, not {text!r}")
    return text == "1"


def _choice(*allowed: str) -> Callable[[str, str], str]:
    def parse(name: str, text: str) -> str:
        if text not in allowed:
            raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {text!r}")
        return text

    return parse


def _url(*schemes: str) -> Callable[[str, str], str]:
    def parse(name: str, text: str) -> str:
        try:
            parts = urlsplit(text)
            usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
            usable = usable and not parts.query and not parts.fragment
        except ValueError:
            usable = False
        if not usable:
            raise SettingsError(
                f"{name} must be a URL that begins with {' or '.join(f'{s}://' for s in schemes)} and has no query"
            )
        return text.rstrip("/")

    return parse


def _database_url(name: str, text: str) -> str:
    """Heroku-style `postgres://` is read as `postgresql://`; the password never stands in the error."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("postgres", "postgresql", "postgresql+psycopg2"):
        raise SettingsError(f"{name} must begin with postgresql://")
    return f"postgresql+psycopg2://{rest}"


_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "database_url": _database_url,
    "moed_env": _choice("production", "development", "test"),
    "moed_role": _choice("all", "media"),
    "port": _integer(1, 65535),
    "public_base_url": _url("https", "http"),
    "media_public_url": _url("wss", "ws"),
    "twilio_signature_check": _switch,
    "openai_base_url": _url("https", "http"),
    "cancel_wait_ms": _integer(50, 2000),
    "server_first_scheduling": _switch,
    "db_pool_size": _integer(1, 200),
    "db_connection_limit": _integer(1, 10000),
    "web_concurrency": _integer(1, 64),
    "api_rate_limit_per_min": _integer(1, 10_000_000),
    "trusted_proxies": _integer(0, 10),
    "outbox_threads": _integer(1, 64),
    "webhook_timeout_s": _integer(1, 60),
    "webhook_lease_s": _integer(2, 600),
    "webhook_allow_private": _switch,
    "log_level": _choice("DEBUG", "INFO", "WARNING", "ERROR"),
}
