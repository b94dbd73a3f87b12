"""Cancelled, no-show, completed, corrected: every action in every status, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import (
    TRANSITIONS,
    Action,
    AppointmentDetails,
    AppointmentFilter,
    Source,
    Status,
    UpdateDetails,
)
from app.domain.pages import PageRequest
from app.errors import InvalidInput, InvalidState, NotFound, StaleVersion
from app.services import Services
from tests.factories import (
    MONDAY,
    Clock,
    SomeBusiness,
    as_tenant,
    booking,
    change_of,
    confirming,
    insert_appointment,
    local,
    moving,
    new_business,
)

TEN = local(MONDAY, "10:00")
NOON = local(MONDAY, "12:00")

ALREADY = {
    Action.CANCEL: Status.CANCELLED,
    Action.NO_SHOW: Status.NO_SHOW,
    Action.COMPLETE: Status.COMPLETED,
    Action.RELEASE_HOLD: Status.EXPIRED,
}
"""Where an action has been done already, so that it is answered with what is there."""


def correcting(details: AppointmentDetails, expected_version: int | None = None, **changes: Any) -> UpdateDetails:
    """A command to correct the customer's details."""
    return UpdateDetails(
        details.business_id, details.id, Source.API, changes, "key:9", expected_version=expected_version
    )


def doing(
    services: Services, action: Action, expected: int | None = None
) -> Callable[[AppointmentDetails], AppointmentDetails]:
    """The service's method for an action, with a command that expects a version."""
    calendar, seen = services.scheduling, {"expected_version": expected}
    tomorrow = NOON + timedelta(days=1)
    methods: dict[Action, Callable[[AppointmentDetails], AppointmentDetails]] = {
        Action.CONFIRM_HOLD: lambda it: calendar.confirm_hold(confirming(it, **seen)),
        Action.RELEASE_HOLD: lambda it: calendar.release_hold(change_of(it, **seen)),
        Action.RESCHEDULE: lambda it: calendar.reschedule_appointment(moving(it, tomorrow, **seen)),
        Action.CANCEL: lambda it: calendar.cancel_appointment(change_of(it, **seen)),
        Action.NO_SHOW: lambda it: calendar.mark_no_show(change_of(it, **seen)),
        Action.COMPLETE: lambda it: calendar.complete_appointment(change_of(it, **seen)),
        Action.UPDATE_DETAILS: lambda it: calendar.update_details(correcting(it, expected, notes="other")),
    }
    return methods[action]


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("action", Action)
def test_every_action_in_every_status_does_what_the_table_says(
    services: Services, business: SomeBusiness, engine: Engine, clock: Clock, action: Action, status: Status
) -> None:
    """Possible: the target, one version more, one line more. Done already: as it is. Else InvalidState."""
    expires_at = TEN + timedelta(hours=2) if status is Status.HELD else None
    row_id = insert_appointment(engine, business, TEN, status=status, expires_at=expires_at)
    clock.now = TEN
    before = services.scheduling.get_appointment(business.id, row_id)
    transition = TRANSITIONS[action]
    if status in transition.sources:
        after = doing(services, action)(before)
        assert after.status is (transition.target or status)
        assert after.version == before.version + 1
        assert len(services.scheduling.get_history(business.id, row_id)) == 1
        assert after == services.scheduling.get_appointment(business.id, row_id)
        return
    if ALREADY.get(action) is status:
        assert doing(services, action)(before) == before
    else:
        with pytest.raises(InvalidState):
            doing(services, action)(before)
    assert services.scheduling.get_appointment(business.id, row_id) == before
    assert services.scheduling.get_history(business.id, row_id) == ()


def test_every_action_stands_in_the_table() -> None:
    """And nothing leads into a status that blocks, but the confirmation of a hold, which blocked before."""
    assert set(TRANSITIONS) == set(Action)
    assert [action for action, row in TRANSITIONS.items() if row.target in (Status.PENDING, Status.HELD)] == []
    assert [action for action, row in TRANSITIONS.items() if row.target is Status.CONFIRMED] == [
        Action.CONFIRM_HOLD
    ]


