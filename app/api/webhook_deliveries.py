"""What was sent to webhook endpoints, and what came back."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas import webhooks as schemas
from app.domain.pages import Page
from app.domain.webhooks import Delivery, DeliveryDetails, DeliveryState

blueprint = section("Webhook deliveries", "What was sent to webhook endpoints in the last 30 days.")


@operation(
    blueprint,
    "GET",
    "/webhook-deliveries",
    scope="webhook-endpoints:read",
    summary="List webhook deliveries",
    query=schemas.WebhookDeliveryFilter,
    page_of=schemas.WebhookDeliverySchema,
)
def list_webhook_deliveries(caller: Caller, query: dict[str, Any]) -> Page[Delivery]:
    """The newest first."""
    state = query.get("state")
    return services().deliveries.list_deliveries(
        caller.business_id, caller.page, query.get("endpoint_id"), None if state is None else DeliveryState(state)
    )


@operation(
    blueprint,
    "GET",
    "/webhook-deliveries/<id:delivery_id>",
    scope="webhook-endpoints:read",
    summary="Get a webhook delivery",
    answer=schemas.WebhookDeliveryDetailsSchema,
    problems=(404,),
)
def get_webhook_delivery(caller: Caller, delivery_id: int) -> DeliveryDetails:
    """With its attempts and its body."""
    return services().deliveries.get_delivery(caller.business_id, delivery_id)


@operation(
    blueprint,
    "POST",
    "/webhook-deliveries/<id:delivery_id>/replay",
    scope="webhook-endpoints:write",
    summary="Send a webhook again",
    description="With the same `webhook-id` and body, and the whole schedule of retries.",
    answer=schemas.WebhookDeliveryDetailsSchema,
    status=200,
    problems=(404, 409),
)
def replay_webhook_delivery(caller: Caller, delivery_id: int) -> DeliveryDetails:
    """409 while it is on its way, and when its endpoint is disabled or deleted."""
    return services().deliveries.replay_delivery(caller.business_id, delivery_id)
