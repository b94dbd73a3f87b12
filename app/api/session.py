"""Logging in and out with a browser. The token is in a cookie that no script can read."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, request

from app.api.auth import SESSION_COOKIE
from app.api.operation import Answer, Caller, operation, section, services
from app.api.schemas.users import Login, SessionSchema
from app.domain.access import Credential
from app.domain.users import UserDetails
from app.errors import Forbidden
from app.services.sessions import LONGEST_SESSION

blueprint = section("Session", "Logging in with an e-mail and a password, as the dashboard does.")

SECURE_COOKIES = "MOED_SECURE_COOKIES"
"""In the app's configuration: whether browsers send the cookie over TLS only."""


@operation(
    blueprint,
    "POST",
    "/session",
    summary="Log in",
    description="Sets the cookie `moed_session`.",
    body=Login,
    answer=SessionSchema,
    problems=(401, 403, 429),
    public=True,
)
def log_in(body: dict[str, Any]) -> Answer:
    """A new session; the one that the browser had is over."""
    _refuse_other_sites()
    sessions = services().sessions
    begun = sessions.log_in(body["email"], body["password"], request.remote_addr or "")
    replaced = request.cookies.get(SESSION_COOKIE)
    if replaced is not None:
        sessions.log_out(replaced)
    return Answer(_shown(begun.user, begun.credential), _cookie(begun.token, int(LONGEST_SESSION.total_seconds())))


@operation(
    blueprint,
    "GET",
    "/session",
    summary="See who is logged in",
    answer=SessionSchema,
    problems=(404,),
)
def get_session(caller: Caller) -> dict[str, Any]:
    """404 for an API key, which is nobody."""
    return _shown(services().sessions.who(caller.credential), caller.credential)


@operation(
    blueprint,
    "DELETE",
    "/session",
    summary="Log out",
    problems=(404,),
)
def log_out(caller: Caller) -> Answer:
    """404 for an API key, which ends by being revoked."""
    sessions = services().sessions
    sessions.who(caller.credential)
    sessions.log_out(request.cookies.get(SESSION_COOKIE, ""))
    return Answer(None, _cookie("", 0))


def _shown(user: UserDetails, credential: Credential) -> dict[str, Any]:
    return {
        "user": user,
        "business_id": user.business_id,
        "role": user.role,
        "scopes": sorted(credential.scopes),
        "csrf_token": credential.csrf_token,
    }


def _cookie(token: str, max_age_s: int) -> dict[str, str]:
    """The header that sets it. Lax: a link to the dashboard from elsewhere finds its user logged in."""
    response = Response()
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=max_age_s,
        path="/",
        secure=current_app.config[SECURE_COOKIES],
        httponly=True,
        samesite="Lax",
    )
    return {"Set-Cookie": response.headers["Set-Cookie"]}


def _refuse_other_sites() -> None:
    """Nobody is logged in as somebody else by another site's page (login CSRF: there is no token yet to ask for).

    Browsers say where a request comes from in Sec-Fetch-Site, older ones in Origin; programs say neither.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and origin.partition("://")[2] != request.host
    if foreign:
        raise Forbidden("another site's page can't log anybody in")
