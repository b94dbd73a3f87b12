"""Idempotency keys: of the same request sent several times, one is done and the others get its answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, update
from sqlalchemy.dialects.postgresql import insert

from app.domain.idempotency import StoredAnswer
from app.errors import IdempotencyConflict, IdempotencyInFlight, InvalidInput
from app.models import IdempotencyKey
from app.services.database import Database
from app.services.scheduling import utc_now

KEPT_FOR = timedelta(hours=24)
LONGEST_FLIGHT = timedelta(seconds=60)
"""Longer than any request takes: whoever had the key died with it."""

LONGEST_KEY = 255


class Idempotency:
    """The keys of each business. `owner` is the credential that sent a key: others' keys are others' business."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now

    def begin(self, business_id: int, owner: str, key: str, request_sha256: bytes) -> StoredAnswer | None:
        """None: the key is the caller's now, who ends with `finish` or `abandon`. Else the answer to give again.

        Raises IdempotencyConflict for another request under this key, IdempotencyInFlight while the first one is
        at work, InvalidInput. A transaction of its own, committed before the work begins.
        """
        if not (1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
            raise InvalidInput("Idempotency-Key", f"must have 1 to {LONGEST_KEY} printable ASCII characters")
        now = self._now()
        with self._db.tenant(business_id) as session:
            # Waits for another transaction that inserts the same key at this moment.
            taken = session.scalars(
                insert(IdempotencyKey)
                .values(
                    business_id=business_id, owner=owner, key=key, request_sha256=request_sha256, created_at=now
                )
                .on_conflict_do_nothing(index_elements=["business_id", "owner", "key"])
                .returning(IdempotencyKey.key)
            ).one_or_none()
            if taken is not None:
                return None
            row = session.get(IdempotencyKey, (business_id, owner, key), with_for_update=True)
            if row is None:
                # Abandoned between the two statements; the client asks again in a second.
                raise IdempotencyInFlight("a request with this key has just failed")
            return _answer_or_take_over(row, request_sha256, now)

    def finish(self, business_id: int, owner: str, key: str, answer: StoredAnswer) -> None:
        """Keep the answer for a day. The first one stays: what was answered once is answered always."""
        with self._db.tenant(business_id) as session:
            session.execute(
                update(IdempotencyKey)
                .where(_is(business_id, owner, key), IdempotencyKey.status.is_(None))
                .values(status=answer.status, headers=dict(answer.headers), body=answer.body)
                .execution_options(synchronize_session=False)
            )

    def abandon(self, business_id: int, owner: str, key: str) -> None:
        """Give the key back after a failure that the client should be able to repeat."""
        with self._db.tenant(business_id) as session:
            session.execute(
                delete(IdempotencyKey)
                .where(_is(business_id, owner, key), IdempotencyKey.status.is_(None))
                .execution_options(synchronize_session=False)
            )


def _answer_or_take_over(row: IdempotencyKey, request_sha256: bytes, now: datetime) -> StoredAnswer | None:
    """What the row, which is locked, means for the same key again."""
    age = now - row.created_at
    if age < KEPT_FOR:
        if row.request_sha256 != request_sha256:
            raise IdempotencyConflict("the key was used for another request")
        if row.status is not None:
            return StoredAnswer(row.status, row.headers or {}, row.body or "")
        if age <= LONGEST_FLIGHT:
            raise IdempotencyInFlight("a request with this key is being answered")
    row.request_sha256 = request_sha256
    row.created_at = now
    row.status = row.headers = row.body = None
    return None


def _is(business_id: int, owner: str, key: str) -> ColumnElement[bool]:
    return (
        (IdempotencyKey.business_id == business_id) & (IdempotencyKey.owner == owner) & (IdempotencyKey.key == key)
    )
