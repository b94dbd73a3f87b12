"""What is done by the clock: every job again and again, whatever becomes of the others."""

from __future__ import annotations

import threading

from app.errors import CalendarUnavailable
from app.outbox.jobs import Housekeeper, Job


class Counted:
    """A job's function that remembers how often it ran, and may fail."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.runs = 0
        self._failure = failure
        self._changed = threading.Condition()

    def __call__(self) -> int:
        with self._changed:
            self.runs += 1
            self._changed.notify_all()
        if self._failure is not None:
            raise self._failure
        return 1

    def wait_for(self, runs: int) -> None:
        """Until it has run so often."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.runs >= runs, 30)


def test_jobs_run_again_and_again() -> None:
    """Each at its own pace, the first time at once."""
    often, rarely = Counted(), Counted()
    housekeeper = Housekeeper([Job("rarely", 3600, rarely), Job("often", 0.001, often)])
    housekeeper.start()
    often.wait_for(3)
    rarely.wait_for(1)
    housekeeper.stop(30)
    assert rarely.runs == 1


def test_a_job_that_fails_ends_nothing() -> None:
    """Neither the others nor itself: not when the database is away, and not for a fault of its own."""
    jobs = [Counted(CalendarUnavailable("away")), Counted(ValueError("a fault")), Counted()]
    housekeeper = Housekeeper([Job(f"job_{index}", 0.001, job) for index, job in enumerate(jobs)])
    housekeeper.start()
    for job in jobs:
        job.wait_for(2)
    housekeeper.stop(30)


def test_stop_starts_no_more_jobs() -> None:
    """Also while it waits for a time far away."""
    job = Counted()
    housekeeper = Housekeeper([Job("job", 3600, job)])
    housekeeper.start()
    job.wait_for(1)
    housekeeper.stop(30)
    assert not any(thread.name == "housekeeper" for thread in threading.enumerate())
