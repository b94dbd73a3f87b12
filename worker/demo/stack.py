"""A whole Moed on this machine, for the demo and the spoken test: release, engine, worker, web, one database."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from app import create_app
from app.logs import configure
from app.services import Services, services_of
from app.services.demo_data import seed_demo_business
from app.settings import child_environment, load_settings
from worker.demo import report
from worker.demo.carrier import Carrier
from worker.demo.supervisor import DemoError, Supervisor, free_port, log_folder

REHEARSAL_KEY = "rehearsal"


@dataclass(frozen=True)
class Stack:
    """A Moed that runs, with the demo business in it."""

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
def running_stack(database_url: str, port: int) -> Iterator[Stack]:
    """Migrate and fill the database, start every process, `web` on `port`; end them with the block."""
    environment = _environment(database_url, port)
    settings = load_settings(child_environment(environment))
    # The services work in this process too, and stdout belongs to the call.
    configure(replace(settings, log_level="WARNING"))
    with Supervisor(environment) as supervisor:
        report.progress("migrating and filling the database")
        supervisor.run("release", ["-m", "app.start", "release"])
        services = services_of(create_app(settings))
        business_id = seed_demo_business(services)
        report.progress("starting engine, worker and web")
        _start_servers(supervisor, environment)
        carrier = Carrier(environment["PUBLIC_BASE_URL"], environment["TWILIO_AUTH_TOKEN"])
        yield Stack(services, business_id, carrier, supervisor)


def _environment(database_url: str, port: int) -> dict[str, str]:
    """Every setting: nothing of the shell's may change what the demo shows, but an API key of the user's."""
    environment = {
        "DATABASE_URL": database_url,
        "MOED_ENV": "development",
        "MOED_ROLE": "all",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
        "MEDIA_PUBLIC_URL": f"ws://127.0.0.1:{free_port()}/media",
        "TWILIO_AUTH_TOKEN": secrets.token_hex(16),
        "TWILIO_SIGNATURE_CHECK": "1",
        "SERVER_FIRST_SCHEDULING": "0",
        "DB_POOL_SIZE": "5",
        "DB_CONNECTION_LIMIT": "50",
        "WEB_CONCURRENCY": "1",
        "WEBHOOK_ALLOW_PRIVATE": "1",
    }
    if not child_environment({}).get("OPENAI_API_KEY"):
        environment |= {
            "OPENAI_API_KEY": REHEARSAL_KEY,
            "OPENAI_BASE_URL": f"http://127.0.0.1:{free_port()}/v1",
        }
    return environment


def _start_servers(supervisor: Supervisor, environment: Mapping[str, str]) -> None:
    """All at once, then wait for each: a start is mostly imports."""
    media = urlsplit(environment["MEDIA_PUBLIC_URL"])
    ready = {"web": f"{environment['PUBLIC_BASE_URL']}/healthz", "worker": f"http://{media.netloc}/healthz"}
    if environment.get("OPENAI_API_KEY") == REHEARSAL_KEY:
        engine = urlsplit(environment["OPENAI_BASE_URL"])
        ready["engine"] = engine.geturl()
        supervisor.start("engine", ["-m", "worker.rehearsal", "--port", str(engine.port)])
    supervisor.start("worker", ["-m", "app.start", "worker"], PORT=str(media.port))
    supervisor.start("web", ["-m", "app.start", "web"])
    supervisor.start("outbox", ["-m", "app.start", "outbox"])
    for name, url in ready.items():
        supervisor.await_ready(name, url)
