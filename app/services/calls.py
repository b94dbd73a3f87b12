"""Phone calls: who may open a media stream, what is kept of each call, what follows a stream."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.calls import (
    AcceptedCall,
    AfterStream,
    CallBriefing,
    CallClosing,
    CallDetails,
    CallState,
    IncomingCall,
    TimelineEntry,
)
from app.domain.transcripts import without_words
from app.errors import InvalidInput, NotFound, StreamRefused, UnknownNumber
from app.models import Business, Call, CallEvent, MediaToken
from app.services import checks
from app.services.businesses import business_of_number, profile_of
from app.services.database import Database
from app.services.events import call_event
from app.services.scheduling import utc_now

log = structlog.get_logger(__name__)

TOKEN_LIFETIME = timedelta(seconds=60)
MOST_RECONNECTS = 3

_EXHAUSTED = "reconnects_exhausted"
_FINAL = (CallState.ENDED, CallState.FAILED)


class Calls:
    """The rows of calls, their timelines and their media tokens."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = database
        self._now = now

    def accept_call(self, incoming: IncomingCall) -> AcceptedCall:
        """Store a call and make a token for its media stream.

        The same CallSid again (the carrier repeats a webhook that was slow) is the same call with a new token,
        and revokes the older one. Raises UnknownNumber, InvalidInput, CalendarUnavailable.
        """
        checks.identifier("call_sid", incoming.call_sid)
        with self._db.system() as session:
            business_id = business_of_number(session, incoming.to_number)
        if business_id is None:
            raise UnknownNumber("no business has the called number")
        with self._db.tenant(business_id) as session:
            call = self._call_for(session, business_id, incoming)
            token = self._new_token(session, call)
            language = _language_of(session, business_id)
        return AcceptedCall(call.id, business_id, language, token)

    def open_stream(self, token: str, call_sid: str, stream_sid: str) -> CallBriefing:
        """Redeem a token, once, for what the worker needs to know.

        Raises StreamRefused("unknown" | "expired" | "used" | "other_call"), CalendarUnavailable. Every value may
        come from a stranger.
        """
        try:
            checks.identifier("stream_sid", stream_sid)
        except InvalidInput:
            raise StreamRefused("unknown") from None
        digest = _sha256(token)
        with self._db.system() as session:
            business_id = session.scalars(select(func.business_of_media_token(digest))).one()
        if business_id is None:
            raise StreamRefused("unknown")
        with self._db.tenant(business_id) as session:
            call = self._redeem(session, business_id, digest, call_sid)
            call.state = CallState.IN_PROGRESS
            call.stream_sid = stream_sid
            call.stream_count += 1
            call.started_at = call.started_at or self._now()
            return CallBriefing(
                call_id=call.id,
                call_sid=call.call_sid,
                business=profile_of(session, business_id),
                stream_number=call.stream_count,
                caller_number=call.caller_number,
                history=_timeline(session, call),
            )

    def append_timeline(self, business_id: int, call_id: int, entries: Sequence[TimelineEntry]) -> None:
        """Add what happened, in this order. Raises NotFound.

        What was said is left out where the business keeps no transcripts, and where it has been erased already.
        """
        if not entries:
            return
        with self._db.tenant(business_id) as session:
            # The counter is locked by its UPDATE: two workers of one call can't draw the same numbers.
            kept = select(Business.transcripts_kept).where(Business.id == business_id).scalar_subquery()
            found = session.execute(
                update(Call)
                .where(Call.business_id == business_id, Call.id == call_id)
                .values(event_count=Call.event_count + len(entries))
                .returning(Call.event_count, and_(kept, Call.transcript_erased_at.is_(None)))
            ).one_or_none()
            if found is None:
                raise NotFound("no such call")
            last, with_words = found
            session.add_all(
                CallEvent(
                    business_id=business_id,
                    call_id=call_id,
                    seq=seq,
                    at_ms=entry.at_ms,
                    kind=entry.kind,
                    data=_storable(entry.data if with_words else without_words(entry.kind, entry.data)),
                )
                for seq, entry in enumerate(entries, start=last - len(entries) + 1)
            )

    def finish_stream(self, business_id: int, call_id: int, closing: CallClosing) -> None:
        """A stream has ended: add its counts, and set the call's state unless that is final. Raises NotFound."""
        with self._db.tenant(business_id) as session:
            call = _locked_call(session, business_id, call_id)
            call.barge_in_count += closing.barge_ins
            call.duration_ms += closing.duration_ms
            late = closing.stream_number is not None and closing.stream_number < call.stream_count
            if not late and call.state not in _FINAL:
                self._set_state(session, call, closing.state, closing.reason)

    def after_stream(self, call_sid: str) -> AfterStream:
        """What the carrier is to do now, from the call's row.

        Ended: hang up; failed too, for then the worker has played its recorded sentence. Otherwise the worker
        was lost or never reached: reconnect, at most three times, then apologise. A call that nobody knows is
        hung up.
        """
        checks.identifier("call_sid", call_sid)
        with self._db.system() as session:
            business_id = session.scalars(select(func.business_of_call(call_sid))).one()
        if business_id is None:
            return AfterStream("hang_up", "en")
        with self._db.tenant(business_id) as session:
            language = _language_of(session, business_id)
            call = session.scalars(
                select(Call)
                .where(Call.business_id == business_id, Call.call_sid == call_sid)
                .with_for_update(key_share=True)
            ).one()
            if call.state == CallState.ENDED:
                return AfterStream("hang_up", language)
            if call.state == CallState.FAILED:
                return AfterStream("apologise" if call.end_reason == _EXHAUSTED else "hang_up", language)
            if call.reconnect_count >= MOST_RECONNECTS:
                self._set_state(session, call, CallState.FAILED, _EXHAUSTED)
                return AfterStream("apologise", language)
            call.reconnect_count += 1
            return AfterStream("reconnect", language, self._new_token(session, call))

    def get_call(self, business_id: int, call_id: int) -> CallDetails:
        """What is stored of a call, with its timeline. Raises NotFound."""
        with self._db.reading(business_id) as session:
            call = session.get(Call, (business_id, call_id))
            if call is None:
                raise NotFound("no such call")
            return _details(session, call)

    def find_call(self, business_id: int, call_sid: str) -> CallDetails | None:
        """The call with the carrier's id, if there is one."""
        with self._db.reading(business_id) as session:
            wanted = select(Call).where(Call.business_id == business_id, Call.call_sid == call_sid)
            call = session.scalars(wanted).one_or_none()
            return None if call is None else _details(session, call)

    def _call_for(self, session: Session, business_id: int, incoming: IncomingCall) -> Call:
        """The row of this CallSid, locked; made now if it is the first time."""
        session.execute(
            insert(Call)
            .values(
                business_id=business_id,
                call_sid=incoming.call_sid,
                called_number=incoming.to_number,
                caller_number=incoming.from_number,
                state=CallState.RINGING,
                created_at=self._now(),
            )
            .on_conflict_do_nothing(index_elements=["business_id", "call_sid"])
        )
        return session.scalars(
            select(Call)
            .where(Call.business_id == business_id, Call.call_sid == incoming.call_sid)
            .with_for_update(key_share=True)
        ).one()

    def _new_token(self, session: Session, call: Call) -> str:
        """A token for this call, which is locked; its older tokens are void."""
        _revoke_tokens(session, call)
        token = secrets.token_urlsafe(32)
        session.add(
            MediaToken(
                business_id=call.business_id,
                token_sha256=_sha256(token),
                call_id=call.id,
                call_sid=call.call_sid,
                expires_at=self._now() + TOKEN_LIFETIME,
            )
        )
        return token

    def _redeem(self, session: Session, business_id: int, digest: bytes, call_sid: str) -> Call:
        """Mark the token used, and lock its call.

        The call is locked first, as everywhere: tokens are written only under that lock. So of several that
        redeem one token, the first gets it and the others then see what it wrote.
        """
        key = (business_id, digest)
        call_id = session.scalars(
            select(MediaToken.call_id).where(
                MediaToken.business_id == business_id, MediaToken.token_sha256 == digest
            )
        ).one_or_none()
        call = None if call_id is None else _locked_call(session, business_id, call_id)
        token = session.get(MediaToken, key)
        if call is None or token is None:
            raise StreamRefused("unknown")
        now = self._now()
        if token.call_sid != call_sid:
            raise StreamRefused("other_call")
        if token.used_at is not None or call.state in _FINAL:
            raise StreamRefused("used")
        if token.expires_at <= now:
            raise StreamRefused("expired")
        token.used_at = now
        return call

    def _set_state(self, session: Session, call: Call, state: CallState, reason: str) -> None:
        call.state = state
        call.end_reason = reason
        if state in _FINAL:
            call.ended_at = self._now()
            _revoke_tokens(session, call)
            call_event(session, _details(session, call), call.ended_at)


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _revoke_tokens(session: Session, call: Call) -> None:
    session.execute(
        delete(MediaToken).where(
            MediaToken.business_id == call.business_id,
            MediaToken.call_id == call.id,
            MediaToken.used_at.is_(None),
        )
    )


