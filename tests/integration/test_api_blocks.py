"""Blocks over REST."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from tests.factories import MONDAY, insert_appointment, local
from tests.integration.conftest import MakeApi

MORNING = {"starts_at": "2026-11-23T08:00:00Z", "ends_at": "2026-11-23T12:00:00+02:00"}


def test_a_block_is_made_read_listed_and_deleted(api: MakeApi, engine: Engine) -> None:
    """In the business's time, and with the appointments that it covers."""
    client = api()
    booked = insert_appointment(engine, client.business, local(MONDAY, "11:00"))
    made = client.post("/blocks", {**MORNING, "reason": "Dentist"})
    assert made.status_code == 201
    block = {
        "id": made.json["id"],
        "resource_id": None,
        "starts_at": "2026-11-23T10:00:00+02:00",
        "ends_at": "2026-11-23T12:00:00+02:00",
        "reason": "Dentist",
        "created_at": "2026-11-22T08:00:00+02:00",
    }
    assert made.json == {**block, "overlapping_appointments": [booked]}
    path = f"/blocks/{block['id']}"
    assert client.get(path).json == block
    day = {"from": "2026-11-23T00:00:00+02:00", "to": "2026-11-24T00:00:00+02:00"}
    assert client.get("/blocks", query_string=day).json["items"] == [block]
    later = {"from": block["ends_at"]}
    assert client.get("/blocks", query_string=later).json["items"] == []
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ends_at": MORNING["starts_at"]}, "ends_at"),
        ({"ends_at": "2028-11-23T12:00:00+02:00"}, "ends_at"),
        ({"starts_at": "2026-11-23T10:00:00"}, "starts_at"),
        ({"starts_at": "1901-11-23T10:00:00Z"}, "starts_at"),
        ({"reason": "x" * 201}, "reason"),
        ({"resource_id": "7"}, "resource_id"),
    ],
)
def test_a_bad_block_is_named(api: MakeApi, changes: dict[str, Any], field: str) -> None:
    """422, and nothing is blocked."""
    client = api()
    answer = client.post("/blocks", {**MORNING, **changes})
    assert (answer.status_code, answer.json["field"]) == (422, field)
    assert client.get("/blocks").json["items"] == []


def test_another_business_s_blocks_are_not_there(api: MakeApi) -> None:
    """Not to see or to delete, and its resource gets none."""
    client, other = api(), api()
    theirs = f"/blocks/{other.post('/blocks', MORNING).json['id']}"
    assert client.get(theirs).status_code == 404
    assert client.delete(theirs).status_code == 404
    room = other.business.resources[0]
    assert client.post("/blocks", {**MORNING, "resource_id": room}).status_code == 404
    assert other.get(theirs).status_code == 200
