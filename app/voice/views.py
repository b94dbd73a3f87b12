"""`/voice/incoming` and `/voice/after`: the doors the carrier knocks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import structlog
from flask import Blueprint, Response, request
from gevent import Timeout
from werkzeug.exceptions import BadRequest, Forbidden, RequestEntityTooLarge, UnsupportedMediaType

from app.domain.calls import AcceptedCall, AfterStream, IncomingCall
from app.errors import CalendarUnavailable, InvalidInput, UnknownNumber
from app.voice import forms, signature, twiml
from app.voice.phrases import DEFAULT_LANGUAGE, phrases_in

log = structlog.get_logger(__name__)

# A webhook of the carrier has some 2 KiB.
MAX_BODY_BYTES = 16 * 1024

# The carrier waits 15 s for a webhook and then reads out words of its own.
ANSWER_WITHIN_S = 8

_FORM = "application/x-www-form-urlencoded"

T = TypeVar("T")


class Calls(Protocol):
    """What the webhooks need of app.services."""

    def accept_call(self, call: IncomingCall) -> AcceptedCall:
        """Store the call (once for each CallSid) and make a media token."""
        ...

    def after_stream(self, call_sid: str) -> AfterStream:
        """What the carrier is to do now that a stream of this call has ended."""
        ...


def voice_blueprint(calls: Calls, check: signature.RequestCheck, urls: twiml.CallUrls) -> Blueprint:
    """The webhooks, every one of them behind `check`."""
    blueprint = Blueprint("voice", __name__, url_prefix="/voice")
    # Without automatic OPTIONS: a 405 then says `Allow: POST`, which is the truth.
    only_post = {"methods": ["POST"], "provide_automatic_options": False}

    @blueprint.before_request
    def admit_the_carrier() -> None:
        if request.mimetype != _FORM:
            raise UnsupportedMediaType(f"Only {_FORM} is accepted.")
        _read_body()
        offered = request.headers.get(signature.HEADER, "")
        if not check.accepts(_target(), request.form, offered):
            log.warning("carrier signature refused", reason="wrong" if offered else "missing")
            raise Forbidden("The carrier's signature is missing or wrong.")

    @blueprint.route("/incoming", **only_post)
    def incoming() -> Response:
        call = _validated(forms.incoming_call)
        return _twiml(_answer_incoming(calls, urls, call))

    @blueprint.route("/after", **only_post)
    def after() -> Response:
        call_sid = _validated(forms.call_sid_of)
        return _twiml(_answer_after(calls, urls, call_sid))

    return blueprint


def _read_body() -> None:
    """Take in the whole body, or raise 413. A chunked one that is too long is cut at the limit by werkzeug
    without a word, so the limit there is one byte more."""
    request.max_content_length = MAX_BODY_BYTES + 1
    if len(request.get_data()) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge


def _answer_incoming(calls: Calls, urls: twiml.CallUrls, call: IncomingCall) -> str:
    try:
        accepted = _in_time(lambda: calls.accept_call(call))
    except UnknownNumber:
        log.warning("call to a number that no business has", call_sid=call.call_sid)
        phrases = phrases_in(DEFAULT_LANGUAGE)
        return twiml.say_goodbye(phrases, phrases.unknown_number)
    except Exception as error:  # noqa: BLE001 - the caller must hear a sentence, whatever broke
        return _apologise_for(error, call.call_sid)
    log.info(
        "call accepted",
        call_sid=call.call_sid,
        call_id=accepted.call_id,
        business_id=accepted.business_id,
        caller_known=call.from_number is not None,
    )
    return twiml.open_stream(urls, accepted.media_token)


def _answer_after(calls: Calls, urls: twiml.CallUrls, call_sid: str) -> str:
    try:
        after = _in_time(lambda: calls.after_stream(call_sid))
    except Exception as error:  # noqa: BLE001 - the same
        return _apologise_for(error, call_sid)
    log.info("stream ended", call_sid=call_sid, action=after.action)
    if after.action == "reconnect" and after.media_token is not None:
        return twiml.open_stream(urls, after.media_token)
    if after.action == "hang_up":
        return twiml.hang_up()
    phrases = phrases_in(after.language)
    return twiml.say_goodbye(phrases, phrases.apology)


def _in_time(work: Callable[[], T]) -> T:
    """`work()`, or `CalendarUnavailable` when it waits too long, for example for a connection of the pool."""
    deadline = Timeout.start_new(ANSWER_WITHIN_S)
    try:
        return work()
    except Timeout as passed:
        if passed is not deadline:
            raise
        raise CalendarUnavailable(f"no answer within {ANSWER_WITHIN_S} s") from None
    finally:
        deadline.close()


def _apologise_for(error: Exception, call_sid: str) -> str:
    """A sentence for the caller, with status 200: the carrier would read out its own words for an error page."""
    if isinstance(error, CalendarUnavailable):
        log.error("call refused, the database did not answer", call_sid=call_sid, code=error.code)
    else:
        log.error("call refused, unexpected error", call_sid=call_sid, exc_info=error)
    phrases = phrases_in(DEFAULT_LANGUAGE)
    return twiml.say_goodbye(phrases, phrases.apology)


def _validated(parse: Callable[[Mapping[str, str]], T]) -> T:
    try:
        return parse(request.form)
    except InvalidInput as error:
        raise BadRequest(str(error)) from None


def _target() -> str:
    """Path and query as they were sent: the carrier signs the bytes, not their meaning."""
    query = request.query_string.decode("latin-1")
    return f"{request.path}?{query}" if query else request.path


def _twiml(document: str) -> Response:
    response = Response(document, mimetype="text/xml")
    # It holds a token.
    response.headers["Cache-Control"] = "no-store"
    return response