def _locked_call(session: Session, business_id: int, call_id: int) -> Call:
    call = session.get(Call, (business_id, call_id), with_for_update={"key_share": True})
    if call is None:
        raise NotFound("no such call")
    return call


def _language_of(session: Session, business_id: int) -> str:
    return session.scalars(select(Business.language).where(Business.id == business_id)).one()


def _details(session: Session, call: Call) -> CallDetails:
    return CallDetails(
        id=call.id,
        business_id=call.business_id,
        call_sid=call.call_sid,
        state=CallState(call.state),
        end_reason=call.end_reason,
        stream_count=call.stream_count,
        barge_ins=call.barge_in_count,
        duration_ms=call.duration_ms,
        created_at=call.created_at,
        started_at=call.started_at,
        ended_at=call.ended_at,
        caller_number=call.caller_number,
        timeline=_timeline(session, call),
    )


def _timeline(session: Session, call: Call) -> tuple[TimelineEntry, ...]:
    rows = session.execute(
        select(CallEvent.at_ms, CallEvent.kind, CallEvent.data)
        .where(CallEvent.business_id == call.business_id, CallEvent.call_id == call.id)
        .order_by(CallEvent.seq)
    )
    return tuple(TimelineEntry(*row) for row in rows)


def _storable(value: object) -> object:
    """JSON without the two things that jsonb refuses and a transcript may hold: NUL and lone surrogates."""
    match value:
        case str():
            return value.replace("\x00", "").encode("utf-8", "replace").decode()
        case Mapping():
            return {str(_storable(name)): _storable(item) for name, item in value.items()}
        case list() | tuple():
            return [_storable(item) for item in value]
    return value
