"""What callers leave for the receptionist, calendars that other programs subscribe to, and what erasing needs."""

from alembic import op

from migrations.tenancy import protect

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MESSAGES = """
CREATE TABLE messages (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    call_id bigint,
    caller_name text NOT NULL DEFAULT '',
    caller_number text,
    body text NOT NULL CHECK (length(body) BETWEEN 1 AND 4000),
    created_at timestamptz NOT NULL,
    handled_at timestamptz,
    handled_by text,
    version integer NOT NULL DEFAULT 1,
    PRIMARY KEY (business_id, id),
    FOREIGN KEY (business_id, call_id) REFERENCES calls (business_id, id),
    CHECK ((handled_at IS NULL) = (handled_by IS NULL))
)
"""

CALENDAR_FEEDS = """
CREATE TABLE calendar_feeds (
    business_id bigint NOT NULL REFERENCES businesses (id),
    id bigint GENERATED ALWAYS AS IDENTITY,
    resource_id bigint,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    shows_names boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (business_id, id),
    FOREIGN KEY (business_id, resource_id) REFERENCES resources (business_id, id)
)
"""

FEED_LOOKUP = """
CREATE FUNCTION business_of_feed(sha256_of_token bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    answer bigint;
BEGIN
    PERFORM set_config('app.system', 'on', true);
    SELECT business_id INTO answer FROM calendar_feeds WHERE token_sha256 = sha256_of_token;
    PERFORM set_config('app.system', '', true);
    RETURN answer;
END
$$
"""

# Numbers are searched by their last digits: as in appointments, by range over the reversed number.
CALLS = """
ALTER TABLE calls
    ADD COLUMN transcript_erased_at timestamptz,
    ADD COLUMN caller_reversed text COLLATE "C" GENERATED ALWAYS AS (reverse(caller_number)) STORED
"""

# `emptied_at`: since when the payload holds nothing but ids.
EVENTS = "ALTER TABLE events ADD COLUMN emptied_at timestamptz"

INDEXES = (
    "CREATE INDEX messages_business_id_created_at_id_idx ON messages (business_id, created_at, id)",
    "CREATE INDEX messages_open_idx ON messages (business_id, created_at, id) WHERE handled_at IS NULL",
    "CREATE INDEX messages_business_id_caller_number_idx ON messages (business_id, caller_number)",
    "CREATE INDEX messages_business_id_call_id_idx ON messages (business_id, call_id)",
    "CREATE INDEX calls_transcripts_idx ON calls (business_id, created_at) WHERE transcript_erased_at IS NULL",
    "CREATE INDEX calls_business_id_caller_reversed_idx ON calls (business_id, caller_reversed)",
    "CREATE INDEX events_business_id_message_row_id_idx ON events (business_id, message_row_id)",
    "CREATE INDEX events_full_idx ON events (business_id, created_at) WHERE emptied_at IS NULL",
)


def upgrade() -> None:
    op.execute(MESSAGES)
    op.execute(CALENDAR_FEEDS)
    op.execute(CALLS)
    op.execute(EVENTS)
    for statement in INDEXES:
        op.execute(statement)
    op.execute(
        "ALTER TABLE events ADD CONSTRAINT events_business_id_message_row_id_fkey"
        " FOREIGN KEY (business_id, message_row_id) REFERENCES messages (business_id, id)"
    )
    for table in ("messages", "calendar_feeds"):
        protect(table)
    op.execute(FEED_LOOKUP)


def downgrade() -> None:
    op.execute("DROP FUNCTION business_of_feed(bytea)")
    op.execute("DROP INDEX events_business_id_message_row_id_idx")
    op.execute("ALTER TABLE events DROP COLUMN emptied_at")
    op.execute("ALTER TABLE calls DROP COLUMN transcript_erased_at, DROP COLUMN caller_reversed")
    op.execute("ALTER TABLE events DROP CONSTRAINT events_business_id_message_row_id_fkey")
    op.execute("DROP TABLE calendar_feeds, messages")
