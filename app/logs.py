"""Structured logs of every process: one JSON object a line in production, readable lines elsewhere; to stderr.

Nothing here removes personal data from an event: callers never put it in. The one thing that is dropped is
the text of exceptions, because a driver's or a library's text may quote a row or a request.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.errors import MoedError
from app.settings import Settings

# Ours speak at LOG_LEVEL; every other library only from WARNING on: several of them write request bodies or
# headers at lower levels.
OWN_LOGGERS = ("app", "worker", "wsgi", "__main__")

# A keepalive that failed is logged by websockets as ERROR with a traceback (docs/protocols.md); the loss of a
# connection is an event of ours and is logged once, by us.
# urllib3 names the URL when it finds an answer's headers odd; a webhook's URL is a customer's, and may be secret.
SILENCED_LOGGERS = ("websockets", "websockets.client", "websockets.server", "urllib3")


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send the logs of this process to `stream` (stderr by default). May be called again; the last call holds."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        stack_without_texts,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(settings)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(settings.log_level)
    for name in SILENCED_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _renderer(settings: Settings) -> Processor:
    if settings.production:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    # Where `rich` is installed the default shows every frame's variables: names and numbers of callers.
    plain = structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, exception_formatter=plain)


def stack_without_texts(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by `exception`: types and stacks, with the text only of our own errors.

    `str()` of a `MoedError` never holds personal data (app/errors.py); nobody promises that of the others.
    """
    exc_info = event.pop("exc_info", None)
    error = _exception_of(exc_info)
    if error is not None:
        event["exception"] = describe(error)
    return event


def _exception_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def describe(error: BaseException) -> str:
    """The stack of `error` and of what caused it, oldest first, without the texts of foreign exceptions."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    return "\n".join(_one(link) for link in reversed(chain))


def _one(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = f": {error}" if isinstance(error, MoedError) else ""
    return "".join(traceback.format_tb(error.__traceback__)) + name + text
