"""`bin/demo`: a whole Moed on this machine, and one spoken call that books an appointment."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from app import create_app
from app.adapters.embedded_postgres import EmbeddedPostgres
from app.adapters.postgres_binaries import EmbeddedPostgresError
from app.domain.calls import CallDetails, CallState
from app.services import Services, services_of
from app.services.demo_data import DEMO_PHONE_NUMBER, seed_demo_business
from app.settings import EXIT_BAD_SETTINGS, SettingsError, child_environment, load_settings
from worker.demo import report
from worker.demo.caller import CallFailed, DemoCaller
from worker.demo.carrier import CallRefused, Carrier
from worker.demo.supervisor import DemoError, Supervisor, can_listen, free_port, log_folder
from worker.rehearsal.phone import Phone

CALLER_NUMBER = "+972525551234"
DEFAULT_PORT = 8000
LOOK_EVERY_S = 0.25
CLOSED_WITHIN_S = 10.0


def main(arguments: list[str]) -> int:
    """0 when the call booked what it said; 1 when it did not; 2 when the demo can't start."""
    options = _options(arguments)
    # `kill` ends the demo as Ctrl-C does: everything that was started is stopped.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _running(options) as demo:
            booked = place_call(demo)
            if options.once:
                return 0 if booked else 1
            report.progress(f"web      http://127.0.0.1:{options.port}  (readiness: /readyz)")
            report.progress(f"call it  {DEMO_PHONE_NUMBER}, with the carrier's webhook at /voice/incoming")
            report.progress(f"logs     {log_folder()}")
            report.progress("serving; Ctrl-C ends it")
            demo.serve()
    except KeyboardInterrupt:
        report.progress("stopped")
        return 0
    except (DemoError, EmbeddedPostgresError, SettingsError) as error:
        report.progress(str(error))
        return EXIT_BAD_SETTINGS
    return 1


@dataclass(frozen=True)
class Demo:
    """A Moed that runs."""

    services: Services
    business_id: int
    carrier: Carrier
    supervisor: Supervisor

    def serve(self) -> None:
        """Until Ctrl-C, or until one of the processes ends. Raises `DemoError`."""
        while (name := self.supervisor.failed()) is None:
            time.sleep(0.5)
        raise DemoError(f"{name} has ended (log: {log_folder() / name}.log)")


@contextmanager
def _running(options: argparse.Namespace) -> Iterator[Demo]:
    """PostgreSQL, web, worker and engine, in that order; all ended when the block is."""
    began = time.monotonic()
    port = options.port if not options.once else free_port()
    if not can_listen(port):
        raise DemoError(f"port {port} is in use: stop what listens there, or name another one with --port")
    report.progress("starting PostgreSQL")
    with EmbeddedPostgres() as postgres:
        environment = _environment(postgres.ensure_database("moed"), port)
        settings = load_settings(child_environment(environment))
        with Supervisor(environment) as supervisor:
            report.progress("migrating and filling the database")
            supervisor.run("release", ["-m", "app.start", "release"])
            services = services_of(create_app(settings))
            business_id = seed_demo_business(services)
            report.progress("starting engine, worker and web")
            _start_servers(supervisor, environment)
            report.progress(f"ready after {time.monotonic() - began:.1f} s")
            carrier = Carrier(environment["PUBLIC_BASE_URL"], environment["TWILIO_AUTH_TOKEN"])
            yield Demo(services, business_id, carrier, supervisor)


def _environment(database_url: str, port: int) -> dict[str, str]:
    media_port = free_port()
    environment = {
        "DATABASE_URL": database_url,
        "MOED_ENV": "development",
        "MOED_ROLE": "all",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
        "MEDIA_PUBLIC_URL": f"ws://127.0.0.1:{media_port}/media",
        "TWILIO_AUTH_TOKEN": secrets.token_hex(16),
        "TWILIO_SIGNATURE_CHECK": "1",
        "SERVER_FIRST_SCHEDULING": "0",
        "DB_POOL_SIZE": "5",
        "DB_CONNECTION_LIMIT": "50",
        "WEB_CONCURRENCY": "1",
    }
    if not load_settings().openai_api_key:
        environment |= {"OPENAI_API_KEY": "rehearsal", "OPENAI_BASE_URL": f"http://127.0.0.1:{free_port()}/v1"}
    return environment


def _start_servers(supervisor: Supervisor, environment: dict[str, str]) -> None:
    engine_url = environment.get("OPENAI_BASE_URL")
    if engine_url is not None:
        engine_port = engine_url.rsplit(":", 1)[1].split("/")[0]
        supervisor.start("engine", ["-m", "worker.rehearsal", "--port", engine_port], engine_url)
    media = environment["MEDIA_PUBLIC_URL"].removeprefix("ws://").removesuffix("/media")
    supervisor.start(
        "worker", ["-m", "app.start", "worker"], f"http://{media}/healthz", PORT=media.rsplit(":", 1)[1]
    )
    supervisor.start("web", ["-m", "app.start", "web"], f"{environment['PUBLIC_BASE_URL']}/healthz")


def place_call(demo: Demo) -> bool:
    """One spoken call, printed as it happens; whether the row exists and the caller heard its number."""
    try:
        phone = demo.carrier.call(DEMO_PHONE_NUMBER, CALLER_NUMBER)
    except CallRefused as refused:
        raise DemoError(f"the call was not connected: {refused}") from None
    report.say(f"call    {CALLER_NUMBER} calls {DEMO_PHONE_NUMBER}")
    over = threading.Event()
    printer = threading.Thread(target=_print_timeline, args=(demo, phone, over), daemon=True)
    phone.dial()
    printer.start()
    heard = None
    try:
        heard = DemoCaller(phone).talk()
    except CallFailed as failed:
        report.progress(f"the call failed: {failed}")
    finally:
        phone.hang_up()
        call = _closed_call(demo, phone)
        over.set()
        printer.join()
    report.say(f"call    ended: {call.end_reason}; /voice/after says {demo.carrier.after(phone)}")
    return heard is not None and _check_row(demo, call, heard)


def _check_row(demo: Demo, call: CallDetails, heard: int) -> bool:
    appointment_id = report.appointment_id_of(call)
    if appointment_id is None:
        report.progress("no tool of this call booked anything")
        return False
    row = demo.services.scheduling.get_appointment(demo.business_id, appointment_id)
    report.show_row(row, heard)
    report.say(report.summary(call, row))
    if row.number != heard:
        report.progress(f"the caller heard {heard}, the row says {row.number}")
    return row.number == heard and row.call_id == call.id


def _print_timeline(demo: Demo, phone: Phone, over: threading.Event) -> None:
    shown = 0
    while True:
        last = over.is_set()
        call = demo.services.calls.find_call(demo.business_id, phone.call_sid)
        if call is not None:
            report.show(call.timeline[shown:])
            shown = len(call.timeline)
        if last:
            return
        over.wait(LOOK_EVERY_S)


def _closed_call(demo: Demo, phone: Phone) -> CallDetails:
    """The call's row once its worker has closed it."""
    deadline = time.monotonic() + CLOSED_WITHIN_S
    while time.monotonic() < deadline:
        call = demo.services.calls.find_call(demo.business_id, phone.call_sid)
        if call is not None and call.state in (CallState.ENDED, CallState.FAILED, CallState.LOST):
            return call
        time.sleep(LOOK_EVERY_S)
    raise DemoError(f"the worker did not close the call (log: {log_folder() / 'worker.log'})")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the call; exit 0 only if it booked")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="where web listens (default: %(default)s)")
    return parser.parse_args(arguments)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main(sys.argv[1:]))
