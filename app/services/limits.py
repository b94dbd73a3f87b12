"""How often somebody may ask. Kept in PostgreSQL, so that all processes count together."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import case, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app.errors import RateLimited
from app.models import RateLimit
from app.services.database import Database
from app.services.scheduling import utc_now
from app.services.tokens import sha256_of

LONGEST_WINDOW = timedelta(days=1)

AT_ONCE = 5000
"""Rows of one transaction of `forget_old`: it must end within the statement timeout."""


class Limits:
    """Counts by bucket, in fixed windows that begin with the first count."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now

    def count(self, bucket: str, most: int, window_s: int) -> None:
        """Count once more; raises RateLimited from the (`most` + 1)th time in a window of `window_s` seconds on.

        One statement, so that counts at the same time are all counted. `bucket` says who asks for what; only its
        SHA-256 is stored.
        """
        now = self._now()
        over = RateLimit.window_starts_at <= now - timedelta(seconds=window_s)
        counted = insert(RateLimit).values(bucket=sha256_of(bucket), window_starts_at=now, count=1)
        # The count stops at one too many: what is refused can't make it overflow.
        counted = counted.on_conflict_do_update(
            index_elements=["bucket"],
            set_={
                "count": case((over, 1), else_=func.least(RateLimit.count + 1, most + 1)),
                "window_starts_at": case((over, now), else_=RateLimit.window_starts_at),
            },
        )
        with self._db.shared() as session:
            starts_at, count = session.execute(
                counted.returning(RateLimit.window_starts_at, RateLimit.count)
            ).one()
        if count > most:
            left_s = (starts_at - now).total_seconds() + window_s
            raise RateLimited("asked too often", max(1, math.ceil(left_s)))

    def forget_old(self) -> int:
        """Delete counts whose window is over, whatever its length; how many. For the process that tidies up."""
        stale = RateLimit.window_starts_at <= self._now() - LONGEST_WINDOW
        some = select(RateLimit.bucket).where(stale).limit(AT_ONCE).with_for_update(skip_locked=True)
        count = 0
        while True:
            with self._db.shared() as session:
                gone = delete(RateLimit).where(RateLimit.bucket.in_(some)).returning(RateLimit.bucket)
                deleted = len(session.scalars(gone.execution_options(synchronize_session=False)).all())
            count += deleted
            if deleted < AT_ONCE:
                return count
