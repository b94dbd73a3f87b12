"""Calls, their timelines, and the one-time tokens of their media streams."""

from alembic import op

from migrations.tenancy import protect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CALLS = """
CREATE TABLE calls (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    call_sid text NOT NULL,
    stream_sid text,
    called_number text NOT NULL,
    caller_number text,
    state text NOT NULL CHECK (state IN ('ringing', 'in_progress', 'lost', 'ended', 'failed')),
    end_reason text,
    stream_count integer NOT NULL DEFAULT 0,
    reconnect_count integer NOT NULL DEFAULT 0,
    event_count integer NOT NULL DEFAULT 0,
    barge_in_count integer NOT NULL DEFAULT 0,
    duration_ms bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (business_id, id),
    UNIQUE (business_id, call_sid),
    CHECK ((state IN ('ended', 'failed')) = (ended_at IS NOT NULL))
)
"""

CALL_EVENTS = """
CREATE TABLE call_events (
    business_id bigint NOT NULL,
    call_id bigint NOT NULL,
    seq integer NOT NULL,
    at_ms bigint NOT NULL,
    kind text NOT NULL,
    data jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    PRIMARY KEY (business_id, call_id, seq),
    FOREIGN KEY (business_id, call_id) REFERENCES calls (business_id, id)
)
"""

MEDIA_TOKENS = """
CREATE TABLE media_tokens (
    business_id bigint NOT NULL,
    token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    call_id bigint NOT NULL,
    call_sid text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (business_id, token_sha256),
    FOREIGN KEY (business_id, call_id) REFERENCES calls (business_id, id)
)
"""

STREAM_LOOKUP = """
CREATE FUNCTION business_of_media_token(sha256_of_token bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    answer bigint;
BEGIN
    PERFORM set_config('app.system', 'on', true);
    SELECT business_id INTO answer FROM media_tokens WHERE token_sha256 = sha256_of_token;
    PERFORM set_config('app.system', '', true);
    RETURN answer;
END
$$
"""

# A carrier never repeats a CallSid; should two businesses have the same one, the newer call is meant.
CALL_LOOKUP = """
CREATE FUNCTION business_of_call(sid text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    answer bigint;
BEGIN
    PERFORM set_config('app.system', 'on', true);
    SELECT business_id INTO answer FROM calls WHERE call_sid = sid ORDER BY id DESC LIMIT 1;
    PERFORM set_config('app.system', '', true);
    RETURN answer;
END
$$
"""


def upgrade() -> None:
    op.execute(CALLS)
    op.execute(CALL_EVENTS)
    op.execute(MEDIA_TOKENS)
    op.execute("CREATE INDEX calls_call_sid_idx ON calls (call_sid)")
    op.execute(
        "CREATE INDEX media_tokens_business_id_call_id_idx ON media_tokens (business_id, call_id)"
        " WHERE used_at IS NULL"
    )
    for table in ("calls", "call_events", "media_tokens"):
        protect(table)
    op.execute(STREAM_LOOKUP)
    op.execute(CALL_LOOKUP)


def downgrade() -> None:
    op.execute("DROP FUNCTION business_of_call(text)")
    op.execute("DROP FUNCTION business_of_media_token(bytea)")
    op.execute("DROP TABLE media_tokens, call_events, calls")
