"""Where a business wants to be told of events."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas import webhooks as schemas
from app.domain.pages import Page
from app.domain.webhooks import DeliveryDetails, Endpoint, EndpointChange, EndpointWithSecret, NewEndpoint

READ, WRITE = "webhook-endpoints:read", "webhook-endpoints:write"

blueprint = section(
    "Webhook endpoints",
    "Where other programs are told of what happens. Signed as Standard Webhooks has it (docs/webhooks.md).",
)


@operation(
    blueprint,
    "GET",
    "/webhook-endpoints",
    scope=READ,
    summary="List webhook endpoints",
    page_of=schemas.WebhookEndpointSchema,
)
def list_webhook_endpoints(caller: Caller) -> Page[Endpoint]:
    """The oldest first."""
    return services().webhooks.list_endpoints(caller.business_id, caller.page)


@operation(
    blueprint,
    "POST",
    "/webhook-endpoints",
    scope=WRITE,
    summary="Make a webhook endpoint",
    description="The answer holds its secret, which is not shown again.",
    body=schemas.NewWebhookEndpoint,
    answer=schemas.WebhookEndpointWithSecretSchema,
    problems=(409,),
)
def create_webhook_endpoint(caller: Caller, body: dict[str, Any]) -> EndpointWithSecret:
    """It is told of what happens from now on."""
    return services().webhooks.create_endpoint(caller.business_id, NewEndpoint(**_typed(body)))


@operation(
    blueprint,
    "GET",
    "/webhook-endpoints/<id:endpoint_id>",
    scope=READ,
    summary="Get a webhook endpoint",
    answer=schemas.WebhookEndpointSchema,
    problems=(404,),
)
def get_webhook_endpoint(caller: Caller, endpoint_id: int) -> Endpoint:
    """Without its secret."""
    return services().webhooks.get_endpoint(caller.business_id, endpoint_id)


@operation(
    blueprint,
    "PATCH",
    "/webhook-endpoints/<id:endpoint_id>",
    scope=WRITE,
    summary="Change, enable or disable a webhook endpoint",
    description="To disable it drops what is on its way to it.",
    body=schemas.WebhookEndpointChanges,
    answer=schemas.WebhookEndpointSchema,
    versioned=True,
    problems=(404,),
)
def update_webhook_endpoint(caller: Caller, endpoint_id: int, body: dict[str, Any]) -> Endpoint:
    """What is left out stays."""
    return services().webhooks.update_endpoint(
        caller.business_id, endpoint_id, EndpointChange(**_typed(body)), caller.expected_version
    )


@operation(
    blueprint,
    "DELETE",
    "/webhook-endpoints/<id:endpoint_id>",
    scope=WRITE,
    summary="Delete a webhook endpoint",
    description="What is on its way to it is dropped.",
    problems=(404,),
)
def delete_webhook_endpoint(caller: Caller, endpoint_id: int) -> None:
    """It is told of nothing more."""
    services().webhooks.delete_endpoint(caller.business_id, endpoint_id)


@operation(
    blueprint,
    "POST",
    "/webhook-endpoints/<id:endpoint_id>/rotate-secret",
    scope=WRITE,
    summary="Give a webhook endpoint a new secret",
    description="For 24 hours the older one signs too, so that nothing is lost while the receiver changes over.",
    answer=schemas.WebhookEndpointWithSecretSchema,
    status=200,
    problems=(404,),
)
def rotate_webhook_secret(caller: Caller, endpoint_id: int) -> EndpointWithSecret:
    """The answer holds it, and it is not shown again."""
    return services().webhooks.rotate_secret(caller.business_id, endpoint_id)


@operation(
    blueprint,
    "POST",
    "/webhook-endpoints/<id:endpoint_id>/test",
    scope=WRITE,
    summary="Send a test event to a webhook endpoint",
    description="A `webhook.test`, whatever it subscribes to. What became of it stands in the delivery.",
    answer=schemas.WebhookDeliveryDetailsSchema,
    problems=(404, 409),
)
def send_test_webhook(caller: Caller, endpoint_id: int) -> DeliveryDetails:
    """It is sent at once, like any other."""
    delivery_id = services().webhooks.send_test(caller.business_id, endpoint_id)
    return services().deliveries.get_delivery(caller.business_id, delivery_id)


def _typed(body: dict[str, Any]) -> dict[str, Any]:
    """The body as the commands have it."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in body.items()}
