"""Calls as they are read back: filters, order, pages, one call with what it made."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.calls import CallClosing, CallFilter, CallState, IncomingCall, TimelineEntry
from app.domain.pages import PageRequest
from app.errors import InvalidInput, NotFound
from app.services import Services
from tests.factories import MONDAY, Clock, SomeBusiness, as_tenant, booking, local, new_business

DANA, NOAM = "+972521234567", "+972547654321"
TEN = local(MONDAY, "10:00")
ENDED = CallClosing(CallState.ENDED, "goodbye", barge_ins=2, duration_ms=9000)


def call(services: Services, business: SomeBusiness, sid: str, number: str | None = DANA) -> int:
    return services.calls.accept_call(IncomingCall(sid, business.phone_number, number)).call_id


def listed(services: Services, business: SomeBusiness, **wanted: Any) -> list[str]:
    page = services.call_log.list_calls(business.id, CallFilter(**wanted), PageRequest())
    assert page.next_after is None
    return [item.call_sid for item in page.items]


def test_calls_are_listed_newest_first(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """Of several at one instant, the later id first."""
    for sid in ("CA1", "CA2"):
        call(services, business, sid)
    clock.advance(minutes=1)
    call(services, business, "CA3")
    assert listed(services, business) == ["CA3", "CA2", "CA1"]


def test_pages_cover_every_call_once(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """Also where many came in at one instant, and while new ones come in."""
    for number in range(7):
        call(services, business, f"CA{number}")
        clock.advance(seconds=number % 2)
    seen: list[str] = []
    after = None
    for _ in range(4):
        page = services.call_log.list_calls(business.id, CallFilter(), PageRequest(2, after))
        seen += [item.call_sid for item in page.items]
        after = page.next_after
        call(services, business, f"CA-new-{len(seen)}")
    assert seen == [f"CA{number}" for number in reversed(range(7))]
    assert after is None


@pytest.mark.parametrize("limit", [0, 201])
def test_a_page_has_its_bounds(services: Services, business: SomeBusiness, limit: int) -> None:
    """One to 200 rows."""
    with pytest.raises(InvalidInput, match="limit"):
        services.call_log.list_calls(business.id, CallFilter(), PageRequest(limit))


def test_each_filter_keeps_what_it_asks_for(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """By time (from inclusive, to exclusive), state, whole number, last digits, and whether it booked."""
    began = clock.now
    first = call(services, business, "CA1", DANA)
    clock.advance(hours=1)
    second = call(services, business, "CA2", NOAM)
    clock.advance(hours=1)
    call(services, business, "CA3", None)
    services.calls.finish_stream(business.id, first, ENDED)
    services.scheduling.book_appointment(booking(business, TEN, call_id=second))
    hour = timedelta(hours=1)
    assert listed(services, business, from_at=began + hour) == ["CA3", "CA2"]
    assert listed(services, business, to_at=began + hour) == ["CA1"]
    assert listed(services, business, from_at=began, to_at=began + 2 * hour) == ["CA2", "CA1"]
    assert listed(services, business, state=CallState.ENDED) == ["CA1"]
    assert listed(services, business, caller=NOAM) == ["CA2"]
    assert listed(services, business, caller_ends_with="67") == ["CA1"]
    assert listed(services, business, caller_ends_with="4321") == ["CA2"]
    assert listed(services, business, caller_ends_with="999999") == []
    assert listed(services, business, booked=True) == ["CA2"]
    assert listed(services, business, booked=False) == ["CA3", "CA1"]
    assert listed(services, business, booked=True, caller=DANA) == []


@pytest.mark.parametrize("digits", ["", "1", "12a", "1234567890123456", "%", "1٢"])
def test_last_digits_that_are_none_are_refused(services: Services, business: SomeBusiness, digits: str) -> None:
    """Two to fifteen ASCII digits."""
    with pytest.raises(InvalidInput, match="caller_ends_with"):
        listed(services, business, caller_ends_with=digits)


@pytest.mark.parametrize(
    "wanted",
    [{"caller": "052-123"}, {"from_at": TEN.replace(tzinfo=None)}, {"to_at": TEN.replace(year=9999)}],
)
def test_a_filter_that_makes_no_sense_is_refused(
    services: Services, business: SomeBusiness, wanted: dict[str, Any]
) -> None:
    """Not answered with an empty list."""
    with pytest.raises(InvalidInput):
        listed(services, business, **wanted)


def test_a_call_is_read_with_its_timeline_and_its_appointments(
    services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Instants are local and carry the offset; a hold is no appointment."""
    call_id = call(services, business, "CA1")
    entries = [TimelineEntry(0, "call_started"), TimelineEntry(900, "caller_turn", {"text": "Hi"})]
    services.calls.append_timeline(business.id, call_id, entries)
    made = services.scheduling.book_appointment(booking(business, TEN, call_id=call_id))
    clock.advance(minutes=2)
    services.calls.finish_stream(business.id, call_id, ENDED)
    record = services.call_log.get_call(business.id, call_id)
    assert record.timeline == tuple(entries)
    assert record.appointment_ids == (made.id,)
    assert (record.state, record.end_reason) == (CallState.ENDED, "goodbye")
    assert (record.barge_ins, record.duration_ms, record.stream_count) == (2, 9000, 0)
    assert (record.called_number, record.caller_number) == (business.phone_number, DANA)
    assert record.timezone == "Asia/Jerusalem"
    assert record.created_at.isoformat() == "2026-11-22T08:00:00+02:00"
    assert record.ended_at is not None
    assert record.ended_at.astimezone(UTC) == clock.now
    assert (record.started_at, record.transcript_erased_at) == (None, None)
    [summary] = services.call_log.list_calls(business.id, CallFilter(), PageRequest()).items
    assert summary.appointment_ids == (made.id,)
    assert DANA not in repr(record)
    assert "Hi" not in repr(record)


