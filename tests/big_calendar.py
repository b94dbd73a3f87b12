"""A database with a million appointments, for query plans and for `bin/bench`."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import Engine, text

from app.services import Services
from tests.factories import SomeBusiness, as_tenant, new_business

RESOURCES = 5
STARTS_A_DAY = 16
APPOINTMENTS_EACH = 100_000
FIRST_DAY = date(2026, 1, 4)
"""A Sunday."""

# Five people whose every half hour from Sunday to Thursday is taken, for five years; one appointment in ten is
# cancelled, so free again. `n` counts the starts of one of them.
_FILL = text(
    """
    INSERT INTO appointments (business_id, number, resource_id, starts_at, ends_at, buffer_before_min,
        buffer_after_min, footprint, status, source, customer_name, name_key, customer_phone, phone_reversed,
        created_at)
    SELECT :business_id, 2000 + row_number() OVER (), r.id, begins, begins + interval '30 min', 0,
        0, tstzrange(begins, begins + interval '30 min'),
        CASE WHEN n % 10 = 9 THEN 'cancelled' ELSE 'confirmed' END, 'api', 'Name ' || n, 'name ' || n,
        phone, reverse(phone), now()
    FROM resources r
    CROSS JOIN generate_series(0, CAST(:per_resource AS integer) - 1) AS n
    CROSS JOIN LATERAL (
        SELECT '+97252' || lpad((n % 10000000)::text, 7, '0') AS phone,
            (CAST(:first_day AS date) + (n / :a_day / 5 * 7 + n / :a_day % 5)
                + time '09:00' + (n % :a_day) * interval '30 min') AT TIME ZONE 'Asia/Jerusalem' AS begins
    ) AS drawn
    """
)


def fill(engine: Engine, services: Services, businesses: int = 10) -> SomeBusiness:
    """Make as many businesses of `APPOINTMENTS_EACH` appointments on `RESOURCES` resources; the last of them."""
    names = [f"Room {number}" for number in range(1, RESOURCES + 1)]
    for _ in range(businesses):
        business = new_business(services, resources=names)
        with as_tenant(engine, business.id) as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(
                _FILL,
                {
                    "business_id": business.id,
                    "per_resource": APPOINTMENTS_EACH // RESOURCES,
                    "first_day": FIRST_DAY,
                    "a_day": STARTS_A_DAY,
                },
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE appointments"))
        connection.execute(text("RESET statement_timeout"))
    return business


def days_filled() -> tuple[date, date]:
    """The first and the last day with appointments."""
    return FIRST_DAY, FIRST_DAY + timedelta(weeks=APPOINTMENTS_EACH // RESOURCES // STARTS_A_DAY // 5)
