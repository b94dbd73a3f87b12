"""Who may do what: API keys, users and their sessions; what has been asked before and how often."""

from alembic import op

from migrations.tenancy import protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# business_id 0 is the operator's: its keys, and what was asked with them, belong to no business. So these two
# tables have no foreign key to businesses.
API_KEYS = """
CREATE TABLE api_keys (
    business_id bigint NOT NULL CHECK (business_id >= 0),
    id bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    prefix text NOT NULL,
    key_sha256 bytea NOT NULL UNIQUE CHECK (length(key_sha256) = 32),
    scopes text[] NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (business_id, id)
)
"""

IDEMPOTENCY_KEYS = """
CREATE TABLE idempotency_keys (
    business_id bigint NOT NULL CHECK (business_id >= 0),
    owner text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_sha256 bytea NOT NULL CHECK (length(request_sha256) = 32),
    status integer,
    headers jsonb,
    body text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (business_id, owner, key),
    CHECK ((status IS NULL) = (body IS NULL))
)
"""

USERS = """
CREATE TABLE users (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    email text NOT NULL CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 254),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    role text NOT NULL CHECK (role IN ('owner', 'receptionist')),
    password_hash text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    last_login_at timestamptz,
    PRIMARY KEY (business_id, id),
    UNIQUE (email)
)
"""

USER_SESSIONS = """
CREATE TABLE user_sessions (
    business_id bigint NOT NULL,
    token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    user_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (business_id, token_sha256),
    FOREIGN KEY (business_id, user_id) REFERENCES users (business_id, id)
)
"""

# Shared by all tenants: a bucket is the SHA-256 of who asks (a credential, an address, a login's e-mail).
RATE_LIMITS = """
CREATE TABLE rate_limits (
    bucket bytea PRIMARY KEY CHECK (length(bucket) = 32),
    window_starts_at timestamptz NOT NULL,
    count integer NOT NULL
)
"""


def lookup(function: str, argument: str, table: str, condition: str) -> str:
    """A function that finds the tenant of a secret or an address (see migration 0001)."""
    return f"""
        CREATE FUNCTION {function}({argument}) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            answer bigint;
        BEGIN
            PERFORM set_config('app.system', 'on', true);
            SELECT business_id INTO answer FROM {table} WHERE {condition};
            PERFORM set_config('app.system', '', true);
            RETURN answer;
        END
        $$
    """  # noqa: S608 - constants of this file


def upgrade() -> None:
    for table in (API_KEYS, IDEMPOTENCY_KEYS, USERS, USER_SESSIONS, RATE_LIMITS):
        op.execute(table)
    op.execute(
        "CREATE INDEX idempotency_keys_business_id_created_at_idx ON idempotency_keys (business_id, created_at)"
    )
    op.execute("CREATE INDEX user_sessions_business_id_user_id_idx ON user_sessions (business_id, user_id)")
    for table in ("api_keys", "idempotency_keys", "users", "user_sessions"):
        protect(table)
    op.execute(lookup("business_of_api_key", "sha256_of_key bytea", "api_keys", "key_sha256 = sha256_of_key"))
    op.execute(
        lookup("business_of_session", "sha256_of_token bytea", "user_sessions", "token_sha256 = sha256_of_token")
    )
    op.execute(lookup("business_of_email", "address text", "users", "email = address"))


def downgrade() -> None:
    op.execute("DROP FUNCTION business_of_api_key(bytea), business_of_session(bytea), business_of_email(text)")
    op.execute("DROP TABLE rate_limits, user_sessions, users, idempotency_keys, api_keys")
