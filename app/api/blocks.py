"""Busy time without a customer."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas import blocks as schemas
from app.domain.calendar_settings import BlockDetails, NewBlock
from app.domain.pages import Page

blueprint = section("Blocks", "Busy time without a customer: a person is away, a room is repaired.")


@operation(
    blueprint,
    "GET",
    "/blocks",
    scope="blocks:read",
    summary="List blocks",
    query=schemas.BlockFilter,
    page_of=schemas.BlockSchema,
)
def list_blocks(caller: Caller, query: dict[str, Any]) -> Page[BlockDetails]:
    """By their beginning."""
    return services().blocks.list_blocks(caller.business_id, caller.page, **query)


@operation(
    blueprint,
    "POST",
    "/blocks",
    scope="blocks:write",
    summary="Block a time",
    description="Appointments in it stay; the answer names them.",
    body=schemas.NewBlock,
    answer=schemas.MadeBlockSchema,
    problems=(404,),
)
def create_block(caller: Caller, body: dict[str, Any]) -> NewBlock:
    """Nothing can be booked in it from now on."""
    return services().blocks.create_block(caller.business_id, actor=caller.actor, **body)


@operation(
    blueprint,
    "GET",
    "/blocks/<id:block_id>",
    scope="blocks:read",
    summary="Get a block",
    answer=schemas.BlockSchema,
    problems=(404,),
)
def get_block(caller: Caller, block_id: int) -> BlockDetails:
    """One of them."""
    return services().blocks.get_block(caller.business_id, block_id)


@operation(
    blueprint,
    "DELETE",
    "/blocks/<id:block_id>",
    scope="blocks:write",
    summary="Open a blocked time again",
    problems=(404,),
)
def delete_block(caller: Caller, block_id: int) -> None:
    """It is gone."""
    services().blocks.delete_block(caller.business_id, block_id, caller.actor)
