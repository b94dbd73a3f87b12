"""The caller's turns: who has begun to speak, which turns want an answer, which were a cough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from worker.call import commands as cmd
from worker.call.context import Context
from worker.call.deadlines import Deadline
from worker.call.events import SpeechStarted, SpeechStopped, TurnCommitted, TurnTranscribed
from worker.call.replies import Reply
from worker.call.tables import CALLER, Axis, Caller, Trigger

# A turn with less speech than this may be a cough: its transcription is waited for, but not long.
SHORT_TURN_MS = 700.0
VERDICT_WAIT_MS = 300.0
LONGEST_SPEECH_MS = 45_000.0
COMMIT_WAIT_MS = 2000.0


@dataclass(slots=True)
class Turn:
    """One turn of the caller; instants on the caller's audio clock (ms since the stream began)."""

    item_id: str
    start_ms: float
    end_ms: float | None = None
    text: str | None = None
    transcribed: bool = False
    committed: bool = False
    # What the caller had heard of us when this turn cut us off; None when it did not.
    cut_off: str | None = None
    # The reply that it cut off before anything of it was heard.
    cut_reply: Reply | None = None
    taken_up: bool = False
    answered: bool = False
    noise: bool = False
    recorded: bool = False


class TurnHost(Protocol):
    def speech_started(self, turn: Turn) -> None: ...

    def turn_wants_reply(self, turn: Turn) -> None: ...

    def turn_was_noise(self, turn: Turn) -> None: ...


class Turns(Axis):
    """States and rows in `tables.CALLER`. `turns` is the call's whole list, oldest first."""

    def __init__(self, context: Context, host: TurnHost) -> None:
        super().__init__(CALLER, Caller.QUIET)
        self._context = context
        self._host = host
        self.turns: list[Turn] = []
        self._current: Turn | None = None
        self._undecided: Turn | None = None
        self._offset_ms = 0.0
        # Turns were sent again to a new connection, from here on, and it has not noticed any of them yet.
        self._sent_again_from: float | None = None

    @property
    def quiet(self) -> bool:
        """Nobody is speaking, and no turn waits for the verdict whether it was speech at all."""
        return self.state == Caller.QUIET and self._undecided is None

    def started(self, event: SpeechStarted) -> None:
        self.fire(Trigger.SPEECH_STARTED, event)

    def stopped(self, event: SpeechStopped) -> None:
        self.fire(Trigger.SPEECH_STOPPED, event)

    def committed(self, event: TurnCommitted) -> None:
        self.fire(Trigger.COMMITTED, event.item_id)

    def transcribed(self, event: TurnTranscribed) -> None:
        """The words of a turn, whenever they come; an empty text is a noise."""
        turn = next((turn for turn in self.turns if turn.item_id == event.item_id), None)
        if turn is None or turn.transcribed:
            return
        turn.transcribed, turn.text = True, (event.text or "").strip() or None
        if turn is self._undecided:
            self._decide(turn)
        if turn.committed:
            self._record(turn)

    def verdict_overdue(self) -> None:
        """No transcription in time: better to answer a cough than to leave a caller without an answer."""
        if self._undecided is not None:
            self._decide(self._undecided)

    def unanswered_from(self) -> float:
        """Since when the caller's audio has had no answer: what a new connection must hear first."""
        if self._sent_again_from is not None:
            return self._sent_again_from
        for turn in self.turns:
            if not turn.answered and not turn.noise and turn.text is None:
                return turn.start_ms
        ends = [turn.end_ms for turn in self.turns if turn.end_ms is not None]
        return max(ends, default=0.0)

    def connected(self, from_ms: float) -> list[Turn]:
        """A connection's audio clock begins at `from_ms` of the caller's. Returns the turns heard again on it."""
        self._offset_ms = from_ms
        again = [turn for turn in self.turns if turn.start_ms >= from_ms]
        self.turns = [turn for turn in self.turns if turn.start_ms < from_ms]
        if again:
            self._sent_again_from = from_ms
        return again

    def take_up(self) -> None:
        """A response is being created: it is the answer to every turn committed by now."""
        for turn in self.turns:
            turn.taken_up = turn.taken_up or turn.committed

    def answer(self) -> None:
        """That response was given, or spoken over: the audio of its turns need not be kept for a new socket."""
        for turn in self.turns:
            turn.answered = turn.answered or turn.taken_up
        self._context.emit(cmd.ForgetAudio(self.unanswered_from()))

    def record_rest(self) -> None:
        """The call is over: turns whose transcription never came are recorded without words."""
        for turn in self.turns:
            self._record(turn)

    # Actions of the table

    def begin_turn(self, event: SpeechStarted) -> None:
        self._sent_again_from = None
        turn = Turn(event.item_id, self._offset_ms + event.audio_start_ms)
        self._current = turn
        self.turns.append(turn)
        self._context.deadlines.clear(Deadline.COMMIT)
        self._context.deadlines.set(Deadline.SPEECH, self._context.now_ms + LONGEST_SPEECH_MS)
        self._host.speech_started(turn)

    def end_turn(self, event: SpeechStopped) -> None:
        if self._current is not None:
            self._current.end_ms = self._offset_ms + event.audio_end_ms
        self._context.deadlines.clear(Deadline.SPEECH)
        self._context.deadlines.set(Deadline.COMMIT, self._context.now_ms + COMMIT_WAIT_MS)

    def commit_by_hand(self) -> None:
        self._context.emit(cmd.CommitAudio(self._context.new_id("commit")))
        self._context.deadlines.set(Deadline.SPEECH, self._context.now_ms + LONGEST_SPEECH_MS)

    def commit_turn(self, item_id: str | None = None) -> None:
        turn, self._current = self._current, None
        self._context.deadlines.clear(Deadline.SPEECH, Deadline.COMMIT)
        if turn is None:
            return
        if item_id is not None:
            turn.item_id = item_id
        turn.committed = True
        if self._speech_ms(turn) >= SHORT_TURN_MS or turn.transcribed:
            self._decide(turn)
        else:
            if self._undecided is not None:
                self._decide(self._undecided)
            self._undecided = turn
            self._context.deadlines.set(Deadline.VERDICT, self._context.now_ms + VERDICT_WAIT_MS)

    def forget(self) -> None:
        self._current = self._undecided = None
        self._context.deadlines.clear(Deadline.SPEECH, Deadline.COMMIT, Deadline.VERDICT)

    def _decide(self, turn: Turn) -> None:
        if turn is self._undecided:
            self._undecided = None
            self._context.deadlines.clear(Deadline.VERDICT)
        short = self._speech_ms(turn) < SHORT_TURN_MS
        if short and turn.transcribed and turn.text is None:
            turn.noise = True
            self._host.turn_was_noise(turn)
        else:
            self._host.turn_wants_reply(turn)
        if turn.transcribed:
            self._record(turn)

    def _speech_ms(self, turn: Turn) -> float:
        """Speech alone: the API's span holds the padding before and the silence after it."""
        if turn.end_ms is None:
            return SHORT_TURN_MS
        config = self._context.config
        return turn.end_ms - turn.start_ms - config.vad_prefix_padding_ms - config.vad_silence_duration_ms

    def _record(self, turn: Turn) -> None:
        if turn.recorded or not turn.committed:
            return
        turn.recorded = True
        self._context.record("caller_turn", turn.start_ms, text=turn.text, until_ms=turn.end_ms, noise=turn.noise)
