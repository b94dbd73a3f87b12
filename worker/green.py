"""Makes this process cooperative. `patch()` runs before anything else is imported (gevent's own rule).

Kept in one place so that the core (`worker/call`, `app/domain`) never needs gevent: the unit suite runs
without this module.
"""

from __future__ import annotations

from gevent import monkey

DATABASE_DEADLINE_S = 2.5


def patch() -> None:
    """Patch the standard library, then psycopg2 (which would otherwise stop the hub on every query)."""
    if not monkey.is_module_patched("socket"):
        monkey.patch_all()
    from app.adapters import green_psycopg

    green_psycopg.install(DATABASE_DEADLINE_S)
