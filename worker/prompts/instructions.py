"""The one builder of instructions. Sections are Markdown files; nothing else writes to the model's prompt."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from app.domain.calls import BusinessProfile, CallGoal

_SECTIONS = Path(__file__).parent / "sections"
_LANGUAGES = {"en": "English", "he": "Hebrew (עברית)"}
_GOALS = {
    CallGoal.APPOINTMENT: ("identity", "appointment_rules", "style"),
    CallGoal.MESSAGE: ("identity", "message_rules", "style"),
}


def build_instructions(profile: BusinessProfile, now: datetime) -> str:
    """The session's instructions for a call to this business at `now` (aware; shown in the business's zone)."""
    local = now.astimezone(ZoneInfo(profile.timezone))
    facts = {
        "business": profile.name,
        "language": _LANGUAGES[profile.language],
        "today": f"Today: {local:%Y-%m-%d}",
        "weekday": f"{local:%A}",
        "time": f"{local:%H:%M}",
        "timezone": profile.timezone,
    }
    sections = [_read(name, profile.language).format(**facts) for name in _GOALS[profile.call_goal]]
    if profile.instructions:
        sections.append(f"# From the business\n\n{profile.instructions}")
    return "\n\n".join(section.strip() for section in sections)


def _read(name: str, language: str) -> str:
    return (_SECTIONS / f"{name}.{language}.md").read_text(encoding="utf-8")
