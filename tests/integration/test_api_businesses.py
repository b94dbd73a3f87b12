"""Businesses over REST: the operator's list, and each one's own settings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import new_phone_number
from tests.integration.conftest import MakeApi

NEW = {"name": "Clinic", "timezone": "Asia/Jerusalem", "language": "he"}


def test_the_operator_makes_a_business(api: MakeApi) -> None:
    """What is left out has its default; then it stands at the end of the list."""
    client = api(operator=True)
    number = new_phone_number()
    made = client.post("/businesses", {**NEW, "phone_numbers": [number], "transcript_retention_days": 30})
    assert made.status_code == 201
    assert made.headers["ETag"] == '"1"'
    assert {**made.json, "id": None, "created_at": None} == {
        **NEW,
        "id": None,
        "created_at": None,
        "country": "IL",
        "phone_numbers": [number],
        "call_goal": "appointment",
        "greeting": "",
        "instructions": "",
        "voice": "marin",
        "barge_in_enabled": True,
        "barge_in_after_greeting": False,
        "silence_timeout_ms": 10_000,
        "max_call_minutes": 20,
        "transcripts_kept": True,
        "transcript_retention_days": 30,
        "version": 1,
    }
    assert client.get(f"/businesses/{made.json['id']}").json == made.json
    listed = client.get("/businesses", query_string={"limit": 200}).json["items"]
    assert listed[-1] == made.json


def test_only_operators_make_and_list_businesses(api: MakeApi) -> None:
    """Whatever a business's own key may do."""
    client = api()
    assert client.get("/businesses").status_code == 403
    assert client.post("/businesses", NEW).status_code == 403


def test_a_business_sees_and_changes_itself_only(api: MakeApi) -> None:
    """Another one's id is not found, as if it had never been."""
    client, other = api(), api()
    own, theirs = f"/businesses/{client.business.id}", f"/businesses/{other.business.id}"
    seen = client.get(own)
    assert (seen.status_code, seen.json["phone_numbers"]) == (200, [client.business.phone_number])
    for answer in (client.get(theirs), client.get(f"/businesses/{10**17}"), client.patch(theirs, {}, version=1)):
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    changed = client.patch(own, {"greeting": "Shalom", "transcript_retention_days": None}, version=1)
    assert (changed.status_code, changed.json["greeting"], changed.headers["ETag"]) == (200, "Shalom", '"2"')


def test_an_operator_s_header_and_path_name_the_same_business(api: MakeApi) -> None:
    """Any without the header, that one with it."""
    client, other = api(operator=True), api()
    path = f"/businesses/{client.business.id}"
    header = {"Moed-Business": str(client.business.id)}
    assert client.get(path).status_code == 200
    assert client.get(path, headers=header).status_code == 200
    assert client.get(f"/businesses/{other.business.id}", headers=header).status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"country": "XX"}, "country"),
        ({"phone_numbers": ["050"]}, "phone_numbers"),
        ({"silence_timeout_ms": 1}, "silence_timeout_ms"),
        ({"barge_in_enabled": "yes"}, "barge_in_enabled"),
        ({"resources": ["Room"]}, "resources"),
        ({"version": 3}, "version"),
    ],
)
def test_a_bad_setting_is_named(api: MakeApi, changes: dict[str, Any], field: str) -> None:
    """422, and the version stays."""
    client = api()
    path = f"/businesses/{client.business.id}"
    answer = client.patch(path, changes, version=1)
    assert answer.status_code == 422
    assert answer.json["field"].partition(".")[0] == field
    assert client.get(path).headers["ETag"] == '"1"'


def test_a_phone_number_of_another_business_is_a_conflict(api: MakeApi) -> None:
    """Without a word about whose it is."""
    client, other = api(), api()
    answer = client.patch(
        f"/businesses/{client.business.id}", {"phone_numbers": [other.business.phone_number]}, version=1
    )
    assert (answer.status_code, answer.json["code"], answer.json["field"]) == (
        409,
        "already_exists",
        "phone_numbers",
    )
