"""The response axis: at most one response, every create proven safe, every cancel awaited.

The API refuses a create while a response is active and a cancel while none is
(`conversation_already_has_active_response`, `response_cancel_not_active`). A create therefore leaves only in
NONE, and NONE is reached only by proof: `response.done` of that id, or a refusal of *our* cancel.
"""

from __future__ import annotations

from typing import Protocol

from worker.call import commands as cmd
from worker.call.context import Context
from worker.call.deadlines import Deadline
from worker.call.events import ApiError, ResponseCreated, ResponseDone
from worker.call.replies import Reply
from worker.call.tables import RESPONSE, Axis, Response, Trigger

CREATE_TIMEOUT_MS = 2000.0
CANCEL_TIMEOUT_MS = 2000.0
PROBE_TIMEOUT_MS = 1000.0


class ResponseHost(Protocol):
    """Who is told how a response ended."""

    def response_finished(self, done: ResponseDone, reply: Reply | None, *, interrupted: bool) -> None:
        """`reply`: what it was for; None when it is not the response that we asked for."""

    def response_never_was(self, reply: Reply | None, *, refused: bool, interrupted: bool) -> None:
        """No `response.done` will come. `refused`: the API answered our create with an error."""

    def socket_is_lost(self, reason: str) -> None: ...


class ResponseAxis(Axis):
    """States and rows in `tables.RESPONSE`; this class finds out which trigger an event is."""

    def __init__(self, context: Context, host: ResponseHost) -> None:
        super().__init__(RESPONSE, Response.NONE)
        self._context = context
        self._host = host
        self._forget_ids()

    def _forget_ids(self) -> None:
        self.response_id: str | None = None
        self._reply: Reply | None = None
        self._interrupted = False
        self._create_id = ""
        self._create_event = ""
        self._cancel_event = ""
        # Cancels without an answer, oldest first: an error without event_id belongs to the oldest.
        self._unanswered_cancels: list[str] = []
        self._foreign: set[str] = set()

    @property
    def active(self) -> bool:
        """Whether the API has, or may have, a response of ours that no cancel is on its way to."""
        return self.state in (Response.REQUESTED, Response.IN_PROGRESS)

    def delivers(self, response_id: str) -> bool:
        """Whether audio of this response may reach the caller."""
        return self.state == Response.IN_PROGRESS and response_id == self.response_id

    @property
    def owed(self) -> Reply | None:
        """What the present response is for, unless the caller has spoken over it."""
        return None if self._interrupted else self._reply

    def create(self, reply: Reply) -> None:
        self.fire(Trigger.CREATE, reply)

    def interrupt(self) -> None:
        if self.state != Response.NONE:
            self._interrupted = True
            self.fire(Trigger.INTERRUPT)

    def created(self, event: ResponseCreated) -> None:
        ours = event.create_id is not None and event.create_id == self._create_id
        self.fire(Trigger.CREATED if ours else Trigger.CREATED_FOREIGN, event.response_id)

    def done(self, event: ResponseDone) -> None:
        """Acts only on the response that is meant; a probe means whichever is active."""
        if event.status == "cancelled" and self._unanswered_cancels:
            self._unanswered_cancels.pop(0)
        foreign = event.response_id in self._foreign
        self._foreign.discard(event.response_id)
        if event.response_id == self.response_id or (self.state == Response.PROBING and not foreign):
            self.fire(Trigger.DONE, event)
        else:
            self._host.response_finished(event, None, interrupted=True)

    def error(self, event: ApiError) -> bool:
        """Whether the error is about a create or a cancel, and so handled here."""
        if event.code == "response_cancel_not_active":
            self._cancel_refused(event.event_id)
            return True
        if event.code == "conversation_already_has_active_response":
            self.fire(Trigger.ALREADY_ACTIVE)
            return True
        if event.event_id is not None and event.event_id == self._create_event:
            self.fire(Trigger.CREATE_REFUSED)
            return True
        return False

    def _cancel_refused(self, event_id: str | None) -> None:
        if event_id is None and self._unanswered_cancels:
            event_id = self._unanswered_cancels[0]
        if event_id in self._unanswered_cancels:
            self._unanswered_cancels.remove(event_id)
            if event_id == self._cancel_event:
                self.fire(Trigger.NOT_ACTIVE)

    # Actions of the table

    def send_create(self, reply: Reply) -> None:
        self._reply, self._interrupted, self.response_id = reply, False, None
        self._create_id = self._context.new_id("reply")
        self._create_event = self._context.new_id("create")
        self._context.deadlines.set(Deadline.CREATE, self._context.now_ms + CREATE_TIMEOUT_MS)
        self._context.emit(cmd.CreateResponse(self._create_event, self._create_id, reply.extra))

    def adopt(self, response_id: str) -> None:
        self.response_id = response_id
        self._context.deadlines.clear(Deadline.CREATE)

    def cancel_it(self, response_id: str) -> None:
        self.adopt(response_id)
        self.cancel_current()

    def cancel_current(self) -> None:
        """Ask for the end, and wait for it."""
        now = self._context.now_ms
        self._context.deadlines.set(Deadline.CANCEL_OVERDUE, now + self._context.config.cancel_wait_ms)
        self._context.deadlines.set(Deadline.CANCEL, now + CANCEL_TIMEOUT_MS)
        self._cancel_event = self._send_cancel(self.response_id)

    def cancel_foreign(self, response_id: str) -> None:
        """A response that we did not ask for: the server's settings are not what we set."""
        self._foreign.add(response_id)
        self._send_cancel(response_id)
        self._context.log("foreign response cancelled", response_id=response_id)

    def fault_and_probe(self) -> None:
        self._context.log("fault", code="conversation_already_has_active_response")
        self._context.record("fault", code="conversation_already_has_active_response")
        self.probe()

    def probe(self) -> None:
        """Find out whether anything is active: a bare cancel is answered by `done` or by a refusal."""
        self._context.deadlines.clear(Deadline.CREATE)
        self._context.deadlines.set(Deadline.PROBE, self._context.now_ms + PROBE_TIMEOUT_MS)
        self._cancel_event = self._send_cancel(None)

    def note_overdue(self) -> None:
        self._context.log("cancel is overdue", response_id=self.response_id)

    def give_up_socket(self) -> None:
        self._host.socket_is_lost("cancel_unanswered")

    def refused(self) -> None:
        reply = self._end()
        self._host.response_never_was(reply, refused=True, interrupted=False)

    def settle(self) -> None:
        """Nothing is active, and no `done` has told so."""
        interrupted, reply = self._interrupted, self._end()
        self._host.response_never_was(reply, refused=False, interrupted=interrupted)

    def finish(self, event: ResponseDone) -> None:
        ours = event.response_id == self.response_id
        interrupted, reply = self._interrupted, self._end()
        self._host.response_finished(event, reply if ours else None, interrupted=interrupted or not ours)
        if not ours:
            self._host.response_never_was(reply, refused=False, interrupted=interrupted)

    def forget(self) -> None:
        """A new socket: nothing of the old one counts."""
        self._end()
        self._forget_ids()

    def _send_cancel(self, response_id: str | None) -> str:
        event_id = self._context.new_id("cancel")
        self._unanswered_cancels.append(event_id)
        self._context.emit(cmd.CancelResponse(event_id, response_id))
        return event_id

    def _end(self) -> Reply | None:
        self._context.deadlines.clear(Deadline.CREATE, Deadline.CANCEL, Deadline.CANCEL_OVERDUE, Deadline.PROBE)
        reply, self._reply, self.response_id, self._interrupted = self._reply, None, None, False
        self._create_id = self._create_event = ""
        return reply
