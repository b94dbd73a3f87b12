"""The table of slot cases (tests/data/slot_cases.json): what is offered, and that `explain` agrees."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.domain.availability import REFUSALS, Busy, SlotPolicy, explain, free_slots
from tests.unit.slot_oracle import Oracle

TABLE = json.loads((Path(__file__).parent.parent / "data" / "slot_cases.json").read_text(encoding="utf-8"))
POLICY_KEYS = {
    *("timezone", "weekly_hours", "breaks", "date_overrides", "slot_size_min", "slot_step_min"),
    *("buffer_before_min", "buffer_after_min", "min_notice_min", "booking_window_days", "daily_limit"),
}

every_case = pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["id"])


def policy_of(case: dict[str, Any]) -> dict[str, Any]:
    """The part of a case that is a policy."""
    return {key: value for key, value in case.items() if key in POLICY_KEYS}


def blocks(appointment: dict[str, Any], case: dict[str, Any]) -> bool:
    """What the caller of `free_slots` leaves out: other statuses, expired holds, the appointment to be moved."""
    if "id" in appointment and appointment["id"] == case.get("exclude_appointment_id"):
        return False
    if appointment["status"] == "hold" and appointment.get("expires_at"):
        return datetime.fromisoformat(appointment["expires_at"]) > datetime.fromisoformat(case["now"])
    return appointment["status"] in ("confirmed", "pending", "hold")


def busy_of(case: dict[str, Any]) -> list[Busy]:
    """The appointments of a case, with the policy's buffers as their own."""
    buffers = case["buffer_before_min"], case["buffer_after_min"]
    return [
        Busy(datetime.fromisoformat(appointment["start"]), datetime.fromisoformat(appointment["end"]), *buffers)
        for appointment in case["existing_appointments"]
        if blocks(appointment, case)
    ]


@every_case
def test_every_case_offers_just_the_expected_starts(case: dict[str, Any]) -> None:
    """`free_slots` gives the starts of the table, in order, with the offset in force."""
    slots = free_slots(
        SlotPolicy.from_dict(policy_of(case)),
        busy_of(case),
        date.fromisoformat(case["date_from"]),
        date.fromisoformat(case["date_to"]),
        datetime.fromisoformat(case["now"]),
        case.get("capacity", 1),
    )
    assert [slot.starts_at.isoformat() for slot in slots] == case["expected_slots"]
    assert {slot.ends_at - slot.starts_at for slot in slots} <= {timedelta(minutes=case["slot_size_min"])}


@every_case
def test_every_case_explain_accepts_the_expected_starts_and_refuses_their_neighbours(case: dict[str, Any]) -> None:
    """The same decision, asked start by start, also a minute and a step away from each."""
    policy, busy, now = SlotPolicy.from_dict(policy_of(case)), busy_of(case), datetime.fromisoformat(case["now"])
    expected = {datetime.fromisoformat(start) for start in case["expected_slots"]}
    dates = [date.fromisoformat(case["date_from"]), date.fromisoformat(case["date_to"])]
    for start in list(expected)[:24]:
        for away in (0, 1, -1, policy.slot_step_min, -policy.slot_step_min):
            tried = start + timedelta(minutes=away)
            refusal = explain(policy, busy, tried, now, case.get("capacity", 1))
            if tried in expected:
                assert refusal is None
            elif dates[0] <= tried.astimezone(policy.zone).date() <= dates[1]:
                assert refusal is not None
                assert refusal.message == REFUSALS[refusal.code]


@every_case
def test_every_case_agrees_with_the_oracle(case: dict[str, Any]) -> None:
    """The table and the oracle, on which the properties rest, say the same."""
    oracle = Oracle(policy_of(case), date.fromisoformat(case["date_from"]), date.fromisoformat(case["date_to"]))
    starts = oracle.starts(busy_of(case), datetime.fromisoformat(case["now"]), case.get("capacity", 1))
    assert [oracle.iso(start) for start in starts] == case["expected_slots"]
