"""Sends what is due: one thread decides, the others claim a delivery, send it and record what it met."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor

import structlog
from standardwebhooks import Webhook

from app.adapters.wakeups import ConnectionLost, Wakeups
from app.adapters.webhook_client import WebhookClient
from app.domain.webhooks import ClaimedDelivery, DueDelivery
from app.errors import MoedError
from app.services.outbox import Outbox
from app.services.scheduling import utc_now

log = structlog.get_logger(__name__)

HORIZON = timedelta(seconds=60)
LONGEST_WAIT_S = 10.0
"""However quiet it is: a notification may have been lost with a connection."""
LONGEST_BACKOFF_S = 30.0
PAUSE_AFTER_TROUBLE_S = 1.0
PAUSE_AFTER_LOSING_S = 0.02

USER_AGENT = "Moed-Webhooks/1"


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once: in all, and to one endpoint, so that a slow one leaves threads to the others."""

    threads: int = 8
    per_endpoint: int = 3
    lease_s: float = 30.0
    drain_s: float = 20.0


class Sender:
    """`run` until `stop`; or, for tests, `send_due`."""

    def __init__(
        self,
        outbox: Outbox,
        client: WebhookClient,
        wakeups: Wakeups,
        pace: Pace,
        now: Callable[[], datetime] = utc_now,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._client = client
        self._wakeups = wakeups
        self._pace = pace
        self._now = now
        self._jitter = jitter
        self._stopping = threading.Event()
        self._in_flight: dict[int, int] = {}  # delivery -> endpoint
        self._finished = 0
        self._changed = threading.Condition()
        self._threads = ThreadPoolExecutor(pace.threads, thread_name_prefix="send")

    def run(self) -> bool:
        """Send until `stop`, then let what is under way end; whether it all did in time."""
        backoff_s = 0.0
        while not self._stopping.is_set():
            try:
                # In this order: what is committed after LISTEN is notified, what was before is found.
                self._wakeups.listen()
                wait_s = self.start_due()
                if backoff_s:
                    log.info("the database is back")
                    backoff_s = 0.0
                self._wakeups.wait(wait_s)
            except (ConnectionLost, MoedError):
                self._wakeups.hang_up()
                if not backoff_s:
                    log.warning("the database does not answer: waiting for it")
                backoff_s = min(max(1.0, backoff_s * 2), LONGEST_BACKOFF_S)
                self._stopping.wait(backoff_s)
        return self.drain(self._pace.drain_s)

    def stop(self) -> None:
        """Start nothing more. For signal handlers and other threads."""
        self._stopping.set()
        self._wakeups.wake()

    def drain(self, limit_s: float) -> bool:
        """Wait for what is under way; whether it ended in time."""
        with self._changed:
            ended = self._changed.wait_for(lambda: not self._in_flight, limit_s)
        self._threads.shutdown(wait=ended, cancel_futures=True)
        return ended

    def send_due(self) -> None:
        """Send all that is due at this moment, to the end."""
        while self._went_on():
            pass

    def _went_on(self) -> bool:
        """Start what is due and wait until one has ended; False: there was nothing to do."""
        with self._changed:
            before = self._finished
        self.start_due()
        with self._changed:
            if not self._in_flight and self._finished == before:
                return False
            return self._changed.wait_for(lambda: self._finished != before)

    def start_due(self) -> float:
        """Start what is due, as far as there are threads; the seconds until there may be more."""
        while True:
            with self._changed:
                taken = set(self._in_flight)
                load = Counter(self._in_flight.values())
            free = self._pace.threads - len(taken)
            if free <= 0:
                return LONGEST_WAIT_S
            busy = [endpoint_id for endpoint_id, count in load.items() if count >= self._pace.per_endpoint]
            found = self._outbox.list_due(HORIZON, free + len(taken), busy)
            fresh = [due for due in found if due.delivery_id not in taken]
            now = self._now()
            if not self._start(fresh, load, free, now):
                return self._wait_for(fresh, now)

    def _start(self, found: list[DueDelivery], load: Counter[int], free: int, now: datetime) -> int:
        started = 0
        for due in found:
            if due.next_attempt_at > now or started == free:
                break
            if load[due.endpoint_id] >= self._pace.per_endpoint:
                continue
            load[due.endpoint_id] += 1
            started += 1
            with self._changed:
                self._in_flight[due.delivery_id] = due.endpoint_id
            self._threads.submit(self._work, due)
        return started

    def _wait_for(self, found: list[DueDelivery], now: datetime) -> float:
        """Until the first of them is due; leases of other senders are among them."""
        if not found:
            return LONGEST_WAIT_S
        return min(max(0.0, (found[0].next_attempt_at - now).total_seconds()), LONGEST_WAIT_S)

    def _work(self, due: DueDelivery) -> None:
        try:
            self._deliver(due)
        except MoedError as error:
            # What was sent and could not be recorded is sent again when its lease ends, with the same id.
            log.warning("delivery was interrupted", delivery_id=due.delivery_id, code=error.code)
            self._stopping.wait(PAUSE_AFTER_TROUBLE_S)
        except Exception:
            log.exception("delivery failed", delivery_id=due.delivery_id)
            self._stopping.wait(PAUSE_AFTER_TROUBLE_S)
        finally:
            with self._changed:
                del self._in_flight[due.delivery_id]
                self._finished += 1
                self._changed.notify_all()
            self._wakeups.wake()

    def _deliver(self, due: DueDelivery) -> None:
        claimed = self._outbox.claim(due.business_id, due.delivery_id, self._pace.lease_s)
        if claimed is None:
            self._stopping.wait(PAUSE_AFTER_LOSING_S)
            return
        began_at, began = self._now(), time.monotonic()
        body = claimed.body.encode()
        answer = self._client.post(claimed.url, signed_headers(claimed, began_at), body)
        duration_ms = round((time.monotonic() - began) * 1000)
        self._outbox.record(claimed, answer, began_at, duration_ms, self._jitter())
        log.info(
            "webhook sent",
            business_id=due.business_id,
            delivery_id=due.delivery_id,
            endpoint_id=due.endpoint_id,
            status=answer.status,
            error=answer.error,
            duration_ms=duration_ms,
        )


def signed_headers(claimed: ClaimedDelivery, at: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks; one signature for each secret that holds."""
    signatures = [Webhook(secret).sign(claimed.message_id, at, claimed.body) for secret in claimed.secrets]
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": claimed.message_id,
        "webhook-timestamp": str(floor(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
