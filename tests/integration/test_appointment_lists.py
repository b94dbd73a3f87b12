"""Lists of appointments: filters, pages, searches by name and number, and what they read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import AppointmentDetails, AppointmentFilter, Source, Status
from app.domain.pages import PageRequest
from app.errors import InvalidInput, NotFound
from app.services import Services
from tests.factories import (
    MONDAY,
    SomeBusiness,
    as_tenant,
    booking,
    change_of,
    holding,
    incoming_call,
    insert_appointment,
    local,
    new_business,
)

TEN = local(MONDAY, "10:00")
ONE_DAY = timedelta(days=1)


def listed(services: Services, business: SomeBusiness, **wanted: Any) -> list[AppointmentDetails]:
    """The first page."""
    page = services.scheduling.list_appointments(business.id, AppointmentFilter(**wanted), PageRequest())
    return list(page.items)


def book(services: Services, business: SomeBusiness, at: str, **changes: Any) -> AppointmentDetails:
    """An appointment on Monday that came over the API."""
    given = {"source": Source.API, **changes}
    return services.scheduling.book_appointment(booking(business, local(MONDAY, at), **given))


def test_a_list_is_in_order_of_time_and_complete_page_by_page(services: Services) -> None:
    """Two resources, so that starts are equal: then by id."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    for at in ("12:00", "09:00", "12:00", "10:30", "09:00"):
        book(services, business, at)
    seen: list[AppointmentDetails] = []
    request: PageRequest | None = PageRequest(limit=2)
    while request is not None:
        page = services.scheduling.list_appointments(business.id, AppointmentFilter(), request)
        seen += page.items
        request = None if page.next_after is None else PageRequest(limit=2, after=page.next_after)
    assert [(it.starts_at, it.id) for it in seen] == sorted((it.starts_at, it.id) for it in seen)
    assert len({it.id for it in seen}) == len(seen) == 5
    assert seen == listed(services, business)


def test_a_range_begins_at_its_first_instant_and_ends_before_its_last(
    services: Services, business: SomeBusiness
) -> None:
    """Half open, like everything about time here."""
    nine, ten, eleven = (book(services, business, at) for at in ("09:00", "10:00", "11:00"))
    assert listed(services, business, from_=ten.starts_at) == [ten, eleven]
    assert listed(services, business, to=ten.starts_at) == [nine]
    assert listed(services, business, from_=nine.starts_at, to=eleven.starts_at) == [nine, ten]


def test_statuses_are_those_asked_for_or_all_that_were_booked(
    services: Services, business: SomeBusiness, engine: Engine
) -> None:
    """Holds, running or ended, are no appointments; nor are those of test calls, unless asked for."""
    hold = services.scheduling.hold_slot(holding(business, TEN))
    gone = book(services, business, "09:00")
    gone = services.scheduling.cancel_appointment(change_of(gone))
    there = book(services, business, "11:00")
    test = insert_appointment(engine, business, local(MONDAY, "13:00"))
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("UPDATE appointments SET is_test = true WHERE id = :id"), {"id": test})
    assert listed(services, business) == [gone, there]
    assert listed(services, business, statuses=(Status.CANCELLED,)) == [gone]
    assert listed(services, business, statuses=(Status.HELD, Status.CONFIRMED)) == [hold, there]
    assert [it.id for it in listed(services, business, include_test=True)] == [gone.id, there.id, test]


def test_a_resource_s_and_a_call_s_appointments_can_be_listed(services: Services) -> None:
    """Another business's are none."""
    business = new_business(services, resources=("Room 1", "Room 2"))
    one, two = business.resources
    call = services.calls.accept_call(incoming_call(business))
    first = book(services, business, "10:00", resource_id=two)
    second = book(services, business, "11:00", resource_id=one, call_id=call.call_id)
    assert listed(services, business, resource_id=two) == [first]
    assert listed(services, business, call_id=call.call_id) == [second]
    assert listed(services, new_business(services), resource_id=two) == []


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("dana", ["Dana Levi", "DANA-Lee Roth"]),
        ("  DANA  LE", ["Dana Levi", "DANA-Lee Roth"]),
        ("Dana Levi", ["Dana Levi"]),
        ("levi", []),
        ("דנה", ["דָּנָה כהן"]),
        ("דָּנָה כ", ["דָּנָה כהן"]),
        ("צ׳ר", ["צ'רלי"]),
        ("jose", ["José Ñandú"]),
        ("%", None),
        ("dana_", ["Dana Levi", "DANA-Lee Roth"]),
    ],
)
def test_a_name_is_found_by_its_beginning(
    services: Services, business: SomeBusiness, typed: str, found: list[str] | None
) -> None:
    """However it is spelt; punctuation is no wildcard."""
    for at, name in zip(
        ("09:00", "10:00", "11:00", "12:00", "13:00"),
        ("Dana Levi", "דָּנָה כהן", "DANA-Lee Roth", "צ'רלי", "José Ñandú"),
        strict=True,
    ):
        book(services, business, at, customer_name=name)
    if found is None:
        with pytest.raises(InvalidInput) as caught:
            listed(services, business, name_begins_with=typed)
        assert caught.value.field == "name"
    else:
        assert [it.customer_name for it in listed(services, business, name_begins_with=typed)] == found


