"""Every state of a call and every transition. There is no transition outside these tables.

`docs/call-machine.md` is generated from this file (`python -m worker.call.document`) and compared in CI.
Sections in the reasons are those of the two wire protocols' notes in `docs/protocols.md`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Connection(enum.StrEnum):
    """The Realtime socket."""

    CONNECTING = "connecting"
    READY = "ready"
    LOST = "lost"


class Response(enum.StrEnum):
    """The one response that may exist. `CANCELLING_UNBORN`: interrupted before the API named it."""

    NONE = "none"
    REQUESTED = "requested"
    IN_PROGRESS = "in_progress"
    CANCELLING_UNBORN = "cancelling_unborn"
    CANCELLING = "cancelling"
    PROBING = "probing"


class Playback(enum.StrEnum):
    """What the caller's phone does with our audio."""

    SILENT = "silent"
    PLAYING = "playing"


class Caller(enum.StrEnum):
    """Who has begun to speak. `STOPPED`: spoke, and the turn is not committed yet."""

    QUIET = "quiet"
    SPEAKING = "speaking"
    STOPPED = "stopped"


class Tools(enum.StrEnum):
    """Whether an answer is owed to a tool call."""

    IDLE = "idle"
    RUNNING = "running"


class Trigger(enum.StrEnum):
    """What moves an axis. Those that `OURS` holds come from our own decisions: an illegal one is our bug."""

    CONNECT = "connect"
    CONFIGURED = "configured"
    LOST = "lost"

    CREATE = "create"
    INTERRUPT = "interrupt"
    CREATED = "created"
    CREATED_FOREIGN = "created_foreign"
    CREATE_REFUSED = "create_refused"
    ALREADY_ACTIVE = "already_active"
    DONE = "done"
    NOT_ACTIVE = "not_active"
    CREATE_TIMEOUT = "create_timeout"
    CANCEL_OVERDUE = "cancel_overdue"
    CANCEL_TIMEOUT = "cancel_timeout"
    PROBE_TIMEOUT = "probe_timeout"

    AUDIO_SENT = "audio_sent"
    LAST_MARK = "last_mark"
    CLOCK_END = "clock_end"
    CLEARED = "cleared"

    SPEECH_STARTED = "speech_started"
    SPEECH_STOPPED = "speech_stopped"
    COMMITTED = "committed"
    SPEECH_TOO_LONG = "speech_too_long"
    COMMIT_OVERDUE = "commit_overdue"

    CALL = "call"
    ALL_ANSWERED = "all_answered"


