"""`bin/demo`: a whole Moed on this machine, and one spoken call that books an appointment."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from datetime import UTC, datetime, timedelta

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.adapters.postgres_binaries import EmbeddedPostgresError
from app.domain.access import BUSINESS_SCOPES
from app.domain.api_keys import NewApiKey
from app.services.demo_data import DEMO_PHONE_NUMBER
from app.settings import EXIT_BAD_SETTINGS, SettingsError
from worker.demo import report
from worker.demo.call import place_call
from worker.demo.stack import Stack, running_stack
from worker.demo.supervisor import DemoError, can_listen, free_port, log_folder

DEFAULT_PORT = 8000
EXIT_NOT_BOOKED = 1


def main(arguments: list[str]) -> int:
    """0 when the call booked what it said; 1 when it did not; 2 when the demo can't run."""
    options = _options(arguments)
    # `kill` ends the demo as Ctrl-C does: everything that was started is stopped.
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    try:
        port = free_port() if options.once else options.port
        if not can_listen(port):
            raise DemoError(f"port {port} is in use: stop what listens there, or name another with --port")
        report.progress("starting PostgreSQL")
        with EmbeddedPostgres() as postgres, running_stack(postgres.ensure_database("moed"), port) as stack:
            report.progress(f"ready after {time.monotonic() - began:.1f} s")
            booked = _show_call(stack)
            if not options.once:
                _serve(stack, port)
            return 0 if booked else EXIT_NOT_BOOKED
    except KeyboardInterrupt:
        report.progress("stopped")
        return 0
    except (DemoError, EmbeddedPostgresError, SettingsError) as error:
        report.progress(str(error))
        return EXIT_BAD_SETTINGS


def _show_call(stack: Stack) -> bool:
    call = place_call(stack)
    if call.row is None:
        report.progress("no tool of this call booked anything")
        return False
    report.show_row(call.row, call.heard_number)
    report.say(report.summary(call.stored, call.row))
    return call.booked


def _serve(stack: Stack, port: int) -> None:
    report.progress(f"web      http://127.0.0.1:{port}  (readiness: /readyz)")
    report.progress(f"call it  {DEMO_PHONE_NUMBER}; the carrier's webhook is /voice/incoming")
    report.progress(f"API      http://127.0.0.1:{port}/api/v1/docs  (key: {_new_key(stack)})")
    report.progress(f"logs     {log_folder()}")
    report.progress("serving; Ctrl-C ends it")
    stack.serve()


def _new_key(stack: Stack) -> str:
    """An API key that may do everything in the demo's business, for a day."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    wanted = NewApiKey("bin/demo", BUSINESS_SCOPES, tomorrow)
    return stack.services.api_keys.create_key(stack.business_id, wanted, "demo", BUSINESS_SCOPES).token


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the call; exit 0 only if it booked")
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        help="where web listens (default: %(default)s; --once: a free one)",
    )
    return parser.parse_args(arguments)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
