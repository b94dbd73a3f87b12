"""What PostgreSQL reads for the queries that are asked all day, on a million appointments, as the app's role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from app.domain.appointments import AppointmentFilter, FindAvailability
from app.domain.pages import PageRequest
from app.services import Services
from tests.big_calendar import RESOURCES, STARTS_A_DAY, days_filled, fill
from tests.factories import SomeBusiness, as_tenant, local

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

A_DAY = RESOURCES * STARTS_A_DAY
DAYS = 31


@dataclass(frozen=True)
class Read:
    """One scan of the table `appointments`: rows that it gave, rows that it read and threw away, how."""

    returned: int
    thrown_away: int
    node: str


@pytest.fixture(scope="module")
def big(engine: Engine, app: Any) -> SomeBusiness:
    """A business with 100,000 of 1,000,000 appointments."""
    return fill(engine, app.extensions["moed"])


def reads_of(engine: Engine, business: SomeBusiness, work: Callable[[], object]) -> list[Read]:
    """Run `work`, then let PostgreSQL explain each of its queries on appointments, as the tenant."""
    asked: list[tuple[str, Any]] = []

    def remember(_: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if "FROM appointments" in statement:
            asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", remember)
    try:
        work()
    finally:
        event.remove(engine, "before_cursor_execute", remember)
    found = []
    for statement, parameters in asked:
        with as_tenant(engine, business.id) as connection:
            cursor = connection.connection.cursor()
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {statement}", parameters)
            found += list(scans(cursor.fetchone()[0][0]["Plan"]))
    assert found
    return found


def scans(node: dict[str, Any]) -> Iterator[Read]:
    """Every scan of appointments in a plan."""
    for child in node.get("Plans", ()):
        yield from scans(child)
    if node.get("Relation Name") == "appointments":
        loops = node["Actual Loops"]
        thrown_away = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        yield Read(round(node["Actual Rows"] * loops), thrown_away * loops, node["Node Type"])


def test_availability_reads_what_it_returns_and_the_day_before(
    engine: Engine, services: Services, big: SomeBusiness
) -> None:
    """31 days in the middle: it returns their blocking rows, and a day's at each end that may reach in."""
    first = days_filled()[0] + timedelta(days=400)
    last = first + timedelta(days=DAYS - 1)
    (read,) = reads_of(
        engine, big, lambda: services.scheduling.list_availability(FindAvailability(big.id, first, last))
    )
    with as_tenant(engine, big.id) as connection:
        inside = connection.execute(
            text(
                "SELECT count(*) FROM appointments WHERE status = 'confirmed'"
                " AND starts_at >= :since AND starts_at < :until"
            ),
            {"since": local(first, "00:00"), "until": local(last + timedelta(days=1), "00:00")},
        ).scalar_one()
    assert inside > 20 * A_DAY * 0.85
    assert inside <= read.returned <= inside + 2 * A_DAY
    assert read.thrown_away <= A_DAY
    assert "Seq Scan" not in read.node


def test_a_day_s_list_reads_the_day(engine: Engine, services: Services, big: SomeBusiness) -> None:
    """Cancelled ones too, and not one row more than the page and its end."""
    day = days_filled()[0] + timedelta(weeks=43)
    wanted = AppointmentFilter(from_=local(day, "00:00"), to=local(day + timedelta(days=1), "00:00"))
    (read,) = reads_of(
        engine, big, lambda: services.scheduling.list_appointments(big.id, wanted, PageRequest(limit=200))
    )
    assert (read.returned, read.thrown_away) == (A_DAY, 0)


@pytest.mark.parametrize("wanted", [{"phone_ends_with": "4321"}, {"name_begins_with": "Name 432"}])
def test_a_search_reads_what_fits(
    engine: Engine, services: Services, big: SomeBusiness, wanted: dict[str, str]
) -> None:
    """By an index range: the last digits of a number, the beginning of a name."""
    found = reads_of(
        engine,
        big,
        lambda: services.scheduling.list_appointments(big.id, AppointmentFilter(**wanted), PageRequest(limit=200)),
    )
    assert 0 < sum(read.returned + read.thrown_away for read in found) <= 1200
