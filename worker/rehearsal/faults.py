"""What a scripted session does wrong on purpose, and when. Plain data; `outbox` and `session` act on it.

A rule joins a place in the session (`Sent`, `SentOf`, `Received`) with something to do there. `Omit`, `Patch`,
`Delay` and `HoldUntil` change the very event that the place names, so they go with `Sent` or `SentOf`; the
others happen after it. Responses are numbered from 0, in the order in which the engine accepted them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class Sent:
    """The `nth` server event of this type, from 1. `nth=None`: each of them."""

    type: str
    nth: int | None = 1


@dataclass(frozen=True, slots=True)
class SentOf:
    """The event number `index` of a response: 0 is created, -1 the moment before it (the create is accepted)."""

    response: int
    index: int


@dataclass(frozen=True, slots=True)
class Received:
    """The `nth` client event of this type, from 1, once it has been handled. `nth=None`: each of them."""

    type: str
    nth: int | None = 1


Where = Sent | SentOf | Received


@dataclass(frozen=True, slots=True)
class CallerSpeaks:
    """The caller is heard to speak, whatever audio comes in: speech_started now, the turn `for_ms` later.

    The positions are those that a VAD would report: padding before, silence after (its configured lengths), and
    `for_ms` of speech between. `stop_after_ms` shortens the real time between speech_started and speech_stopped
    (default: `for_ms` and the silence), not the positions. `text` as in `Brain.transcribe`. Nothing happens
    where the caller already speaks or turn detection is off.
    """

    text: str | None = field(default="hello", repr=False)
    for_ms: int = 900
    stop_after_ms: float | None = None


@dataclass(frozen=True, slots=True)
class DropSocket:
    """Close the WebSocket with this code; None breaks the TCP connection without a close frame."""

    code: int | None = 1011
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UnsolicitedResponse:
    """The server starts a response that nobody asked for; it takes the next number. Not while one is active."""


@dataclass(frozen=True, slots=True)
class SendRaw:
    """Send this event as it stands (only `event_id` is filled in). It is not validated."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Omit:
    """Never send it."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Send it with these fields merged in, deeply."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delay:
    """Send it so much later; the events after it overtake it."""

    ms: float


@dataclass(frozen=True, slots=True)
class HoldUntil:
    """Send it right after the event at another place: an odd order."""

    place: Where


After = CallerSpeaks | DropSocket | UnsolicitedResponse | SendRaw
Instead = Omit | Patch | Delay | HoldUntil


@dataclass(frozen=True, slots=True)
class Rule:
    """At `place`, do this; `after_ms` later, where it is something that happens after the event."""

    place: Where
    do: After | Instead
    after_ms: float = 0


class Answer(Enum):
    """How the first cancel of a response is answered (the client's, or the one by the caller's speech).

    `DONE`: response.done with status cancelled, as the API does. `NEVER`: nothing more of it is sent, and it stays
    active. `IGNORED`: it runs to its own end. The other two are the race in which the response had just ended by
    itself when the cancel came: both its rest with a `done` of status completed and `response_cancel_not_active`
    are sent, in the named order.
    """

    DONE = "done"
    NEVER = "never"
    IGNORED = "ignored"
    DONE_THEN_ERROR = "done_then_error"
    ERROR_THEN_DONE = "error_then_done"


@dataclass(frozen=True, slots=True)
class OnCancel:
    """`after_ms`: from the cancel to the first answer (None: the brain's timing). `keeps_talking`: audio goes on
    until then. `echo_event_id`: whether the error names the client's event. `second_ms`: to the second answer."""

    answer: Answer = Answer.DONE
    after_ms: float | None = None
    keeps_talking: bool = False
    echo_event_id: bool = True
    second_ms: float = 30


class Start(Enum):
    """What becomes of an accepted create: `CREATED`, as it should; `LOST`: the server never saw it, nothing is
    active; `SILENT`: it is active, but neither `created` nor anything else of it is sent until it is cancelled."""

    CREATED = "created"
    LOST = "lost"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class ResponseFaults:
    """What is wrong with one response. `created_ms`: from create to created (None: the brain's timing)."""

    start: Start = Start.CREATED
    created_ms: float | None = None
    cancel: OnCancel = OnCancel()


SOUND = ResponseFaults()


@dataclass(frozen=True, slots=True)
class Faults:
    """Everything that is to go wrong in one session; `responses` by number."""

    rules: tuple[Rule, ...] = ()
    responses: Mapping[int, ResponseFaults] = field(default_factory=dict)

    def of_response(self, index: int) -> ResponseFaults:
        """The faults of the response with this number."""
        return self.responses.get(index, SOUND)


NO_FAULTS = Faults()
