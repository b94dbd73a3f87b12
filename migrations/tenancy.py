"""Row-level security of a tenant table. Each migration that creates one calls `protect`.

Two settings, both local to a transaction: `app.business_id` names the tenant, `app.system` is set by the few
lookup functions that must see across tenants. The second opens reading only.
"""

from alembic import op

_TENANT = "{key} = nullif(current_setting('app.business_id', true), '')::bigint"
_SYSTEM = "current_setting('app.system', true) = 'on'"


def protect(table: str, key: str = "business_id") -> None:
    """Enable and force row-level security: FORCE, because the application's role owns its tables."""
    tenant = _TENANT.format(key=key)
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} USING ({tenant}) WITH CHECK ({tenant})")
    op.execute(f"CREATE POLICY lookup ON {table} FOR SELECT USING ({_SYSTEM})")
