"""Every error as words for the model: a code, what to say, and what is free instead.

The one place that renders `app.errors` for the model; a test walks the tree. (`app/api/error_handlers.py` renders
it for programs.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marshmallow import ValidationError

from app import errors
from worker.tools import wording

Result = dict[str, Any]

# Per code: English, Hebrew. What the model is to say or do; it never invents a reason of its own.
SENTENCES: dict[str, dict[str, str]] = {
    "outside_hours": {"en": "We are not open then.", "he": "אנחנו לא פתוחים בשעה הזאת."},
    "break": {"en": "We have a break then.", "he": "יש לנו הפסקה בשעה הזאת."},
    "closed_date": {"en": "We are closed on that day.", "he": "אנחנו סגורים ביום הזה."},
    "off_grid": {"en": "Appointments do not start at that time.", "he": "תורים לא מתחילים בשעה הזאת."},
    "min_notice": {"en": "That is too soon to book.", "he": "זה קרוב מדי מכדי לקבוע."},
    "past": {"en": "That time has passed.", "he": "השעה הזאת כבר עברה."},
    "beyond_window": {"en": "That is too far ahead to book.", "he": "זה רחוק מדי מכדי לקבוע."},
    "buffer": {"en": "That time is too close to another appointment.", "he": "השעה הזאת צמודה מדי לתור אחר."},
    "taken": {"en": "That time is taken.", "he": "השעה הזאת תפוסה."},
    "slot_taken": {"en": "That time has just been taken.", "he": "השעה הזאת נתפסה ברגע זה."},
    "daily_limit": {"en": "That day is full.", "he": "היום הזה מלא."},
    "nothing_free": {"en": "There is no free time.", "he": "אין שעות פנויות."},
    "slot_unavailable": {"en": "That time can't be booked.", "he": "אי אפשר לקבוע לשעה הזאת."},
    "slot_refused": {"en": "That time can't be booked.", "he": "אי אפשר לקבוע לשעה הזאת."},
    "calendar_unavailable": {
        "en": "I can't reach the calendar right now. Nothing was booked.",
        "he": "אין לי כרגע גישה ליומן. שום דבר לא נקבע.",
    },
    "outcome_unknown": {
        "en": "I could not confirm whether that was booked. Please check with our staff.",
        "he": "לא הצלחתי לוודא שהתור נקבע. כדאי לבדוק עם הצוות שלנו.",
    },
    "check_first": {
        "en": "That is not an offer of this call: call check_availability first.",
        "he": "ההצעה הזאת לא ניתנה בשיחה הזאת: יש לקרוא קודם ל-check_availability.",
    },
    "invalid_arguments": {"en": "The arguments are not valid.", "he": "הערכים אינם תקינים."},
    "unknown_tool": {"en": "There is no such tool.", "he": "אין כלי כזה."},
    "too_many_calls": {"en": "That is enough for one call.", "he": "זה מספיק לשיחה אחת."},
    "error": {"en": "That did not work.", "he": "זה לא הצליח."},
}

# Every member of the tree, with the code whose sentence it gets.
WORDS: dict[type[errors.MoedError], str] = {
    errors.MoedError: "error",
    errors.InvalidInput: "invalid_arguments",
    errors.PolicyError: "error",
    errors.SlotUnavailable: "slot_unavailable",
    errors.SlotTaken: "slot_taken",
    errors.SlotRefused: "slot_refused",
    errors.IdempotencyConflict: "error",
    errors.IdempotencyInFlight: "error",
    errors.AlreadyExists: "error",
    errors.InvalidState: "error",
    errors.StaleVersion: "error",
    errors.Unauthenticated: "error",
    errors.WrongLogin: "error",
    errors.Forbidden: "error",
    errors.RateLimited: "too_many_calls",
    errors.NotFound: "error",
    errors.UnknownNumber: "error",
    errors.StreamRefused: "error",
    errors.CalendarUnavailable: "calendar_unavailable",
    errors.OutcomeUnknown: "outcome_unknown",
}


def by_code(code: str, language: str) -> Result:
    """A refusal with its sentence."""
    return {"success": False, "code": code, "say": SENTENCES[code][language]}


def refusal_code(error: errors.MoedError) -> str:
    """The code that the model sees: the policy's own where it refused."""
    if isinstance(error, errors.SlotRefused) and error.refusal_code in SENTENCES:
        return error.refusal_code
    return WORDS[type(error)]


def for_model(error: errors.MoedError, language: str) -> Result:
    result = by_code(refusal_code(error), language)
    if isinstance(error, errors.InvalidInput):
        result["fields"] = {error.field: error.message}
    return result


def invalid_arguments(error: ValidationError | ValueError, language: str) -> Result:
    """Which arguments are wrong, so that the model can mend them."""
    fields = error.messages if isinstance(error, ValidationError) else {"arguments": "not JSON"}
    return {**by_code("invalid_arguments", language), "fields": fields}


def with_alternatives(code: str, offers: Sequence[dict[str, str]], language: str) -> Result:
    """A refusal with what is free instead."""
    result = by_code(code if code in SENTENCES else "slot_refused", language)
    if offers:
        result["say"] += " " + wording.offers(offers, language)
    return {**result, "alternatives": list(offers)}
