"""What is done by the clock, one job a line, in a thread of its own: sending never waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from app.errors import MoedError

if TYPE_CHECKING:
    from app.services import Services

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """`run` says how many rows it changed. It may be run by several processes at once."""

    name: str
    every_s: float
    run: Callable[[], int]


def jobs_of(services: Services) -> tuple[Job, ...]:
    """All of them."""
    tidy = services.housekeeping
    return (
        Job("forget_answers", 600, tidy.forget_answers),
        Job("forget_sessions", 900, tidy.forget_sessions),
        Job("forget_media_tokens", 900, tidy.forget_media_tokens),
        Job("forget_events", 3600, tidy.forget_events),
        Job("expire_holds", 60, services.scheduling.expire_holds),
        Job("purge_transcripts", 300, services.privacy.purge_everywhere),
        Job("forget_counts", 900, services.limits.forget_old),
    )


class Housekeeper:
    """Runs the jobs until it is stopped; each once at the start."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def stop(self, limit_s: float) -> None:
        """Start no more jobs, and wait a while for the one that runs; a transaction that is cut off is undone."""
        self._stopping.set()
        self._thread.join(limit_s)

    def _run(self) -> None:
        due = [(time.monotonic(), index) for index in range(len(self._jobs))]
        while due:
            at, index = min(due)
            if self._stopping.wait(max(0.0, at - time.monotonic())):
                return
            job = self._jobs[index]
            run_job(job)
            due[due.index((at, index))] = (time.monotonic() + job.every_s, index)


def run_job(job: Job) -> None:
    """Run it once. A failure is logged and ends nothing: there is a next time."""
    try:
        count = job.run()
    except MoedError as error:
        log.warning("job failed", job=job.name, code=error.code)
    except Exception:
        log.exception("job failed", job=job.name)
    else:
        if count:
            log.info("job done", job=job.name, rows=count)
