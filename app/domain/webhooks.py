"""Webhooks: endpoints, deliveries, and when a failed delivery is tried again."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

DELAYS_S = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""The retry schedule of the Standard Webhooks specification: the wait before each of ten attempts."""

MOST_ATTEMPTS = len(DELAYS_S)
LONGEST_RETRY_AFTER_S = 86_400
JITTER = 0.1

GONE = 410


class DeliveryState(enum.StrEnum):
    """Where a delivery is. `FAILED`: all attempts used up; `DROPPED`: its endpoint was disabled or deleted."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class UrlRules:
    """Where webhooks may go: schemes, and whether only to addresses of the public internet."""

    schemes: tuple[str, ...] = ("https",)
    public_only: bool = True


STRICT = UrlRules()
LENIENT = UrlRules(("https", "http"), public_only=False)
"""For tests and development: a receiver on this machine, without a certificate."""


def rules_for(*, private_allowed: bool) -> UrlRules:
    """The rules that the setting WEBHOOK_ALLOW_PRIVATE stands for."""
    return LENIENT if private_allowed else STRICT


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """An endpoint to be made."""

    url: str = field(repr=False)
    event_types: tuple[str, ...]
    description: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """What to change of an endpoint; None leaves a value as it is."""

    url: str | None = field(repr=False, default=None)
    event_types: tuple[str, ...] | None = None
    description: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A stored endpoint. `disabled_reason`: `gone` when it answered 410, None when somebody disabled it."""

    id: int
    business_id: int
    url: str = field(repr=False)
    description: str
    event_types: tuple[str, ...]
    enabled: bool
    disabled_reason: str | None
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class EndpointWithSecret(Endpoint):
    """An endpoint and its signing secret (`whsec_…`), which is told when it is made and never again."""

    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. `status` is the answer's, None without one; `error` is a word, None for a success."""

    at: datetime
    status: int | None
    error: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint. `message_id` is the same in every attempt."""

    id: int
    endpoint_id: int
    message_id: str
    type: str
    state: DeliveryState
    attempt_count: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryDetails(Delivery):
    """A delivery with what is sent and what each attempt met, oldest first. A replay counts from 0 again."""

    attempts: tuple[Attempt, ...]
    payload: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery that a sender may claim from `next_attempt_at` on."""

    business_id: int
    delivery_id: int
    endpoint_id: int
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that is this sender's until `leased_until`. `secrets`: each signs."""

    business_id: int
    delivery_id: int
    leased_until: datetime
    message_id: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a try met: the endpoint's status, or a word for why there is none. `retry_after_s`: it asked for it."""

    status: int | None
    error: str | None = None
    retry_after_s: int | None = None

    @property
    def succeeded(self) -> bool:
        """2xx and nothing else: a redirect is a failure, and is never followed."""
        return self.status is not None and 200 <= self.status < 300


def next_attempt_at(attempts: int, answer: Answer, now: datetime, jitter: float) -> datetime | None:
    """When to try again after `attempts` failures; None: not again. `jitter` (0 to 1) spreads the load."""
    if attempts >= MOST_ATTEMPTS:
        return None
    delay_s = DELAYS_S[attempts] * (1 + JITTER * jitter)
    asked_s = min(answer.retry_after_s or 0, LONGEST_RETRY_AFTER_S)
    return now + timedelta(seconds=max(delay_s, asked_s))
