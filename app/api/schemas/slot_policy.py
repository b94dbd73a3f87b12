"""When appointments are given, as JSON."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from app.api.fields import BodyWhole, day, identifier, instant, version, zone_name
from app.api.schemas.answers import AnswerSchema
from app.api.schemas.windows import windows
from app.domain.calendar_settings import StoredPolicy
from app.domain.slot_policy import (
    DAY_MIN,
    MOST_APPOINTMENTS_A_DAY,
    MOST_DAYS_AHEAD,
    MOST_NOTICE_MIN,
    WEEKDAYS,
)

WeekSchema = type(
    "WeekSchema",
    (ma.Schema,),
    {
        "__doc__": "Windows by weekday; a weekday that is left out has none.",
        **{weekday: windows(f"The windows of {weekday}") for weekday in WEEKDAYS},
    },
)


def minutes(description: str, example: int, least: int = 0, most: int = DAY_MIN, **kwargs: Any) -> BodyWhole:
    """A number of minutes."""
    return BodyWhole(
        validate=ma.validate.Range(least, most),
        metadata={"description": description, "example": example},
        **kwargs,
    )


class SlotPolicy(ma.Schema):
    """When appointments are given. What is left out is "none", and the step is the size."""

    weekly_hours = ma.fields.Nested(
        WeekSchema, required=True, metadata={"description": "Opening hours, in the business's time"}
    )
    breaks = ma.fields.Nested(
        WeekSchema,
        metadata={"description": "Taken out of the weekday's hours", "example": {"mon": [["12:00", "13:00"]]}},
    )
    slot_size_min = minutes("How long an appointment lasts; with its buffers at most a day", 30, 1, required=True)
    slot_step_min = minutes("How far apart starts are, from each opening on", 30, 1)
    buffer_before_min = minutes("Kept free before each appointment", 0)
    buffer_after_min = minutes("Kept free after each appointment", 10)
    min_notice_min = minutes("How long before it begins an appointment can be made", 60, most=MOST_NOTICE_MIN)
    booking_window_days = BodyWhole(
        allow_none=True,
        validate=ma.validate.Range(0, MOST_DAYS_AHEAD),
        metadata={"description": "How many days ahead, 0: today only; null: any", "example": 60},
    )
    daily_limit = BodyWhole(
        allow_none=True,
        validate=ma.validate.Range(0, MOST_APPOINTMENTS_A_DAY),
        metadata={"description": "Appointments a day at most; null: any number", "example": 20},
    )


class StoredPolicySchema(AnswerSchema, SlotPolicy):
    """A stored slot policy, with every key."""

    resource_id = BodyWhole(
        required=True,
        allow_none=True,
        metadata={"description": "The resource whose own it is; null: the business's", "example": None},
    )
    timezone = zone_name()
    version = version()
    updated_at = instant("When it was changed last", "2026-11-22T08:00:00+02:00", required=True)

    @ma.pre_dump
    def flat(self, stored: StoredPolicy, **_: Any) -> dict[str, Any]:
        """The keys of the policy beside those that say whose it is."""
        return {
            **stored.policy,
            "resource_id": stored.resource_id,
            "timezone": stored.timezone,
            "version": stored.version,
            "updated_at": stored.updated_at,
        }


class SlotPolicyTrial(ma.Schema):
    """A policy to try, and on which dates."""

    policy = ma.fields.Nested(SlotPolicy, required=True, metadata={"description": "The policy to try"})
    first_day = day("The first date", required=True)
    last_day = day("The last date, at most 30 days after the first", "2026-11-29", required=True)
    resource_id = identifier("As this resource's own; null: as the business's", allow_none=True)
