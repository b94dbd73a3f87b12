"""Webhook endpoints and deliveries, as JSON."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from app.api.fields import BodyFlag, BodyWhole, identifier, instant, prose, version
from app.domain.events import TEST_TYPE, EventType
from app.domain.webhooks import DeliveryState

_STATES = [str(state) for state in DeliveryState]


def _url(**kwargs: Any) -> ma.fields.String:
    return ma.fields.String(
        validate=[ma.validate.Length(1, 2000), ma.validate.Regexp(r"^https?://[!-~]+$")],
        metadata={
            "description": "Where to send: https, on the public internet",
            "example": "https://crm.example.com/moed",
        },
        **kwargs,
    )


def _event_types(**kwargs: Any) -> ma.fields.List[Any]:
    types = [str(type_) for type_ in EventType]
    kind = ma.fields.String(
        validate=ma.validate.OneOf(types), metadata={"description": "A type of event", "example": types[0]}
    )
    return ma.fields.List(
        kind,
        validate=ma.validate.Length(1, 50),
        metadata={"description": "What to tell of", "example": types[:2]},
        **kwargs,
    )


def _enabled(**kwargs: Any) -> BodyFlag:
    return BodyFlag(metadata={"description": "Whether it is told of anything", "example": True}, **kwargs)


class WebhookEndpointSchema(ma.Schema):
    """Where a business wants to be told of events."""

    id = identifier("The endpoint", required=True)
    url = _url(required=True)
    description = prose("A note of your own", "CRM", 500, required=True)
    event_types = _event_types(required=True)
    enabled = _enabled(required=True)
    disabled_reason = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "`gone`: it answered 410; null: it was disabled by hand", "example": None},
    )
    version = version()
    created_at = instant("When it was made", "2026-11-22T08:00:00+02:00", required=True)


class WebhookEndpointWithSecretSchema(WebhookEndpointSchema):
    """An endpoint and its secret, which is told here and never again."""

    secret = ma.fields.String(
        required=True,
        metadata={
            "description": "Signs what is sent, as Standard Webhooks has it",
            "example": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0kCzRHY4fIc=",
        },
    )


class NewWebhookEndpoint(ma.Schema):
    """An endpoint to make."""

    url = _url(required=True)
    event_types = _event_types(required=True)
    description = prose("A note of your own", "CRM", 500)
    enabled = _enabled()


class WebhookEndpointChanges(ma.Schema):
    """What to change; what is left out stays."""

    url = _url()
    event_types = _event_types()
    description = prose("A note of your own", "CRM", 500)
    enabled = _enabled()


class WebhookDeliverySchema(ma.Schema):
    """One event on its way to one endpoint."""

    id = identifier("The delivery", required=True)
    endpoint_id = identifier("The endpoint", required=True)
    message_id = ma.fields.String(
        required=True,
        metadata={
            "description": "The `webhook-id`: the same in every attempt and replay",
            "example": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        },
    )
    type = ma.fields.String(
        required=True, metadata={"description": f"The event's, or `{TEST_TYPE}`", "example": "message.created"}
    )
    state = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(_STATES),
        metadata={
            "description": "`failed`: every attempt did; `dropped`: the endpoint was disabled or deleted",
            "example": "delivered",
        },
    )
    attempt_count = BodyWhole(
        required=True, metadata={"description": "Attempts since it was made or replayed", "example": 1}
    )
    next_attempt_at = instant("When it is tried next", required=True, allow_none=True)
    delivered_at = instant("When it was taken", required=True, allow_none=True)
    created_at = instant("When the event happened", "2026-11-22T08:00:00+02:00", required=True)


class AttemptSchema(ma.Schema):
    """What one try met."""

    at = instant("When it was sent", required=True)
    status = BodyWhole(
        required=True,
        allow_none=True,
        metadata={"description": "The answer's; null: there was none", "example": 200},
    )
    error = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Why it failed, in a word: `timeout`, `dns`, `connection`, `tls`, `private_address`,"
            " `protocol`, `bad_url`, `redirect`, `gone`, `bad_status`; null: it did not",
            "example": None,
        },
    )
    duration_ms = BodyWhole(required=True, metadata={"description": "How long it took", "example": 84})


class WebhookDeliveryDetailsSchema(WebhookDeliverySchema):
    """A delivery with all that was sent and met."""

    attempts = ma.fields.List(
        ma.fields.Nested(AttemptSchema),
        required=True,
        metadata={"description": "Every try, oldest first; of replays too, at most the last 50"},
    )
    payload = ma.fields.Dict(
        required=True,
        metadata={
            "description": "The body",
            "example": {
                "type": "message.created",
                "timestamp": "2026-11-22T08:00:00+02:00",
                "business_id": 7,
                "data": {"id": 7},
            },
        },
    )


class WebhookDeliveryFilter(ma.Schema):
    """Which deliveries to list."""

    endpoint_id = identifier("Those to this endpoint", in_query=True)
    state = ma.fields.String(
        validate=ma.validate.OneOf(_STATES), metadata={"description": "Those in this state", "example": "failed"}
    )
