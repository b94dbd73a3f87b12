"""What happened, for other programs: events, the endpoints that want them, and each delivery."""

from alembic import op

from migrations.tenancy import protect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

EVENTS = """
CREATE TABLE events (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    message_id text NOT NULL UNIQUE,
    type text NOT NULL,
    payload jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
    appointment_id bigint,
    call_id bigint,
    message_row_id bigint,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (business_id, id),
    FOREIGN KEY (business_id, appointment_id) REFERENCES appointments (business_id, id),
    FOREIGN KEY (business_id, call_id) REFERENCES calls (business_id, id)
)
"""

WEBHOOK_ENDPOINTS = """
CREATE TABLE webhook_endpoints (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    url text NOT NULL CHECK (length(url) BETWEEN 1 AND 2000),
    description text NOT NULL DEFAULT '',
    event_types text[] NOT NULL,
    secret text NOT NULL,
    previous_secret text,
    previous_secret_until timestamptz,
    enabled boolean NOT NULL DEFAULT true,
    disabled_reason text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (business_id, id)
)
"""

WEBHOOK_DELIVERIES = """
CREATE TABLE webhook_deliveries (
    business_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    endpoint_id bigint NOT NULL,
    event_id bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed', 'dropped')),
    next_attempt_at timestamptz,
    attempt_count integer NOT NULL DEFAULT 0,
    attempts jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(attempts) = 'array'),
    delivered_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (business_id, id),
    UNIQUE (business_id, endpoint_id, event_id),
    FOREIGN KEY (business_id, endpoint_id) REFERENCES webhook_endpoints (business_id, id),
    FOREIGN KEY (business_id, event_id) REFERENCES events (business_id, id),
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
)
"""

# The only way in which the sender looks across tenants; it then works in one tenant after another. `busy` are
# endpoints that have enough under way: the rest is not to wait behind theirs.
DUE_DELIVERIES = """
CREATE FUNCTION due_deliveries(due_before timestamptz, most integer, busy bigint[])
RETURNS TABLE (business_id bigint, delivery_id bigint, endpoint_id bigint, next_attempt_at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.system', 'on', true);
    RETURN QUERY
        SELECT d.business_id, d.id, d.endpoint_id, d.next_attempt_at FROM webhook_deliveries d
        WHERE d.state = 'pending' AND d.next_attempt_at <= due_before AND d.endpoint_id <> ALL (busy)
        ORDER BY d.next_attempt_at LIMIT most;
    PERFORM set_config('app.system', '', true);
END
$$
"""

# For housekeeping, which then works in one tenant after another. 0 is the operator's.
ALL_TENANTS = """
CREATE FUNCTION all_tenants() RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.system', 'on', true);
    RETURN QUERY SELECT id FROM businesses ORDER BY id;
    PERFORM set_config('app.system', '', true);
END
$$
"""

# The operator's list of businesses, a page at a time. What it tells of each is read as that tenant.
TENANTS_AFTER = """
CREATE FUNCTION tenants_after(after_at timestamptz, after_id bigint, most integer)
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.system', 'on', true);
    RETURN QUERY
        SELECT b.id FROM businesses b
        WHERE after_at IS NULL OR (b.created_at, b.id) > (after_at, after_id)
        ORDER BY b.created_at, b.id LIMIT most;
    PERFORM set_config('app.system', '', true);
END
$$
"""


def upgrade() -> None:
    for table in (EVENTS, WEBHOOK_ENDPOINTS, WEBHOOK_DELIVERIES):
        op.execute(table)
    op.execute(
        "CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (next_attempt_at) WHERE state = 'pending'"
    )
    op.execute(
        "CREATE INDEX webhook_deliveries_business_id_created_at_id_idx"
        " ON webhook_deliveries (business_id, created_at, id)"
    )
    op.execute("CREATE INDEX events_business_id_created_at_idx ON events (business_id, created_at)")
    op.execute("CREATE INDEX events_business_id_appointment_id_idx ON events (business_id, appointment_id)")
    op.execute("CREATE INDEX events_business_id_call_id_idx ON events (business_id, call_id)")
    for table in ("events", "webhook_endpoints", "webhook_deliveries"):
        protect(table)
    op.execute(DUE_DELIVERIES)
    op.execute(ALL_TENANTS)
    op.execute(TENANTS_AFTER)


def downgrade() -> None:
    op.execute(
        "DROP FUNCTION due_deliveries(timestamptz, integer, bigint[]), all_tenants(),"
        " tenants_after(timestamptz, bigint, integer)"
    )
    op.execute("DROP TABLE webhook_deliveries, webhook_endpoints, events")
