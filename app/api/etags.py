"""Versions as ETags (RFC 9110 8.8, 13.1): `"7"` is version 7 of a thing."""

from __future__ import annotations

import re

from flask import Response, request

from app.errors import StaleVersion

_VERSION = re.compile(r'"([1-9][0-9]{0,9})"')


def mark(response: Response, result: object) -> None:
    """Give the answer the version of what it shows, if that has one."""
    version = getattr(result, "version", None)
    if isinstance(version, int):
        response.headers["ETag"] = f'"{version}"'


def expected_version() -> int | None:
    """The version in If-Match; None for `*` and without the header. Raises StaleVersion for what matches nothing.

    A weak ETag never matches (RFC 9110 13.1.1), and of a list no version could be all at once.
    """
    offered = request.headers.get("If-Match", "*").strip()
    if offered == "*":
        return None
    match = _VERSION.fullmatch(offered)
    if match is None:
        raise StaleVersion("no version has the ETag in If-Match")
    return int(match[1])


def not_modified(response: Response) -> Response:
    """304 without a body, where a GET names the version that it has."""
    etag = response.headers.get("ETag")
    if request.method != "GET" or etag is None or not request.if_none_match.contains(etag.strip('"')):
        return response
    kept = {name: response.headers[name] for name in ("ETag", "Cache-Control") if name in response.headers}
    return Response(status=304, headers=kept)