def test_a_cancellation_frees_the_place_and_keeps_its_reason(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """The reason is not in the audit trail, which holds no personal data."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    after = services.scheduling.cancel_appointment(change_of(details, reason="is ill", expected_version=1))
    assert (after.status, after.cancel_reason, after.version) == (Status.CANCELLED, "is ill", 2)
    line = services.scheduling.get_history(business.id, details.id)[-1]
    assert (line.kind, line.source, line.actor, line.data["status"]) == (
        "cancelled",
        "dashboard",
        "user:3",
        "cancelled",
    )
    with as_tenant(engine, business.id) as connection:
        trail = connection.execute(text("SELECT string_agg(data::text, '') FROM appointment_changes")).scalar_one()
        events = connection.scalars(text("SELECT type FROM events ORDER BY id")).all()
    assert "ill" not in trail
    assert events == ["appointment.created", "appointment.cancelled"]
    services.scheduling.book_appointment(booking(business, TEN))


def test_cancelling_twice_is_cancelling_once(services: Services, business: SomeBusiness, engine: Engine) -> None:
    """The first reason stays, and nobody is told again, whatever version is expected."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    first = services.scheduling.cancel_appointment(change_of(details, reason="is ill", expected_version=1))
    again = services.scheduling.cancel_appointment(change_of(details, reason="moved", expected_version=1))
    assert again == first
    with as_tenant(engine, business.id) as connection:
        assert connection.execute(text("SELECT count(*) FROM events")).scalar_one() == 2


@pytest.mark.parametrize(
    ("action", "events"),
    [(Action.NO_SHOW, ["appointment.created", "appointment.no_show"]), (Action.COMPLETE, ["appointment.created"])],
)
def test_an_appointment_is_closed_only_once_it_has_begun(
    services: Services, business: SomeBusiness, engine: Engine, clock: Clock, action: Action, events: list[str]
) -> None:
    """By the clock of the service, to the instant."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    clock.now = TEN - timedelta(microseconds=1)
    with pytest.raises(InvalidState):
        doing(services, action)(details)
    clock.now = TEN
    assert doing(services, action)(details).status is TRANSITIONS[action].target
    with as_tenant(engine, business.id) as connection:
        assert connection.scalars(text("SELECT type FROM events ORDER BY id")).all() == events


def test_a_slip_between_no_show_and_completed_can_be_corrected(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Each time a line of the audit trail."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    clock.now = TEN
    services.scheduling.mark_no_show(change_of(details))
    services.scheduling.complete_appointment(change_of(details))
    assert services.scheduling.mark_no_show(change_of(details)).status is Status.NO_SHOW
    kinds = [line.kind for line in services.scheduling.get_history(business.id, details.id)]
    assert kinds == ["booked", "no_show", "completed", "no_show"]


@pytest.mark.parametrize("action", Action)
def test_a_stale_version_changes_nothing(
    services: Services, business: SomeBusiness, engine: Engine, clock: Clock, action: Action
) -> None:
    """Somebody has changed it since."""
    of_holds = action in (Action.CONFIRM_HOLD, Action.RELEASE_HOLD)
    given = {"status": "held", "expires_at": TEN + timedelta(hours=2)} if of_holds else {}
    row_id = insert_appointment(engine, business, TEN, **given)
    clock.now = TEN
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("UPDATE appointments SET version = 2"))
    before = services.scheduling.get_appointment(business.id, row_id)
    with pytest.raises(StaleVersion):
        doing(services, action, expected=1)(before)
    assert services.scheduling.get_appointment(business.id, row_id) == before
    assert doing(services, action, expected=2)(before).version == 3


def test_corrected_details_are_found_by_the_new_name_and_number(
    services: Services, business: SomeBusiness
) -> None:
    """What is searched is what is shown; what is not named stays."""
    details = services.scheduling.book_appointment(booking(business, TEN, notes="first visit"))
    after = services.scheduling.update_details(
        correcting(details, customer_name=" נועה כהן ", customer_phone="03-555 0123")
    )
    assert (after.customer_name, after.customer_phone, after.notes) == ("נועה כהן", "+97235550123", "first visit")
    for wanted in (AppointmentFilter(name_begins_with="נועה"), AppointmentFilter(phone_ends_with="0123")):
        assert services.scheduling.list_appointments(business.id, wanted, PageRequest()).items == (after,)
    gone = AppointmentFilter(name_begins_with="dana")
    assert services.scheduling.list_appointments(business.id, gone, PageRequest()).items == ()
    nobody = services.scheduling.update_details(correcting(details, customer_phone=None))
    assert (nobody.customer_phone, nobody.customer_name) == (None, "נועה כהן")


def test_a_correction_notes_which_fields_and_not_what_they_hold(
    services: Services, business: SomeBusiness
) -> None:
    """And one that changes nothing writes nothing."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    services.scheduling.update_details(correcting(details, notes="secret", customer_name="Noa"))
    same = services.scheduling.update_details(correcting(details, notes="secret"))
    assert same.version == 2
    *_, line = services.scheduling.get_history(business.id, details.id)
    assert (line.kind, line.actor, line.data["fields"]) == ("details_changed", "key:9", ["customer_name", "notes"])
    assert "secret" not in str(line.data)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"customer_name": ""}, "customer_name"),
        ({"customer_name": None}, "customer_name"),
        ({"notes": None}, "notes"),
        ({"notes": "\x00"}, "notes"),
        ({"customer_phone": "call me"}, "customer_phone"),
        ({"customer_phone": "0521"}, "customer_phone"),
        ({"status": "confirmed"}, "status"),
    ],
)
def test_a_bad_correction_is_refused_by_name(
    services: Services, business: SomeBusiness, changes: dict[str, Any], field: str
) -> None:
    """Nothing is written."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    with pytest.raises(InvalidInput) as caught:
        services.scheduling.update_details(correcting(details, **changes))
    assert caught.value.field == field
    assert services.scheduling.get_appointment(business.id, details.id) == details


@pytest.mark.parametrize("reason", ["x" * 501, "\x07"])
def test_a_bad_reason_is_refused_by_name(services: Services, business: SomeBusiness, reason: str) -> None:
    """It stays booked."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    with pytest.raises(InvalidInput) as caught:
        services.scheduling.cancel_appointment(change_of(details, reason=reason))
    assert caught.value.field == "reason"


def test_another_business_s_appointment_is_not_there(services: Services, business: SomeBusiness) -> None:
    """For no action."""
    details = services.scheduling.book_appointment(booking(business, TEN))
    other = new_business(services)
    foreign = AppointmentDetails(
        details.id, other.id, 1, 1, TEN, NOON, Status.CONFIRMED, Source.API, "Dana", version=1
    )
    for action in Action:
        with pytest.raises(NotFound):
            doing(services, action)(foreign)
    assert services.scheduling.get_appointment(business.id, details.id) == details


def test_an_appointment_of_a_test_call_is_no_event(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Other programs must not act on it."""
    row_id = insert_appointment(engine, business, TEN)
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("UPDATE appointments SET is_test = true"))
    details = services.scheduling.get_appointment(business.id, row_id)
    assert details.is_test
    services.scheduling.reschedule_appointment(moving(details, NOON))
    services.scheduling.cancel_appointment(change_of(details))
    with as_tenant(engine, business.id) as connection:
        assert connection.execute(text("SELECT count(*) FROM events")).scalar_one() == 0
