"""What a call is going to be, built once from its briefing: session, tools, machine configuration, history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from app.domain.calls import CallBriefing, TimelineEntry
from app.settings import Settings
from worker.call.context import CallConfig
from worker.call.history import Done, Said
from worker.prompts.instructions import build_instructions
from worker.realtime.session_config import SessionConfig
from worker.tools.goals import TOOLS
from worker.tools.registry import Calendar, Toolbox, ToolContext

PREFIX_PADDING_MS = 300
SILENCE_DURATION_MS = 500


@dataclass(frozen=True, slots=True)
class CallPlan:
    """`offset_ms`: how long the call had lasted when this stream of it began."""

    call_id: int
    stream_number: int
    language: str
    offset_ms: int
    config: CallConfig
    session: SessionConfig
    toolbox: Toolbox
    history: tuple[Said | Done, ...]


def plan_call(
    briefing: CallBriefing, calendar: Calendar, settings: Settings, now: Callable[[], datetime]
) -> CallPlan:
    """`now` gives aware instants."""
    business = briefing.business
    toolbox = Toolbox(ToolContext(briefing, calendar), TOOLS)
    return CallPlan(
        call_id=briefing.call_id,
        stream_number=briefing.stream_number,
        language=business.language,
        offset_ms=max((entry.at_ms for entry in briefing.history), default=0),
        config=CallConfig(
            greeting=business.greeting,
            barge_in_enabled=business.barge_in_enabled,
            barge_in_after_greeting=business.barge_in_after_greeting,
            cancel_wait_ms=settings.cancel_wait_ms,
            vad_prefix_padding_ms=PREFIX_PADDING_MS,
            vad_silence_duration_ms=SILENCE_DURATION_MS,
        ),
        session=SessionConfig(
            instructions=build_instructions(business, now()),
            voice=business.voice,
            language=business.language,
            transcription_model=settings.transcription_model,
            tools=toolbox.definitions,
            prefix_padding_ms=PREFIX_PADDING_MS,
            silence_duration_ms=SILENCE_DURATION_MS,
        ),
        toolbox=toolbox,
        history=tuple(said_and_done(briefing.history)),
    )


def said_and_done(timeline: Iterable[TimelineEntry]) -> Iterable[Said | Done]:
    """An earlier stream's timeline as the model must be told it: what was heard, not what was generated."""
    for entry in timeline:
        data = entry.data
        if entry.kind == "caller_turn" and data.get("text"):
            yield Said(entry.at_ms, "user", data["text"])
        elif entry.kind == "bot_turn" and data.get("heard"):
            yield Said(entry.at_ms, "assistant", data["heard"])
        elif entry.kind == "tool_call":
            yield Done(entry.at_ms, data["tool_call_id"], data["name"], data["arguments"], data["output"])
