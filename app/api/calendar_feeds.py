"""Calendars that other programs subscribe to."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response, current_app, request, url_for

from app.api.operation import Caller, operation, section, services
from app.api.schemas.calendar_feeds import CalendarFeedSchema, CreatedFeedSchema, NewCalendarFeed
from app.domain.feeds import CalendarFeed, NewFeed
from app.domain.pages import Page

blueprint = section("Calendar feeds", "iCalendar files by secret URLs, for calendar programs to subscribe to.")

MOST_READS_A_MINUTE = 120
"""By one address. Programs ask a few times an hour; many may share an address."""

_FILE = {
    "description": "An iCalendar file (RFC 5545)",
    "content": {
        "text/calendar": {
            "schema": {"type": "string"},
            "example": "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Moed//Calendar feed//EN\r\nEND:VCALENDAR\r\n",
        }
    },
}


@operation(
    blueprint,
    "GET",
    "/calendar-feeds",
    scope="calendar-feeds:read",
    summary="List calendar feeds",
    description="Without their URLs, which are not stored.",
    page_of=CalendarFeedSchema,
)
def list_calendar_feeds(caller: Caller) -> Page[CalendarFeed]:
    """The oldest first."""
    return services().calendar_feeds.list_feeds(caller.business_id, caller.page)


@operation(
    blueprint,
    "POST",
    "/calendar-feeds",
    scope="calendar-feeds:write",
    summary="Make a calendar feed",
    body=NewCalendarFeed,
    answer=CreatedFeedSchema,
    problems=(404,),
    shown_once="url",
)
def create_calendar_feed(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """Its URL is in this answer and nowhere else."""
    made = services().calendar_feeds.create_feed(NewFeed(caller.business_id, **body))
    return {**asdict(made), "url": _url_of(made.token)}


@operation(
    blueprint,
    "DELETE",
    "/calendar-feeds/<id:feed_id>",
    scope="calendar-feeds:write",
    summary="Remove a calendar feed",
    description="Its URL leads nowhere from now on.",
    problems=(404,),
)
def delete_calendar_feed(caller: Caller, feed_id: int) -> None:
    """For good: a new one has another URL."""
    services().calendar_feeds.delete_feed(caller.business_id, feed_id)


@operation(
    blueprint,
    "GET",
    "/feeds/<token>/calendar.ics",
    summary="Read a calendar feed",
    description="The secret in the URL is the only credential. Appointments of 60 days back and 400 days ahead.",
    status=200,
    problems=(404, 429),
    public=True,
)
@blueprint.doc(responses={"200": _FILE})  # type: ignore[untyped-decorator]  # flask-smorest is untyped
def read_calendar_feed(token: str) -> Response:
    """304 for a program that has this version already."""
    services().limits.count(f"feed:{request.remote_addr}", MOST_READS_A_MINUTE, 60)
    # If-Modified-Since is not looked at: what has left the file leaves no time behind.
    file = services().calendar_feeds.feed_of(token, request.if_none_match.as_set(include_weak=True))
    if file.body is None:
        response = Response(status=304)
    else:
        response = Response(file.body, content_type="text/calendar; charset=utf-8")
        response.headers["Content-Disposition"] = 'inline; filename="calendar.ics"'
    response.set_etag(file.etag)
    response.last_modified = file.changed_at
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _url_of(token: str) -> str:
    """As the outside sees this server: what it was told, or else how it was asked."""
    path = url_for("calendar_feeds.read_calendar_feed", token=token)
    return str(current_app.config["PUBLIC_BASE_URL"] or request.host_url.rstrip("/")) + path
