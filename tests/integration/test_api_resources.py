"""Resources over REST. What holds for every operation is tested with them in test_api_conventions.py."""

from __future__ import annotations

from tests.integration.conftest import MakeApi


def test_a_resource_is_added_read_and_changed(api: MakeApi) -> None:
    """Deactivating tells how many appointments it still has."""
    client = api()
    made = client.post("/resources", {"name": " Dr. Levi "})
    assert (made.status_code, made.json["name"], made.json["active"]) == (201, "Dr. Levi", True)
    path = f"/resources/{made.json['id']}"
    assert client.get(path).json == made.json
    changed = client.patch(path, {"active": False}, version=1)
    assert changed.json == {**made.json, "active": False, "version": 2, "future_appointments": 0}
    listed = client.get("/resources", query_string={"active": "false"}).json["items"]
    assert [item["id"] for item in listed] == [made.json["id"]]


def test_another_business_s_resource_is_not_found(api: MakeApi) -> None:
    """To read or to change."""
    client, other = api(), api()
    path = f"/resources/{other.business.resources[0]}"
    assert client.get(path).status_code == 404
    assert client.patch(path, {"name": "Mine"}, version=1).status_code == 404
