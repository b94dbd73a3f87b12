"""`python -m worker`: the media worker. Patches first, then reads settings, then serves until SIGTERM."""

from worker import green

green.patch()

# What follows must be imported after the patching.
import gc  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

import structlog  # noqa: E402
from gevent.event import Event  # noqa: E402

from app import create_app  # noqa: E402
from app.adapters.carrier_signature import signature_check  # noqa: E402
from app.logs import configure  # noqa: E402
from app.services import services_of  # noqa: E402
from app.settings import EXIT_BAD_SETTINGS, Settings, SettingsError, load_settings  # noqa: E402
from worker.realtime.client import OpenAIRealtime  # noqa: E402
from worker.server import MEDIA_PATH, MediaServer  # noqa: E402

log = structlog.get_logger(__name__)

DEFAULT_PORT = 8001


def main() -> int:
    """The process's exit code: 0 after a drain, 2 for settings that can't work."""
    try:
        settings = load_settings()
        check_settings(settings)
    except SettingsError as error:
        sys.stderr.write(f"worker: {error}\n")
        return EXIT_BAD_SETTINGS
    configure(settings)
    server = build_server(settings)
    try:
        server.start()
    except OSError as error:
        sys.stderr.write(f"worker: can't listen on {settings.host}:{_port(settings)}: {error.strerror}\n")
        return EXIT_BAD_SETTINGS
    # Nothing made until now will ever be garbage: the collector need not look at it during calls.
    gc.collect()
    gc.freeze()
    host, port = server.address
    log.info("media worker listening", url=f"ws://{host}:{port}{MEDIA_PATH}")
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    server.drain()
    return 0


def check_settings(settings: Settings) -> None:
    """Raise `SettingsError` for what the worker can't run without."""
    settings.require("database_url", "media_public_url")
    if settings.twilio_signature_check:
        settings.require("twilio_auth_token")
    if settings.production and settings.openai_base_url == Settings.openai_base_url:
        settings.require("openai_api_key")


def build_server(settings: Settings) -> MediaServer:
    return MediaServer(
        (settings.host, _port(settings)),
        services_of(create_app(settings)),
        OpenAIRealtime(settings),
        signature_check(settings),
        settings,
    )


def _port(settings: Settings) -> int:
    return settings.port or DEFAULT_PORT


if __name__ == "__main__":
    sys.exit(main())