OURS = frozenset(
    {
        Trigger.CONNECT,
        Trigger.CREATE,
        Trigger.INTERRUPT,
        Trigger.AUDIO_SENT,
        Trigger.CLEARED,
        Trigger.CALL,
        Trigger.ALL_ANSWERED,
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """In `state`, `trigger` leads to `then` and runs the axis's method `action` (none when empty)."""

    state: str
    trigger: Trigger
    then: str
    action: str = ""
    why: str = ""


C, R, P, T, K = Connection, Response, Playback, Trigger, Caller

CONNECTION = (
    Row(C.LOST, T.CONNECT, C.CONNECTING, "open_socket", "a new, empty session; `session.updated` within 5 s"),
    Row(C.CONNECTING, T.CONFIGURED, C.READY, "restore", "history first, then the caller's unanswered audio"),
    Row(C.CONNECTING, T.LOST, C.LOST, "retry", "refused, timed out, or configured otherwise than asked"),
    Row(C.READY, T.LOST, C.LOST, "retry", "1001 too: it ends iteration without an error"),
)

RESPONSE = (
    Row(R.NONE, T.CREATE, R.REQUESTED, "send_create", "the only way to a response"),
    Row(R.NONE, T.CREATED_FOREIGN, R.CANCELLING, "cancel_it", "we own every response"),
    Row(R.REQUESTED, T.CREATED, R.IN_PROGRESS, "adopt"),
    Row(R.REQUESTED, T.CREATED_FOREIGN, R.REQUESTED, "cancel_foreign", "ours will be refused: already active"),
    Row(R.REQUESTED, T.INTERRUPT, R.CANCELLING_UNBORN, "", "it has no id yet: nothing can be sent"),
    Row(R.REQUESTED, T.CREATE_REFUSED, R.NONE, "refused"),
    Row(R.REQUESTED, T.ALREADY_ACTIVE, R.PROBING, "fault_and_probe", "never again without proof"),
    Row(R.REQUESTED, T.CREATE_TIMEOUT, R.PROBING, "probe", "no `created` within 2 s"),
    Row(R.IN_PROGRESS, T.DONE, R.NONE, "finish"),
    Row(R.IN_PROGRESS, T.INTERRUPT, R.CANCELLING, "cancel_current"),
    Row(R.IN_PROGRESS, T.CREATED_FOREIGN, R.IN_PROGRESS, "cancel_foreign"),
    Row(R.CANCELLING_UNBORN, T.CREATED, R.CANCELLING, "cancel_it"),
    Row(R.CANCELLING_UNBORN, T.CREATED_FOREIGN, R.CANCELLING_UNBORN, "cancel_foreign"),
    Row(R.CANCELLING_UNBORN, T.INTERRUPT, R.CANCELLING_UNBORN),
    Row(R.CANCELLING_UNBORN, T.CREATE_REFUSED, R.NONE, "settle", "it was never born"),
    Row(R.CANCELLING_UNBORN, T.ALREADY_ACTIVE, R.PROBING, "fault_and_probe"),
    Row(R.CANCELLING_UNBORN, T.CREATE_TIMEOUT, R.PROBING, "probe"),
    Row(R.CANCELLING, T.DONE, R.NONE, "finish", "the awaited end: now a create may leave"),
    Row(R.CANCELLING, T.NOT_ACTIVE, R.NONE, "settle", "it had ended before our cancel arrived"),
    Row(R.CANCELLING, T.INTERRUPT, R.CANCELLING, "", "already on its way"),
    Row(R.CANCELLING, T.CREATED_FOREIGN, R.CANCELLING, "cancel_foreign"),
    Row(R.CANCELLING, T.CANCEL_OVERDUE, R.CANCELLING, "note_overdue", "log, and keep waiting"),
    Row(R.CANCELLING, T.CANCEL_TIMEOUT, R.NONE, "give_up_socket", "2 s: the socket is as good as lost"),
    Row(R.PROBING, T.NOT_ACTIVE, R.NONE, "settle", "proof that nothing is active"),
    Row(R.PROBING, T.DONE, R.NONE, "finish", "the probe ended what was active"),
    Row(R.PROBING, T.CREATED, R.CANCELLING, "cancel_it", "born late"),
    Row(R.PROBING, T.CREATED_FOREIGN, R.CANCELLING, "cancel_it"),
    Row(R.PROBING, T.INTERRUPT, R.PROBING),
    Row(R.PROBING, T.CREATE_REFUSED, R.PROBING, "", "the probe's answer is still due"),
    Row(R.PROBING, T.ALREADY_ACTIVE, R.PROBING, "", "the probe's answer is still due"),
    Row(R.PROBING, T.PROBE_TIMEOUT, R.NONE, "give_up_socket"),
    *(Row(state, T.LOST, R.NONE, "forget", "a new socket has no response") for state in R),
)

PLAYBACK = (
    Row(P.SILENT, T.AUDIO_SENT, P.PLAYING),
    Row(P.PLAYING, T.AUDIO_SENT, P.PLAYING),
    Row(P.PLAYING, T.LAST_MARK, P.SILENT, "all_heard"),
    Row(
        P.PLAYING,
        T.CLOCK_END,
        P.SILENT,
        "all_heard",
        "1 s after the audio must have ended: the mark was lost",
    ),
    Row(P.PLAYING, T.CLEARED, P.SILENT),
    Row(P.SILENT, T.CLEARED, P.SILENT),
)

CALLER = (
    Row(K.QUIET, T.SPEECH_STARTED, K.SPEAKING, "begin_turn"),
    Row(K.SPEAKING, T.SPEECH_STARTED, K.SPEAKING, "begin_turn", "the last one never stopped"),
    Row(K.STOPPED, T.SPEECH_STARTED, K.SPEAKING, "begin_turn"),
    Row(K.SPEAKING, T.SPEECH_STOPPED, K.STOPPED, "end_turn"),
    Row(K.SPEAKING, T.COMMITTED, K.QUIET, "commit_turn", "committed by us, or without `speech_stopped`"),
    Row(K.STOPPED, T.COMMITTED, K.QUIET, "commit_turn"),
    Row(K.SPEAKING, T.SPEECH_TOO_LONG, K.SPEAKING, "commit_by_hand", "45 s: music, or a television"),
    Row(K.STOPPED, T.COMMIT_OVERDUE, K.QUIET, "commit_turn", "2 s: better an answer than dead air"),
    *(Row(state, T.LOST, K.QUIET, "forget", "the new session hears the turn again") for state in K),
)

TOOLS = (
    Row(Tools.IDLE, T.CALL, Tools.RUNNING),
    Row(Tools.RUNNING, T.CALL, Tools.RUNNING),
    Row(Tools.RUNNING, T.ALL_ANSWERED, Tools.IDLE, "", "one create answers all of them"),
)

TABLES: dict[str, tuple[Row, ...]] = {
    "connection": CONNECTION,
    "response": RESPONSE,
    "playback": PLAYBACK,
    "caller": CALLER,
    "tools": TOOLS,
}


class IllegalTransitionError(Exception):
    """Our own code asked for something that no row allows: a bug of ours, never the peer's."""


class Axis:
    """One axis of the call: a state, moved by the rows of its table alone."""

    def __init__(self, rows: Iterable[Row], start: str) -> None:
        self.state = start
        self.ignored: dict[tuple[str, Trigger], int] = {}
        self._rows = {(row.state, row.trigger): row for row in rows}

    def fire(self, trigger: Trigger, *details: object) -> bool:
        """Move, then run the row's action with `details`. False: the peer's nonsense, counted and ignored."""
        row = self._rows.get((self.state, trigger))
        if row is None:
            if trigger in OURS:
                raise IllegalTransitionError(f"{trigger} in {self.state}")
            key = (self.state, trigger)
            self.ignored[key] = self.ignored.get(key, 0) + 1
            return False
        self.state = row.then
        if row.action:
            getattr(self, row.action)(*details)
        return True
