"""Appointment types over REST."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.conftest import MakeApi

VISIT = {"name": "First visit", "duration_min": 45}


def test_a_type_is_added_read_listed_and_changed(api: MakeApi) -> None:
    """Deactivating is how it goes."""
    client = api()
    rooms = list(client.business.resources)
    made = client.post("/appointment-types", {**VISIT, "buffer_after_min": 5, "resource_ids": rooms})
    assert made.status_code == 201
    assert made.json == {
        **VISIT,
        "id": made.json["id"],
        "buffer_before_min": None,
        "buffer_after_min": 5,
        "resource_ids": rooms,
        "active": True,
        "version": 1,
        "created_at": made.json["created_at"],
    }
    path = f"/appointment-types/{made.json['id']}"
    assert client.get(path).json == made.json
    changed = client.patch(path, {"active": False, "buffer_after_min": None, "resource_ids": []}, version=1)
    assert (changed.json["active"], changed.json["buffer_after_min"], changed.json["resource_ids"]) == (
        False,
        None,
        [],
    )
    assert client.patch(path, {"active": True}, version=1).status_code == 412
    assert client.get("/appointment-types", query_string={"active": "true"}).json["items"] == []
    assert client.get("/appointment-types").json["items"] == [changed.json]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"duration_min": 0}, "duration_min"),
        ({"duration_min": 1440, "buffer_before_min": 1}, "duration_min"),
        ({"duration_min": "45"}, "duration_min"),
        ({"name": " "}, "name"),
        ({"resource_ids": [0]}, "resource_ids"),
        ({"price": 100}, "price"),
    ],
)
def test_a_bad_type_is_named(api: MakeApi, changes: dict[str, Any], field: str) -> None:
    """422, and there is none."""
    client = api()
    answer = client.post("/appointment-types", {**VISIT, **changes})
    assert answer.status_code == 422
    assert answer.json["field"].partition(".")[0] == field
    assert client.get("/appointment-types").json["items"] == []


def test_another_business_s_are_not_there(api: MakeApi) -> None:
    """Not to see, to change, or to be taken by."""
    client, other = api(), api()
    theirs = f"/appointment-types/{other.post('/appointment-types', VISIT).json['id']}"
    assert client.get(theirs).status_code == 404
    assert client.patch(theirs, {"name": "Mine"}, version=1).status_code == 404
    foreign = {**VISIT, "resource_ids": list(other.business.resources)}
    assert client.post("/appointment-types", foreign).status_code == 404
    assert client.get("/appointment-types").json["items"] == []