def test_another_business_s_call_is_not_there(services: Services, business: SomeBusiness) -> None:
    """Neither in the list nor by its id."""
    other = new_business(services)
    call_id = call(services, business, "CA1")
    assert listed(services, other) == []
    for business_id, wanted in ((other.id, call_id), (business.id, call_id + 1000)):
        with pytest.raises(NotFound):
            services.call_log.get_call(business_id, wanted)


def test_a_list_reads_its_rows_from_an_index(services: Services, engine: Engine, business: SomeBusiness) -> None:
    """Under row security, as the application's role: the order, a whole number and last digits are index reads."""
    insert = text(
        "INSERT INTO calls (business_id, call_sid, called_number, caller_number, state, created_at)"
        " SELECT :id, 'CA-many-' || n, '+97231234567', '+97252' || n, 'ringing', now() - make_interval(mins => n)"
        " FROM generate_series(1000000, 1005000) n"
    )
    with as_tenant(engine, business.id) as connection:
        connection.execute(insert, {"id": business.id})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE calls"))
    wanted = {
        "ORDER BY created_at DESC, id DESC LIMIT 51": "calls_business_id_created_at_id_idx",
        "AND (created_at, id) < (now() - interval '1000000 min', 5) ORDER BY created_at DESC, id DESC LIMIT 51": (
            "calls_business_id_created_at_id_idx"
        ),
        "AND caller_number = '+972521000001'": "calls_business_id_caller_number_idx",
        "AND caller_reversed >= '1000' AND caller_reversed < '1001'": "calls_business_id_caller_reversed_idx",
    }
    for condition, index in wanted.items():
        with as_tenant(engine, business.id) as connection:
            plan = connection.scalars(
                text(f"EXPLAIN SELECT * FROM calls WHERE business_id = {business.id} {condition}")  # noqa: S608
            ).all()
        assert index in "\n".join(plan), condition
        [conditions] = [line for line in plan if "Index Cond" in line]
        assert all(name in conditions for name in ("created_at", "caller") if condition.startswith(f"AND {name}"))
