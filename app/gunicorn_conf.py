"""gunicorn's configuration for `web`. Started by app.start, which has checked the settings and bound the port."""

from __future__ import annotations

import gc
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from app import logs
from app.settings import load_settings

DATABASE_DEADLINE_S = 2.5

_settings = load_settings()


class StructuredLogger(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """gunicorn's own events in our format. Its access log stays off: app.api.request_ids writes that line."""

    def setup(self, cfg: Config) -> None:
        """Let gunicorn's loggers speak through ours."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        logs.configure(_settings)

    def warning(self, msg: str, *args: object, **kwargs: Any) -> None:
        """The line about a malformed request quotes the client's address and the request: keep the fact."""
        if msg.startswith("Invalid request from ip="):
            msg, args = "malformed HTTP request", ()
        super().warning(msg, *args, **kwargs)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Its texts quote URLs with their query: keep the stack."""
        super().exception("error in the HTTP server", **kwargs)


def post_fork(server: object, worker: object) -> None:
    """Before the worker serves: without this one slow query stops all its requests."""
    from app.adapters import green_psycopg

    green_psycopg.install(DATABASE_DEADLINE_S)


def post_worker_init(worker: object) -> None:
    """What is loaded now stays for good: collecting garbage need not look at it again.

    An answer of some thousands of rows makes the collector look at everything, which took longer than the answer.
    """
    gc.collect()
    gc.freeze()


wsgi_app = "wsgi:app"
worker_class = "gevent"
workers = _settings.web_concurrency
loglevel = _settings.log_level.lower()
logger_class = StructuredLogger
# It would open a socket in the home folder.
control_socket_disable = True
# Hosts kill 30 s after SIGTERM; a webhook takes milliseconds.
graceful_timeout = 20
