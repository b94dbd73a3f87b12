"""Idempotency-Key: the same POST again gets the first one's answer, word for word."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from flask import Response, current_app, request

from app.api.auth import SESSION_COOKIE
from app.domain.idempotency import StoredAnswer
from app.errors import MoedError
from app.services import services_of

log = structlog.get_logger(__name__)

# The same request may succeed when it comes again: these are not kept.
_NOT_KEPT = (401, 403, 429)
_KEPT_HEADERS = ("Content-Type", "ETag", "Location", "Cache-Control")


def once(run: Callable[..., Response], shown_once: str | None = None) -> Callable[..., Response]:
    """The view, run once for each key of a credential. Raises IdempotencyConflict, IdempotencyInFlight.

    `shown_once` is the field of the answer that is not kept.
    """

    @wraps(run)
    def guarded(**kwargs: Any) -> Response:
        caller = kwargs["caller"]
        if caller.idempotency_key is None:
            return run(**kwargs)
        store = services_of(current_app).idempotency
        place = (caller.tenant, caller.actor, caller.idempotency_key)
        earlier = store.begin(*place, _fingerprint())
        if earlier is not None:
            answer = Response(earlier.body, earlier.status, headers=dict(earlier.headers))
            answer.headers["Idempotent-Replayed"] = "true"
            return answer
        try:
            response = _answered(lambda: run(**kwargs))
        except BaseException:
            store.abandon(*place)
            raise
        if response.status_code >= 500 or response.status_code in _NOT_KEPT:
            store.abandon(*place)
        else:
            headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
            kept = StoredAnswer(response.status_code, headers, _kept_body(response, shown_once))
            _finish(lambda: store.finish(*place, kept))
        return response

    return guarded


def _answered(run: Callable[[], Response]) -> Response:
    """The answer, refusals too: they are repeated as well."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - rendered by the app's own handlers, as if it had passed through here
        return current_app.make_response(current_app.handle_user_exception(error))


def _kept_body(response: Response, shown_once: str | None) -> str:
    """The answer's text, without a secret of which the database holds only a hash."""
    body = response.get_data(as_text=True)
    if shown_once is None or response.status_code >= 400:
        return body
    return json.dumps({**json.loads(body), shown_once: None}, ensure_ascii=False)


def _finish(write: Callable[[], None]) -> None:
    """The work is done and committed: an answer that can't be kept must not turn it into a failure."""
    try:
        write()
    except MoedError as error:
        log.warning("the answer could not be kept for its idempotency key", code=error.code)


def _fingerprint() -> bytes:
    """Of what was asked: method, path, query and body.

    The credential's secret goes in too. A body may hold a password, and with nothing in it that is not in the
    database the hash would be a way to guess it.
    """
    digest = hashlib.sha256()
    secret = request.headers.get("Authorization") or request.cookies.get(SESSION_COOKIE, "")
    for part in (secret, request.method, request.path, request.query_string.decode("latin-1")):
        digest.update(f"{len(part)}:{part}".encode())
    digest.update(request.get_data(cache=True))
    return digest.digest()
