"""Log lines: JSON in production, searchable markers, no texts of foreign exceptions, quiet libraries."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app import logs
from app.errors import CalendarUnavailable
from app.settings import Settings

PRIVATE = "+972521234567"
PRODUCTION = Settings(moed_env="production")


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    """Logging is the process's: put back what was there."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    named = {name: logging.getLogger(name).level for name in (*logs.OWN_LOGGERS, *logs.SILENCED_LOGGERS)}
    before = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in named.items():
        logging.getLogger(name).setLevel(old)
    structlog.configure(**before)


@pytest.fixture
def stream() -> io.StringIO:
    """Where the lines go."""
    return io.StringIO()


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    """Every line, parsed."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_production_writes_one_json_object_a_line(stream: io.StringIO) -> None:
    """Event, values, level, logger, time with zone; Hebrew stays readable."""
    logs.configure(PRODUCTION, stream)
    structlog.get_logger("app.voice").info("call accepted", call_id=7, language="עברית")
    (line,) = lines_of(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "call accepted",
        "call_id": 7,
        "language": "עברית",
        "level": "info",
        "logger": "app.voice",
    }
    assert "עברית" in stream.getvalue()


@pytest.mark.parametrize("environment", ["production", "development"])
def test_markers_stay_searchable(stream: io.StringIO, environment: str) -> None:
    """`grep '[BARGE-IN]'` finds the line in both formats."""
    logs.configure(Settings(moed_env=environment), stream)
    structlog.get_logger("worker.session").info("[BARGE-IN]", call_id=7)
    (line,) = stream.getvalue().splitlines()
    assert "[BARGE-IN]" in line


def test_values_bound_to_the_context_are_in_each_line(stream: io.StringIO) -> None:
    """A request id or call id that was bound once, also in lines of the standard library's loggers."""
    logs.configure(PRODUCTION, stream)
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.get_logger("app").info("one")
        logging.getLogger("gunicorn.error").warning("two")
    assert [line["request_id"] for line in lines_of(stream)] == ["r-1", "r-1"]


@pytest.mark.parametrize("environment", ["production", "development"])
def test_text_of_a_foreign_exception_is_dropped(stream: io.StringIO, environment: str) -> None:
    """A driver's text may quote a row: type and stack stay, through structlog and through logging."""
    logs.configure(Settings(moed_env=environment), stream)
    try:
        try:
            raise KeyError(PRIVATE)
        except KeyError as inner:
            raise RuntimeError(f"row of {PRIVATE}") from inner
    except RuntimeError as error:
        structlog.get_logger("app").error("failed", exc_info=error)
        structlog.get_logger("app").exception("failed")
        logging.getLogger("other").exception("failed")
    written = stream.getvalue()
    assert PRIVATE not in written
    assert written.count("KeyError") >= 3
    assert written.count("RuntimeError") >= 3
    assert "test_logs.py" in written


def test_text_of_our_own_error_is_kept(stream: io.StringIO) -> None:
    """`str()` of our errors never holds personal data, and helps."""
    logs.configure(PRODUCTION, stream)
    structlog.get_logger("app").error("failed", exc_info=CalendarUnavailable("no answer within 8 s"))
    (line,) = lines_of(stream)
    assert line["exception"].endswith("app.errors.CalendarUnavailable: no answer within 8 s")


def test_line_without_an_exception_has_none(stream: io.StringIO) -> None:
    """`exc_info=True` outside of a handler adds nothing."""
    logs.configure(PRODUCTION, stream)
    structlog.get_logger("app").error("failed", exc_info=True)
    assert "exception" not in lines_of(stream)[0]


def test_level_is_ours_alone(stream: io.StringIO) -> None:
    """LOG_LEVEL=DEBUG opens our own loggers; libraries, which write request bodies there, stay shut."""
    logs.configure(Settings(log_level="DEBUG"), stream)
    structlog.get_logger("app.voice").debug("ours")
    logging.getLogger("twilio.http_client").info(PRIVATE)
    logging.getLogger("openai").debug(PRIVATE)
    assert [line["event"] for line in lines_of(stream)] == ["ours"]


def test_level_above_hides_lower_lines(stream: io.StringIO) -> None:
    """LOG_LEVEL=WARNING: information is not written."""
    logs.configure(Settings(log_level="WARNING"), stream)
    structlog.get_logger("worker.server").info("hidden")
    structlog.get_logger("worker.server").warning("shown")
    assert [line["event"] for line in lines_of(stream)] == ["shown"]


def test_failed_keepalive_of_websockets_is_silent(stream: io.StringIO) -> None:
    """The library logs ERROR with a traceback; the loss is our own event."""
    logs.configure(PRODUCTION, stream)
    logging.getLogger("websockets.client").error("keepalive ping failed", exc_info=True)
    assert stream.getvalue() == ""


def test_configuring_twice_writes_once(stream: io.StringIO) -> None:
    """The last configuration holds; lines are not doubled."""
    logs.configure(PRODUCTION, io.StringIO())
    logs.configure(PRODUCTION, stream)
    structlog.get_logger("app").info("one")
    assert len(lines_of(stream)) == 1
