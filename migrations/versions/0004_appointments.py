"""Appointments, which can't overlap on one resource, and their audit trail."""

from alembic import op

from migrations.tenancy import protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The footprint is written by the service and checked here: as a generated column it is refused, because
# `timestamptz - interval` is not immutable. Over resource_id stands int8range, so that the EXCLUDE needs no
# btree_gist; resource ids are unique across tenants (one identity), so business_id need not be in it.
APPOINTMENTS = """
CREATE TABLE appointments (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    number bigint NOT NULL CHECK (number > 0),
    resource_id bigint NOT NULL,
    starts_at timestamptz NOT NULL CHECK (isfinite(starts_at)),
    ends_at timestamptz NOT NULL CHECK (isfinite(ends_at)),
    buffer_before_min integer NOT NULL CHECK (buffer_before_min >= 0),
    buffer_after_min integer NOT NULL CHECK (buffer_after_min >= 0),
    footprint tstzrange NOT NULL,
    status text NOT NULL CHECK (
        status IN ('held', 'pending', 'confirmed', 'completed', 'cancelled', 'no_show', 'expired')
    ),
    expires_at timestamptz,
    overbooked boolean NOT NULL DEFAULT false,
    source text NOT NULL CHECK (source IN ('voice', 'api', 'dashboard')),
    call_id bigint,
    idempotency_key text,
    idempotency_sha256 bytea,
    customer_name text NOT NULL CHECK (length(customer_name) BETWEEN 1 AND 200),
    customer_phone text,
    notes text NOT NULL DEFAULT '',
    confirmed_to_caller_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (business_id, id),
    UNIQUE (business_id, number),
    UNIQUE (business_id, idempotency_key),
    FOREIGN KEY (business_id, resource_id) REFERENCES resources (business_id, id),
    FOREIGN KEY (business_id, call_id) REFERENCES calls (business_id, id),
    CHECK (ends_at > starts_at),
    CHECK ((status = 'held') = (expires_at IS NOT NULL)),
    CHECK ((idempotency_key IS NULL) = (idempotency_sha256 IS NULL)),
    CONSTRAINT appointments_footprint_check CHECK (
        footprint = tstzrange(
            starts_at - make_interval(mins => buffer_before_min),
            ends_at + make_interval(mins => buffer_after_min)
        )
    ),
    CONSTRAINT appointments_footprint_length_check CHECK (
        upper(footprint) - lower(footprint) <= interval '24 h'
    ),
    CONSTRAINT appointments_never_overlap EXCLUDE USING gist (
        int8range(resource_id, resource_id, '[]') WITH &&, footprint WITH &&
    ) WHERE (status IN ('held', 'pending', 'confirmed') AND NOT overbooked)
)
"""

APPOINTMENT_CHANGES = """
CREATE TABLE appointment_changes (
    business_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    appointment_id bigint NOT NULL,
    kind text NOT NULL,
    source text,
    data jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (business_id, id),
    FOREIGN KEY (business_id, appointment_id) REFERENCES appointments (business_id, id)
)
"""


def upgrade() -> None:
    op.execute(APPOINTMENTS)
    op.execute(APPOINTMENT_CHANGES)
    op.execute("CREATE INDEX appointments_business_id_starts_at_idx ON appointments (business_id, starts_at)")
    op.execute(
        "CREATE INDEX appointment_changes_business_id_appointment_id_idx"
        " ON appointment_changes (business_id, appointment_id)"
    )
    protect("appointments")
    protect("appointment_changes")


def downgrade() -> None:
    op.execute("DROP TABLE appointment_changes, appointments")
