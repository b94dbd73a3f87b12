"""`python -m app.outbox`: sends webhooks and tidies up until SIGTERM. Threads, no gevent."""

from __future__ import annotations

import os
import signal
import sys

import structlog

from app.adapters.wakeups import Wakeups
from app.adapters.webhook_client import HttpWebhookClient
from app.domain.webhooks import rules_for
from app.logs import configure
from app.outbox.jobs import Housekeeper, jobs_of
from app.outbox.sender import Pace, Sender
from app.services import build_services
from app.services.database import make_engine
from app.services.events import OUTBOX_CHANNEL
from app.settings import EXIT_BAD_SETTINGS, OUTBOX_POOL_SIZE, Settings, SettingsError, load_settings

log = structlog.get_logger(__name__)

DRAIN_MARGIN_S = 5.0
JOB_LIMIT_S = 3.0


def main() -> int:
    """The process's exit code: 0 after a drain, 2 for settings that can't work."""
    try:
        settings = load_settings()
        settings.require("database_url")
    except SettingsError as error:
        sys.stderr.write(f"outbox: {error}\n")
        return EXIT_BAD_SETTINGS
    configure(settings)
    return run(settings)


def run(settings: Settings) -> int:
    """Serve until a signal."""
    rules = rules_for(private_allowed=settings.webhook_allow_private)
    engine = make_engine(settings.database_url, OUTBOX_POOL_SIZE)
    services = build_services(engine, webhook_rules=rules)
    wakeups = Wakeups(settings.database_url, OUTBOX_CHANNEL)
    client = HttpWebhookClient(rules, settings.webhook_timeout_s)
    pace = Pace(
        threads=settings.outbox_threads,
        per_endpoint=max(1, settings.outbox_threads // 2),
        lease_s=settings.webhook_lease_s,
        drain_s=settings.webhook_timeout_s + DRAIN_MARGIN_S,
    )
    sender = Sender(services.outbox, client, wakeups, pace)
    housekeeper = Housekeeper(jobs_of(services))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sender.stop())
    log.info("outbox sender started", threads=pace.threads)
    housekeeper.start()
    ended = sender.run()
    housekeeper.stop(JOB_LIMIT_S)
    log.info("outbox sender ended", all_sent=ended)
    if not ended:
        # A thread hangs in the resolver; its delivery is due again when its lease ends.
        sys.stderr.flush()
        os._exit(0)
    engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
