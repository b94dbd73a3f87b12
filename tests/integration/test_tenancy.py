"""Row security: what the application's role sees and writes without a tenant, and with another one."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from app.domain.calls import TimelineEntry
from app.models import db
from app.services import Services
from tests.factories import MONDAY, SomeBusiness, as_tenant, booking, incoming_call, local, new_business

ROOT = Path(__file__).resolve().parents[2]
LOOKUPS = {
    "all_tenants",
    "business_of_api_key",
    "business_of_call",
    "business_of_email",
    "business_of_feed",
    "business_of_media_token",
    "business_of_number",
    "business_of_session",
    "due_deliveries",
    "tenants_after",
}
SHARED = {"rate_limits"}
"""Tables of no tenant: hashes and counts."""
TEN = local(MONDAY, "10:00")

_TENANT_TABLES = """
    SELECT c.relname FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND (
        c.relname = 'businesses' OR EXISTS (
            SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'business_id'))
"""

FILL = (
    "INSERT INTO appointment_types (business_id, name, duration_min) SELECT id, 'Long', 60 FROM businesses",
    "INSERT INTO appointment_type_resources (business_id, appointment_type_id, resource_id)"
    " SELECT t.business_id, t.id, r.id FROM appointment_types t, resources r LIMIT 1",
    "INSERT INTO blocks (business_id, starts_at, ends_at)"
    " SELECT id, now(), now() + interval '1 h' FROM businesses",
    "INSERT INTO api_keys (business_id, name, prefix, key_sha256, scopes, created_by, created_at)"
    " SELECT id, 'x', 'x', :secret, '{}', 'x', now() FROM businesses",
    "INSERT INTO idempotency_keys (business_id, owner, key, request_sha256, created_at)"
    " SELECT id, 'x', 'x', :secret, now() FROM businesses",
    "INSERT INTO users (business_id, email, name, role, password_hash, created_at)"
    " SELECT id, :id || '@example.com', 'x', 'owner', 'x', now() FROM businesses",
    "INSERT INTO user_sessions (business_id, token_sha256, user_id, created_at, last_seen_at, expires_at)"
    " SELECT business_id, :secret, id, now(), now(), now() FROM users",
    "INSERT INTO webhook_endpoints (business_id, url, event_types, secret, created_at)"
    " SELECT id, 'x', '{}', 'x', now() FROM businesses",
    "INSERT INTO webhook_deliveries (business_id, endpoint_id, event_id, state, created_at)"
    " SELECT e.business_id, w.id, e.id, 'failed', now() FROM webhook_endpoints w, events e LIMIT 1",
    "INSERT INTO messages (business_id, body, created_at) SELECT id, 'x', now() FROM businesses",
    "INSERT INTO calendar_feeds (business_id, name, token_sha256, created_at)"
    " SELECT id, 'x', :secret, now() FROM businesses",
)
"""A row in each table that a booking leaves empty, under row security: each SELECT sees one business."""


def tenant_tables(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.scalars(text(_TENANT_TABLES)))


def count(engine: Engine, tenant: int | None, table: str) -> int:
    with as_tenant(engine, tenant) as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - our tables


@pytest.fixture
def full(services: Services, engine: Engine, business: SomeBusiness) -> SomeBusiness:
    """A business with a row in every table."""
    services.businesses.set_date_override(business.id, MONDAY, [["09:00", "12:00"]])
    call = services.calls.accept_call(incoming_call(business))
    services.calls.append_timeline(business.id, call.call_id, [TimelineEntry(0, "call_started")])
    services.scheduling.book_appointment(booking(business, TEN, call_id=call.call_id))
    with as_tenant(engine, business.id) as connection:
        for statement in FILL:
            connection.execute(text(statement), {"secret": secrets.token_bytes(32), "id": secrets.token_hex(8)})
    return business


def test_the_role_can_t_pass_row_security(engine: Engine) -> None:
    """Else every other test here would mean nothing."""
    with engine.connect() as connection:
        role = connection.execute(
            text("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        ).one()
        owners = connection.scalars(
            text("SELECT DISTINCT tableowner = current_user FROM pg_tables WHERE schemaname = 'public'")
        ).all()
    assert tuple(role) == (False, False)
    assert owners == [True]


def test_every_table_of_the_models_is_a_tenant_s(engine: Engine) -> None:
    """So that the walk below leaves none out."""
    assert tenant_tables(engine) == sorted(set(db.metadata.tables) - SHARED)


def test_without_a_tenant_every_table_is_empty(engine: Engine, full: SomeBusiness) -> None:
    """Each has a row, seen by its own tenant."""
    tables = tenant_tables(engine)
    assert {table: count(engine, None, table) for table in tables} == dict.fromkeys(tables, 0)
    assert [table for table in tables if not count(engine, full.id, table)] == []


def test_another_tenant_s_rows_are_not_there(services: Services, engine: Engine, full: SomeBusiness) -> None:
    """A business with nothing but itself sees nothing but itself."""
    other = new_business(services, resources=())
    seen = {table: count(engine, other.id, table) for table in tenant_tables(engine)}
    own = ("businesses", "business_phone_numbers", "calendars", "slot_policies")
    assert seen == {**dict.fromkeys(seen, 0), **dict.fromkeys(own, 1)}


def test_a_setting_that_was_emptied_is_no_tenant(engine: Engine, full: SomeBusiness) -> None:
    """After a transaction PostgreSQL leaves an empty text, not NULL."""
    with engine.begin() as connection:
        connection.execute(text("SELECT set_config('app.business_id', '', true)"))
        assert connection.execute(text("SELECT count(*) FROM businesses")).scalar_one() == 0


def test_another_tenant_s_row_can_t_be_written(services: Services, engine: Engine, full: SomeBusiness) -> None:
    """Not inserted, not taken over; an update or delete finds nothing."""
    other = new_business(services)
    insert = text("INSERT INTO resources (business_id, name) VALUES (:id, 'Room 2')")
    move = text("UPDATE resources SET business_id = :id")
    for statement in (insert, move):
        with (
            as_tenant(engine, other.id) as connection,
            pytest.raises(ProgrammingError, match="row-level security"),
        ):
            connection.execute(statement, {"id": full.id})
    with as_tenant(engine, other.id) as connection:
        changed = connection.execute(
            text("UPDATE appointments SET notes = 'x' WHERE business_id = :id"), {"id": full.id}
        )
        assert changed.rowcount == 0
        assert connection.execute(text("DELETE FROM call_events")).rowcount == 0
    assert count(engine, full.id, "call_events") == 1


def test_without_a_tenant_nothing_can_be_written(engine: Engine, full: SomeBusiness) -> None:
    """WITH CHECK holds for a forgotten tenant too."""
    with as_tenant(engine, None) as connection, pytest.raises(ProgrammingError, match="row-level security"):
        connection.execute(text("INSERT INTO resources (business_id, name) VALUES (:id, 'x')"), {"id": full.id})


def test_the_system_flag_opens_reading_only(engine: Engine, full: SomeBusiness) -> None:
    """Whatever a lookup function did, it could not write across tenants."""
    with as_tenant(engine, None) as connection:
        connection.execute(text("SELECT set_config('app.system', 'on', true)"))
        assert connection.execute(text("SELECT count(*) FROM resources")).scalar_one() > 0
        assert connection.execute(text("UPDATE resources SET active = false")).rowcount == 0
        assert connection.execute(text("DELETE FROM call_events")).rowcount == 0
        with pytest.raises(ProgrammingError, match="row-level security"):
            connection.execute(
                text("INSERT INTO resources (business_id, name) VALUES (:id, 'x')"), {"id": full.id}
            )


@pytest.mark.parametrize(
    ("table", "columns", "values"),
    [
        ("slot_policies", "resource_id, policy", ":resource, '{}'"),
        ("date_overrides", "resource_id, day, windows", ":resource, '2026-11-23', '[]'"),
        ("call_events", "call_id, seq, at_ms, kind, data", ":call, 99, 0, 'x', '{}'"),
        (
            "media_tokens",
            "call_id, token_sha256, call_sid, expires_at",
            ":call, decode(repeat('00', 32), 'hex'), 'CA1', now()",
        ),
        (
            "appointment_changes",
            "appointment_id, kind, data, changed_at",
            ":appointment, 'x', '{}', now()",
        ),
        ("blocks", "resource_id, starts_at, ends_at", ":resource, now(), now() + interval '1 h'"),
        (
            "appointment_type_resources",
            "appointment_type_id, resource_id",
            "(SELECT id FROM appointment_types), :resource",
        ),
        (
            "user_sessions",
            "user_id, token_sha256, created_at, last_seen_at, expires_at",
            ":user, decode(repeat('00', 32), 'hex'), now(), now(), now()",
        ),
        ("events", "message_id, type, payload, appointment_id, created_at", "'x', 'x', '{}', :appointment, now()"),
        ("events", "message_id, type, payload, call_id, created_at", "'x', 'x', '{}', :call, now()"),
        (
            "webhook_deliveries",
            "endpoint_id, event_id, state, created_at",
            ":endpoint, :event, 'failed', now()",
        ),
        ("messages", "call_id, body, created_at", ":call, 'x', now()"),
        (
            "calendar_feeds",
            "resource_id, name, token_sha256, created_at",
            ":resource, 'x', decode(repeat('00', 32), 'hex'), now()",
        ),
        (
            "appointments",
            "number, resource_id, starts_at, ends_at, buffer_before_min, buffer_after_min, footprint, status,"
            " source, customer_name, created_at",
            "1, :resource, '2030-01-01 10:00Z', '2030-01-01 11:00Z', 0, 0,"
            " tstzrange('2030-01-01 10:00Z', '2030-01-01 11:00Z'), 'confirmed', 'api', 'x', now()",
        ),
    ],
)
def test_a_reference_to_another_tenant_s_row_is_refused(
    services: Services, engine: Engine, full: SomeBusiness, table: str, columns: str, values: str
) -> None:
    """Foreign keys are checked without row security, so they are composite."""
    other = new_business(services)
    with as_tenant(engine, other.id) as connection:
        connection.execute(text(FILL[0]))
    ids = {"resource": full.resources[0], "own": other.id}
    with as_tenant(engine, full.id) as connection:
        ids["call"] = connection.execute(text("SELECT id FROM calls")).scalar_one()
        ids["appointment"] = connection.execute(text("SELECT id FROM appointments")).scalar_one()
        ids["user"] = connection.execute(text("SELECT id FROM users")).scalar_one()
        ids["event"] = connection.execute(text("SELECT id FROM events")).scalar_one()
        ids["endpoint"] = connection.execute(text("SELECT id FROM webhook_endpoints")).scalar_one()
    statement = text(f"INSERT INTO {table} (business_id, {columns}) VALUES (:own, {values})")  # noqa: S608 - as above
    with as_tenant(engine, other.id) as connection, pytest.raises(IntegrityError, match="foreign key"):
        connection.execute(statement, ids)


def test_every_tenant_table_is_forced_and_has_the_two_policies(engine: Engine) -> None:
    """The tenant's for all, the lookups' for reading; nothing else opens a row."""
    with engine.connect() as connection:
        forced = connection.scalars(
            text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity ORDER BY 1")
        ).all()
        policies = connection.execute(
            text("SELECT tablename, policyname, cmd, qual, with_check FROM pg_policies ORDER BY 1, 2")
        ).all()
    assert forced == tenant_tables(engine)
    assert [(policy.tablename, policy.policyname, policy.cmd) for policy in policies] == [
        policy
        for table in tenant_tables(engine)
        for policy in ((table, "lookup", "SELECT"), (table, "tenant", "ALL"))
    ]
    for policy in policies:
        assert ("app.system" in policy.qual) == (policy.policyname == "lookup")
        assert policy.with_check == (policy.qual if policy.policyname == "tenant" else None)


def test_only_the_named_lookups_use_the_system_flag(engine: Engine) -> None:
    """In the database these functions, in the sources the migrations that make them."""
    with engine.connect() as connection:
        functions = connection.scalars(text("SELECT proname FROM pg_proc WHERE prosrc LIKE '%app.system%'")).all()
    assert set(functions) == LOOKUPS
    sources = [
        path for folder in ("app", "worker", "bin") for path in (ROOT / folder).rglob("*") if path.is_file()
    ]
    assert len(sources) > 50
    assert [path for path in sources if b"app.system" in path.read_bytes()] == []


def test_a_lookup_leaves_the_flag_off(services: Services, engine: Engine, full: SomeBusiness) -> None:
    """Found or not, the rest of the transaction sees nothing."""
    for number in (full.phone_number, "+97299999999"):
        with as_tenant(engine, None) as connection:
            connection.execute(text("SELECT business_of_number(:number)"), {"number": number})
            assert connection.execute(text("SELECT count(*) FROM businesses")).scalar_one() == 0
