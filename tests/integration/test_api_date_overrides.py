"""Date overrides over REST, and the import of holidays."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.conftest import MakeApi

OUTING = {"first_day": "2026-12-01", "last_day": "2026-12-03", "windows": [["09:00", "24:00"]], "name": "Outing"}
YEAR = {"first_day": "2027-01-01", "last_day": "2027-12-31"}


def test_a_range_is_set_listed_and_deleted(api: MakeApi) -> None:
    """An override a date; a list can be of a part of them."""
    client = api()
    made = client.post("/date-overrides", OUTING)
    assert made.status_code == 201
    assert [item["day"] for item in made.json["items"]] == ["2026-12-01", "2026-12-02", "2026-12-03"]
    first = made.json["items"][0]
    assert first == {
        "id": first["id"],
        "resource_id": None,
        "day": "2026-12-01",
        "windows": [["09:00", "24:00"]],
        "name": "Outing",
        "imported": False,
    }
    part = client.get("/date-overrides", query_string={"from": "2026-12-02", "to": "2026-12-03"})
    assert part.json["items"] == made.json["items"][1:]
    assert client.delete(f"/date-overrides/{first['id']}").status_code == 204
    assert client.delete(f"/date-overrides/{first['id']}").status_code == 404
    assert client.get("/date-overrides").json["items"] == made.json["items"][1:]


def test_without_a_last_day_it_is_one(api: MakeApi) -> None:
    """For one resource here; a closure has no reason unless one is given."""
    client = api()
    room = client.business.resources[0]
    made = client.post("/date-overrides", {"first_day": "2026-12-01", "windows": [], "resource_id": room})
    (item,) = made.json["items"]
    assert (item["windows"], item["name"], item["resource_id"]) == ([], "", room)
    assert client.get("/date-overrides", query_string={"resource_id": room}).json["items"] == [item]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"last_day": "2026-11-30"}, "last_day"),
        ({"last_day": "2027-12-02"}, "last_day"),
        ({"first_day": "2026-12-32"}, "first_day"),
        ({"windows": [["09:00", "25:00"]]}, "windows"),
        ({"windows": None}, "windows"),
        ({"name": "a\nb"}, "name"),
        ({"resource_id": 0}, "resource_id"),
        ({"day": "2026-12-01"}, "day"),
    ],
)
def test_a_bad_override_is_named(api: MakeApi, changes: dict[str, Any], field: str) -> None:
    """422, and no date of it is set."""
    client = api()
    answer = client.post("/date-overrides", {**OUTING, **changes})
    assert answer.status_code == 422
    assert answer.json["field"].partition(".")[0] == field
    assert client.get("/date-overrides").json["items"] == []


def test_holidays_are_imported_once(api: MakeApi) -> None:
    """First only told, then done, then unchanged; a date set by hand is kept."""
    client = api()
    client.post("/date-overrides", {"first_day": "2027-04-22", "windows": [["10:00", "12:00"]]})
    dry = client.post("/date-overrides/import-holidays", {**YEAR, "dry_run": True})
    assert dry.status_code == 200
    assert len(client.get("/date-overrides").json["items"]) == 1
    done = client.post("/date-overrides/import-holidays", YEAR)
    assert (done.json["country"], done.json["subdivision"], done.json["dry_run"]) == ("IL", None, False)
    assert done.json["days"] == dry.json["days"]
    outcomes = {day["day"]: day["outcome"] for day in done.json["days"]}
    assert (outcomes.pop("2027-04-22"), set(outcomes.values())) == ("kept", {"added"})
    again = client.post("/date-overrides/import-holidays", YEAR)
    assert {day["outcome"] for day in again.json["days"]} == {"kept", "unchanged"}


def test_eves_are_half_days_where_they_are_asked_for(api: MakeApi) -> None:
    """Yom Kippur's, a Sunday in 2027."""
    client = api()
    wish = {"first_day": "2027-10-10", "last_day": "2027-10-11", "eve_windows": [["09:00", "13:00"]]}
    done = client.post("/date-overrides/import-holidays", wish)
    assert done.json["days"] == [
        {"day": "2027-10-10", "name": "Eve of Yom Kippur", "windows": [["09:00", "13:00"]], "outcome": "added"},
        {"day": "2027-10-11", "name": "Yom Kippur", "windows": [], "outcome": "added"},
    ]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"last_day": "2026-01-01"}, "last_day"),
        ({"last_day": "2031-01-01"}, "last_day"),
        ({"subdivision": "BY"}, "subdivision"),
        ({"eve_windows": [["13:00"]]}, "eve_windows"),
        ({"country": "IL"}, "country"),
    ],
)
def test_a_bad_import_is_named(api: MakeApi, changes: dict[str, Any], field: str) -> None:
    """422, and nothing is imported."""
    client = api()
    answer = client.post("/date-overrides/import-holidays", {**YEAR, **changes})
    assert answer.status_code == 422
    assert answer.json["field"].partition(".")[0] == field
    assert client.get("/date-overrides").json["items"] == []


def test_another_business_s_are_not_there(api: MakeApi) -> None:
    """Not in the list, not to delete, and its resource gets none."""
    client, other = api(), api()
    (theirs, *_) = other.post("/date-overrides", OUTING).json["items"]
    assert client.get("/date-overrides").json["items"] == []
    assert client.delete(f"/date-overrides/{theirs['id']}").status_code == 404
    answer = client.post("/date-overrides", {**OUTING, "resource_id": other.business.resources[0]})
    assert answer.status_code == 404
