"""Slot policies over REST."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.factories import POLICY
from tests.integration.conftest import MakeApi

WHOLE = {
    "weekly_hours": {"sun": [["09:00", "12:00"], ["16:00", "24:00"]], "mon": [["22:00", "02:00"]]},
    "breaks": {"sun": [["10:00", "10:30"]]},
    "slot_size_min": 20,
    "slot_step_min": 10,
    "buffer_before_min": 5,
    "buffer_after_min": 10,
    "min_notice_min": 60,
    "booking_window_days": 30,
    "daily_limit": 12,
}


def test_the_whole_policy_goes_in_and_comes_out(api: MakeApi) -> None:
    """Word for word, with whose it is, its zone and version."""
    client = api()
    answer = client.put("/slot-policy", WHOLE, version=1)
    assert answer.status_code == 200
    assert {**answer.json, **WHOLE} == answer.json
    assert set(answer.json) - set(WHOLE) == {"resource_id", "timezone", "version", "updated_at"}
    assert (answer.json["timezone"], answer.json["resource_id"]) == ("Asia/Jerusalem", None)
    seen = client.get("/slot-policy")
    assert (seen.json, seen.headers["ETag"]) == (answer.json, '"2"')
    assert client.put("/slot-policy", WHOLE, version=1).status_code == 412
    assert client.put("/slot-policy", WHOLE).status_code == 428


def test_a_resource_gets_its_own_and_loses_it(api: MakeApi) -> None:
    """404 as long as the business's holds for it."""
    client = api()
    path = f"/resources/{client.business.resources[0]}/slot-policy"
    assert client.get(path).status_code == 404
    made = client.put(path, WHOLE, headers={"If-Match": "*"})
    assert (made.status_code, made.json["resource_id"]) == (200, client.business.resources[0])
    assert client.delete(path, headers={"If-Match": '"7"'}).status_code == 412
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slot_size_min": 0}, "slot_size_min"),
        ({"slot_size_min": 1000, "buffer_after_min": 1000}, "slot_size_min"),
        ({"weekly_hours": {"funday": []}}, "weekly_hours"),
        ({"weekly_hours": {"mon": [["09:00"]]}}, "weekly_hours"),
        ({"weekly_hours": {"mon": [["24:00", "10:00"]]}}, "weekly_hours"),
        ({"weekly_hours": {"mon": [["9:00", "10:00"]]}}, "weekly_hours"),
        ({"weekly_hours": None}, "weekly_hours"),
        ({"timezone": "UTC"}, "timezone"),
        ({"date_overrides": {}}, "date_overrides"),
    ],
)
def test_a_bad_policy_is_named(api: MakeApi, changes: dict[str, Any], field: str) -> None:
    """422, and the old one stays."""
    client = api()
    answer = client.put("/slot-policy", {**POLICY, **changes}, version=1)
    assert answer.status_code == 422
    assert answer.json["field"].partition(".")[0] == field
    assert client.get("/slot-policy").headers["ETag"] == '"1"'


def test_another_business_s_resource_is_not_found(api: MakeApi) -> None:
    """To read, to set and to delete."""
    client, other = api(), api()
    path = f"/resources/{other.business.resources[0]}/slot-policy"
    other.put(path, WHOLE, headers={"If-Match": "*"})
    assert client.get(path).status_code == 404
    assert client.put(path, WHOLE, version=1).status_code == 404
    assert client.delete(path).status_code == 404
    assert other.get(path).json["version"] == 1


def test_a_policy_can_be_tried_without_storing_it(api: MakeApi) -> None:
    """A key that only reads may; the answer is like availability's."""
    client = api("slot-policy:read")
    trial = {"policy": WHOLE, "first_day": "2026-11-29", "last_day": "2026-11-29"}
    answer = client.post("/slot-policy/preview", trial)
    assert (answer.status_code, answer.json["timezone"]) == (200, "Asia/Jerusalem")
    (day,) = answer.json["days"]
    assert day["slots"][0] == {
        "starts_at": "2026-11-29T09:00:00+02:00",
        "ends_at": "2026-11-29T09:20:00+02:00",
        "resource_id": client.business.resources[0],
    }
    assert (day["refusal_code"], day["message"]) == (None, None)
    assert client.get("/slot-policy").json["version"] == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"policy": {**WHOLE, "slot_size_min": 1441}}, "policy"),
        ({"last_day": "2026-12-30"}, "last_day"),
        ({"first_day": None}, "first_day"),
    ],
)
def test_a_bad_trial_is_named(api: MakeApi, changes: dict[str, Any], field: str) -> None:
    """422."""
    trial = {"policy": WHOLE, "first_day": "2026-11-29", "last_day": "2026-11-29", **changes}
    answer = api().post("/slot-policy/preview", trial)
    assert answer.status_code == 422
    assert answer.json["field"].partition(".")[0] == field


def test_the_document_says_what_a_window_is(api: MakeApi) -> None:
    """Two times, of which only the second may be 24:00; and no two zones that a program would name alike."""
    schemas = api().client.get("/api/v1/openapi.json").json["components"]["schemas"]
    window = schemas["Week"]["properties"]["mon"]["items"]
    assert (window["minItems"], window["maxItems"]) == (2, 2)
    assert ["24:00" in part["pattern"] for part in window["prefixItems"]] == [False, True]
    zones = schemas["NewBusiness"]["properties"]["timezone"]["enum"]
    names = {re.sub(r"\W", "", zone).lower() for zone in zones}
    assert len(names) == len(zones) > 500
