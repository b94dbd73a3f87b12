"""The calendar tools: look for free times, book one that was offered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from marshmallow import Schema, fields, validate

from app.domain.appointments import BookAppointment, FindSlots, FreeSlot, Source
from app.errors import SlotUnavailable
from worker.tools import refusals, wording
from worker.tools.registry import Result, Tool, ToolContext

log = structlog.get_logger(__name__)


class CheckAvailability(Schema):
    date = fields.Date(
        load_default=None,
        metadata={"description": "The day the caller wants, YYYY-MM-DD. Leave out for the next free times."},
    )
    time = fields.Time(
        format="%H:%M",
        load_default=None,
        metadata={"description": "The time of day the caller wants, HH:MM on a 24-hour clock."},
    )


class ScheduleAppointment(Schema):
    offer_id = fields.String(
        required=True,
        validate=validate.Length(min=1, max=16),
        metadata={"description": "The offer the caller accepted, as check_availability gave it."},
    )
    customer_name = fields.String(
        required=True,
        validate=validate.Length(min=1, max=200),
        metadata={"description": "The caller's name, as the caller said it."},
    )
    notes = fields.String(
        load_default="",
        validate=validate.Length(max=1000),
        metadata={"description": "What else the receptionist should know. Leave out if there is nothing."},
    )


def check_availability(context: ToolContext, tool_call_id: str, arguments: Mapping[str, Any]) -> Result:
    """A few free times as offers, or the reason why the wish can't be met, with what is free near it."""
    business = context.briefing.business
    search = context.calendar.find_slots(FindSlots(business.id, arguments["date"], arguments["time"]))
    log.info(
        "CAL_AVAIL_OK",
        call_id=context.briefing.call_id,
        business_id=business.id,
        offers=len(search.offers),
        refusal=search.refusal_code,
    )
    offers = make_offers(context, search.offers)
    if search.refusal_code is None and offers:
        say = wording.offers(offers, context.language)
        return {"success": True, "offers": offers, "say": say}
    code = search.refusal_code or "nothing_free"
    return refusals.with_alternatives(code, offers, context.language)


def schedule_appointment(context: ToolContext, tool_call_id: str, arguments: Mapping[str, Any]) -> Result:
    """Book an offer of this call. `success` is true only after COMMIT."""
    briefing, offer_id = context.briefing, arguments["offer_id"]
    name = " ".join(arguments["customer_name"].split())
    slot = context.offers.get(offer_id)
    if slot is None:
        return refusals.by_code("check_first", context.language)
    if context.outcome_unknown:
        return refusals.by_code("outcome_unknown", context.language)
    again = context.booked.get((offer_id, name.casefold()))
    if again is not None:
        return again
    command = BookAppointment(
        business_id=briefing.business.id,
        starts_at=slot.starts_at,
        customer_name=name,
        customer_phone=briefing.caller_number,
        notes=arguments["notes"],
        source=Source.VOICE,
        call_id=briefing.call_id,
        idempotency_key=f"{briefing.call_sid}:{tool_call_id}",
    )
    try:
        details = context.calendar.book_appointment(command)
    except SlotUnavailable as error:
        log.warning("CAL_CREATE_FAILED", call_id=briefing.call_id, code=error.code)
        offers = make_offers(context, error.alternatives)
        return refusals.with_alternatives(refusals.refusal_code(error), offers, context.language)
    log.info(
        "CAL_CREATE_OK",
        call_id=briefing.call_id,
        business_id=briefing.business.id,
        appointment_id=details.id,
    )
    say = wording.booked(details.starts_at, details.number, briefing.business.timezone, context.language)
    result: Result = {
        "success": True,
        "appointment_id": details.id,
        "appointment_number": details.number,
        "say": say,
    }
    context.booked[offer_id, name.casefold()] = result
    return result


def make_offers(context: ToolContext, slots: Iterable[FreeSlot]) -> list[dict[str, str]]:
    """Enter free times as this call's offers; the same time keeps its id."""
    known = {slot: offer_id for offer_id, slot in context.offers.items()}
    offers = []
    for slot in slots:
        offer_id = known.get(slot) or f"o{len(context.offers) + 1}"
        context.offers[offer_id] = slot
        say = wording.instant(slot.starts_at, context.briefing.business.timezone, context.language)
        offers.append({"offer_id": offer_id, "say": say})
    return offers


CHECK_AVAILABILITY = Tool(
    "check_availability",
    "Free times that can be booked now. MUST be called before any time is named to the caller.",
    CheckAvailability(),
    check_availability,
)
SCHEDULE_APPOINTMENT = Tool(
    "schedule_appointment",
    "Book an offered time. The only way to book: nothing is booked until this returns success with a number.",
    ScheduleAppointment(),
    schedule_appointment,
)
