"""Resources, slot policies and date overrides."""

from alembic import op

from migrations.tenancy import protect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RESOURCES = """
CREATE TABLE resources (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (business_id, id)
)
"""

# NULLS NOT DISTINCT would need PostgreSQL 15: one partial index for the business's own row instead.
SLOT_POLICIES = """
CREATE TABLE slot_policies (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    resource_id bigint,
    policy jsonb NOT NULL CHECK (jsonb_typeof(policy) = 'object'),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (business_id, id),
    UNIQUE (business_id, resource_id),
    FOREIGN KEY (business_id, resource_id) REFERENCES resources (business_id, id)
)
"""

DATE_OVERRIDES = """
CREATE TABLE date_overrides (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    resource_id bigint,
    day date NOT NULL,
    windows jsonb NOT NULL CHECK (jsonb_typeof(windows) = 'array'),
    PRIMARY KEY (business_id, id),
    UNIQUE (business_id, resource_id, day),
    FOREIGN KEY (business_id, resource_id) REFERENCES resources (business_id, id)
)
"""


def upgrade() -> None:
    op.execute(RESOURCES)
    op.execute(SLOT_POLICIES)
    op.execute(DATE_OVERRIDES)
    op.execute(
        "CREATE UNIQUE INDEX slot_policies_of_business_idx ON slot_policies (business_id)"
        " WHERE resource_id IS NULL"
    )
    op.execute(
        "CREATE UNIQUE INDEX date_overrides_of_business_idx ON date_overrides (business_id, day)"
        " WHERE resource_id IS NULL"
    )
    for table in ("resources", "slot_policies", "date_overrides"):
        protect(table)


def downgrade() -> None:
    op.execute("DROP TABLE date_overrides, slot_policies, resources")
