"""Appointment types, blocks, holds without a name, what appointments are searched by, and row versions."""

from alembic import op

from migrations.tenancy import protect

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BUSINESSES = """
ALTER TABLE businesses
    ADD COLUMN country text NOT NULL DEFAULT 'IL' CHECK (country ~ '^[A-Z]{2}$'),
    ADD COLUMN transcripts_kept boolean NOT NULL DEFAULT true,
    ADD COLUMN transcript_retention_days integer CHECK (transcript_retention_days BETWEEN 1 AND 3650),
    ADD COLUMN version integer NOT NULL DEFAULT 1
"""

APPOINTMENT_TYPES = """
CREATE TABLE appointment_types (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    duration_min integer NOT NULL CHECK (duration_min BETWEEN 1 AND 1440),
    buffer_before_min integer CHECK (buffer_before_min BETWEEN 0 AND 1440),
    buffer_after_min integer CHECK (buffer_after_min BETWEEN 0 AND 1440),
    active boolean NOT NULL DEFAULT true,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (business_id, id)
)
"""

# No row for a type: every resource takes it.
APPOINTMENT_TYPE_RESOURCES = """
CREATE TABLE appointment_type_resources (
    business_id bigint NOT NULL,
    appointment_type_id bigint NOT NULL,
    resource_id bigint NOT NULL,
    PRIMARY KEY (business_id, appointment_type_id, resource_id),
    FOREIGN KEY (business_id, appointment_type_id) REFERENCES appointment_types (business_id, id),
    FOREIGN KEY (business_id, resource_id) REFERENCES resources (business_id, id)
)
"""

BLOCKS = """
CREATE TABLE blocks (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    resource_id bigint,
    starts_at timestamptz NOT NULL CHECK (isfinite(starts_at)),
    ends_at timestamptz NOT NULL CHECK (isfinite(ends_at)),
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (business_id, id),
    FOREIGN KEY (business_id, resource_id) REFERENCES resources (business_id, id),
    CHECK (ends_at > starts_at)
)
"""

# A hold has no customer yet. `name_key` and `phone_reversed` are what searches compare, by range: under row
# security LIKE can't use an index (it is not leakproof), and >= and < of collation C can.
APPOINTMENTS = """
ALTER TABLE appointments
    DROP CONSTRAINT appointments_customer_name_check,
    ADD CONSTRAINT appointments_customer_name_check CHECK (
        length(customer_name) <= 200
        AND (customer_name <> '' OR status IN ('held', 'expired', 'cancelled'))
    ),
    ADD COLUMN appointment_type_id bigint,
    ADD COLUMN name_key text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN phone_reversed text COLLATE "C",
    ADD COLUMN cancel_reason text,
    ADD COLUMN is_test boolean NOT NULL DEFAULT false,
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT appointments_business_id_appointment_type_id_fkey
        FOREIGN KEY (business_id, appointment_type_id) REFERENCES appointment_types (business_id, id)
"""

# The older rows' name_key is the plainest form; whoever is renamed gets the whole normalisation.
BACKFILL = """
UPDATE appointments SET name_key = lower(customer_name), phone_reversed = reverse(ltrim(customer_phone, '+'))
"""

INDEXES = (
    "CREATE INDEX appointments_blocking_idx ON appointments (business_id, starts_at)"
    " WHERE status IN ('held', 'pending', 'confirmed')",
    "CREATE INDEX appointments_business_id_name_key_starts_at_idx"
    " ON appointments (business_id, name_key, starts_at)",
    "CREATE INDEX appointments_business_id_phone_reversed_starts_at_idx"
    " ON appointments (business_id, phone_reversed, starts_at)",
    "CREATE INDEX appointments_business_id_call_id_idx ON appointments (business_id, call_id)"
    " WHERE call_id IS NOT NULL",
    "CREATE INDEX appointments_held_idx ON appointments (business_id, expires_at) WHERE status = 'held'",
    "CREATE INDEX blocks_business_id_ends_at_idx ON blocks (business_id, ends_at)",
    "CREATE INDEX calls_business_id_created_at_id_idx ON calls (business_id, created_at, id)",
    "CREATE INDEX calls_business_id_caller_number_idx ON calls (business_id, caller_number)",
)


def upgrade() -> None:
    op.execute(BUSINESSES)
    op.execute("ALTER TABLE resources ADD COLUMN version integer NOT NULL DEFAULT 1")
    op.execute("ALTER TABLE slot_policies ADD COLUMN version integer NOT NULL DEFAULT 1")
    op.execute(
        "ALTER TABLE date_overrides ADD COLUMN name text NOT NULL DEFAULT '',"
        " ADD COLUMN imported boolean NOT NULL DEFAULT false"
    )
    op.execute("ALTER TABLE appointment_changes ADD COLUMN actor text")
    op.execute(APPOINTMENT_TYPES)
    op.execute(APPOINTMENT_TYPE_RESOURCES)
    op.execute(BLOCKS)
    op.execute(APPOINTMENTS)
    _for_every_business(BACKFILL)
    for statement in INDEXES:
        op.execute(statement)
    for table in ("appointment_types", "appointment_type_resources", "blocks"):
        protect(table)


def downgrade() -> None:
    op.execute(
        "DROP INDEX calls_business_id_caller_number_idx, calls_business_id_created_at_id_idx,"
        " appointments_business_id_call_id_idx, appointments_blocking_idx, appointments_held_idx"
    )
    op.execute(
        """
        ALTER TABLE appointments
            DROP CONSTRAINT appointments_customer_name_check,
            ADD CONSTRAINT appointments_customer_name_check CHECK (length(customer_name) BETWEEN 1 AND 200)
                NOT VALID,
            DROP COLUMN appointment_type_id, DROP COLUMN name_key, DROP COLUMN phone_reversed,
            DROP COLUMN cancel_reason, DROP COLUMN is_test, DROP COLUMN version, DROP COLUMN updated_at
        """
    )
    op.execute("DROP TABLE blocks, appointment_type_resources, appointment_types")
    op.execute("ALTER TABLE appointment_changes DROP COLUMN actor")
    op.execute("ALTER TABLE date_overrides DROP COLUMN name, DROP COLUMN imported")
    op.execute("ALTER TABLE slot_policies DROP COLUMN version")
    op.execute("ALTER TABLE resources DROP COLUMN version")
    op.execute(
        "ALTER TABLE businesses DROP COLUMN country, DROP COLUMN transcripts_kept,"
        " DROP COLUMN transcript_retention_days, DROP COLUMN version"
    )


def _for_every_business(statement: str) -> None:
    """Row security holds for migrations too: the rows of one tenant after another."""
    op.execute(
        f"""
        DO $$
        DECLARE
            tenant bigint;
            tenants bigint[];
        BEGIN
            PERFORM set_config('app.system', 'on', true);
            SELECT array_agg(id) INTO tenants FROM businesses;
            PERFORM set_config('app.system', '', true);
            FOREACH tenant IN ARRAY coalesce(tenants, '{{}}') LOOP
                PERFORM set_config('app.business_id', tenant::text, true);
                {statement};
            END LOOP;
            PERFORM set_config('app.business_id', '', true);
        END
        $$
        """  # noqa: S608 - a constant of this file
    )