def test_a_number_is_found_whole_or_by_its_last_digits(services: Services, business: SomeBusiness) -> None:
    """As it is dialled in the business's country, or in E.164."""
    first = book(services, business, "09:00", customer_phone="052-123-4567")
    second = book(services, business, "10:00", customer_phone="+972547654567")
    book(services, business, "11:00", customer_phone=None)
    assert (first.customer_phone, second.customer_phone) == ("+972521234567", "+972547654567")
    for phone in ("0521234567", "+972521234567", "+972 (52) 123.4567"):
        assert listed(services, business, phone=phone) == [first]
    assert listed(services, business, phone="0521234568") == []
    assert listed(services, business, phone_ends_with="4567") == [first, second]
    assert listed(services, business, phone_ends_with="1234567") == [first]
    assert listed(services, business, phone_ends_with="999") == []


@pytest.mark.parametrize("country", ["US", "DE", "GB"])
def test_a_local_number_is_of_the_business_s_country(
    services: Services, business: SomeBusiness, engine: Engine, country: str
) -> None:
    """The same digits are other numbers elsewhere."""
    local_form = {"US": "(212) 555-0123", "DE": "030 123456", "GB": "020 7946 0123"}[country]
    stored = {"US": "+12125550123", "DE": "+4930123456", "GB": "+442079460123"}[country]
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("UPDATE businesses SET country = :country"), {"country": country})
    assert book(services, business, "09:00", customer_phone=local_form).customer_phone == stored


@pytest.mark.parametrize("phone", ["", "call me", "0521", "123456", "+999", "052-123-4567 ext 5", "٠٥٢١٢٣٤٥٦٧"])
def test_what_can_t_be_dialled_is_no_customer_s_number(
    services: Services, business: SomeBusiness, phone: str
) -> None:
    """Too short, without its area, with more than a number."""
    with pytest.raises(InvalidInput) as caught:
        book(services, business, "09:00", customer_phone=phone)
    assert caught.value.field == "customer_phone"


def test_a_number_from_a_call_is_taken_as_the_carrier_gives_it(services: Services, business: SomeBusiness) -> None:
    """A caller whose numbering plan is not known here can book."""
    details = book(services, business, "09:00", customer_phone="+999123456789", source=Source.VOICE)
    assert details.customer_phone == "+999123456789"
    assert listed(services, business, phone_ends_with="56789") == [details]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"from_": TEN.replace(tzinfo=None)}, "from"),
        ({"to": TEN.replace(year=9999)}, "to"),
        ({"phone": "x"}, "phone"),
        ({"phone_ends_with": "12"}, "phone_ends_with"),
        ({"phone_ends_with": "1" * 16}, "phone_ends_with"),
        ({"phone_ends_with": "12a"}, "phone_ends_with"),
        ({"name_begins_with": ""}, "name"),
        ({"name_begins_with": "\x00"}, "name"),
        ({"resource_id": 2**63}, "resource_id"),
        ({"call_id": 0}, "call_id"),
    ],
)
def test_a_bad_filter_is_refused_by_name(
    services: Services, business: SomeBusiness, wanted: dict[str, Any], field: str
) -> None:
    """The words of the API."""
    with pytest.raises(InvalidInput) as caught:
        listed(services, business, **wanted)
    assert caught.value.field == field


def test_the_list_of_no_business_is_not_found(services: Services) -> None:
    """Rather than empty."""
    with pytest.raises(NotFound):
        services.scheduling.list_appointments(2**40, AppointmentFilter(), PageRequest())


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"from_": TEN, "to": TEN + ONE_DAY}, "appointments_business_id_starts_at_idx"),
        ({"name_begins_with": "Name 7 of"}, "appointments_business_id_name_key_starts_at_idx"),
        ({"phone_ends_with": "00777"}, "appointments_business_id_phone_reversed_starts_at_idx"),
        ({"phone": "+972500000777"}, "appointments_business_id_phone_reversed_starts_at_idx"),
    ],
)
def test_a_search_reads_what_it_returns(
    services: Services, engine: Engine, wanted: dict[str, Any], index: str
) -> None:
    """By an index under row security, among some thousands of rows."""
    business = new_business(services)
    _fill(engine, business, 5000)
    found = listed(services, business, **wanted)
    assert 0 < len(found) < 100
    plan = _plan_of(services, engine, business, wanted)
    assert index in plan
    assert "Rows Removed by Filter" not in plan
    assert "Seq Scan" not in plan


def _fill(engine: Engine, business: SomeBusiness, count: int) -> None:
    with as_tenant(engine, business.id) as connection:
        connection.execute(
            text(
                """
                INSERT INTO appointments (business_id, number, resource_id, starts_at, ends_at, buffer_before_min,
                    buffer_after_min, footprint, status, source, customer_name, name_key, customer_phone,
                    phone_reversed, created_at)
                SELECT :business_id, 5000 + n, :resource_id, t, t + interval '30 min', 0, 0,
                    tstzrange(t, t + interval '30 min'), 'confirmed', 'api', 'x', 'name ' || n || ' of many',
                    '+9725' || lpad(n::text, 8, '0'), reverse('9725' || lpad(n::text, 8, '0')), now()
                FROM generate_series(1, :count) n,
                    LATERAL (SELECT timestamptz '2026-11-01 00:00+02' + n * interval '1 h' AS t) s
                """
            ),
            {"business_id": business.id, "resource_id": business.resources[0], "count": count},
        )
        connection.execute(text("ANALYZE appointments"))


def _plan_of(services: Services, engine: Engine, business: SomeBusiness, wanted: dict[str, Any]) -> str:
    """How PostgreSQL answers the list's own statement."""
    from sqlalchemy import event

    plans: list[str] = []

    def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if "FROM appointments" in statement:
            cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", parameters)
            plans.append("\n".join(line for (line,) in cursor.fetchall()))

    event.listen(engine, "before_cursor_execute", explain)
    try:
        listed(services, business, **wanted)
    finally:
        event.remove(engine, "before_cursor_execute", explain)
    return plans[-1]
