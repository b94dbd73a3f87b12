"""One spoken call: placed, printed as it happens, and compared with the row that it left."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from app.domain.appointments import AppointmentDetails
from app.domain.calls import CallDetails, CallState
from app.services.demo_data import DEMO_PHONE_NUMBER
from worker.demo import report
from worker.demo.caller import CallFailed, DemoCaller
from worker.demo.carrier import CallRefused
from worker.demo.stack import Stack
from worker.demo.supervisor import DemoError, log_folder
from worker.rehearsal.phone import Phone

CALLER_NUMBER = "+972525551234"
LOOK_EVERY_S = 0.25
CLOSED_WITHIN_S = 10.0


@dataclass(frozen=True)
class SpokenCall:
    """What a call left. `heard_number`: recognised from the audio that the phone received."""

    stored: CallDetails
    heard_number: int | None
    row: AppointmentDetails | None

    @property
    def booked(self) -> bool:
        """Whether the row exists, belongs to this call, and has the number that the caller heard."""
        row = self.row
        return row is not None and row.number == self.heard_number and row.call_id == self.stored.id


def place_call(stack: Stack) -> SpokenCall:
    """Call the demo business and book. Raises `DemoError` when the call can't even be connected or closed."""
    try:
        phone = stack.carrier.call(DEMO_PHONE_NUMBER, CALLER_NUMBER)
    except CallRefused as refused:
        raise DemoError(f"the call was not connected: {refused}") from None
    report.say(f"call    {CALLER_NUMBER} calls {DEMO_PHONE_NUMBER}")
    phone.dial()
    over = threading.Event()
    printer = threading.Thread(target=_print_timeline, args=(stack, phone, over), daemon=True)
    printer.start()
    heard = None
    try:
        heard = DemoCaller(phone).talk()
    except CallFailed as failed:
        report.progress(f"the call failed: {failed}")
    finally:
        phone.hang_up()
        call = _closed_call(stack, phone)
        over.set()
        printer.join()
    report.say(f"call    ended: {call.end_reason}; /voice/after says {stack.carrier.after(phone)}")
    appointment_id = report.appointment_id_of(call)
    row = None
    if appointment_id is not None:
        row = stack.services.scheduling.get_appointment(stack.business_id, appointment_id)
    return SpokenCall(call, heard, row)


def _print_timeline(stack: Stack, phone: Phone, over: threading.Event) -> None:
    shown = 0
    while True:
        last = over.is_set()
        call = stack.services.calls.find_call(stack.business_id, phone.call_sid)
        if call is not None:
            report.show(call.timeline[shown:])
            shown = len(call.timeline)
        if last:
            return
        over.wait(LOOK_EVERY_S)


def _closed_call(stack: Stack, phone: Phone) -> CallDetails:
    """The call's row once its worker has closed it."""
    deadline = time.monotonic() + CLOSED_WITHIN_S
    while time.monotonic() < deadline:
        call = stack.services.calls.find_call(stack.business_id, phone.call_sid)
        if call is not None and call.state in (CallState.ENDED, CallState.FAILED, CallState.LOST):
            return call
        time.sleep(LOOK_EVERY_S)
    raise DemoError(f"the worker did not close the call (log: {log_folder() / 'worker.log'})")
