"""What the bot owes the caller: at most one reply waits, and merging keeps the stronger plan."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Reason(enum.IntEnum):
    """Why a reply is owed; the higher one is the plan. (Guard corrections will stand above tool results.)"""

    RESUME = 1
    GREETING = 2
    TURN = 3
    TOOL_RESULT = 4


@dataclass(frozen=True, slots=True)
class Reply:
    """`extra`: instructions for this reply on top of the session's. `retries`: failures already behind it."""

    reason: Reason
    extra: str = ""
    retries: int = 0

    def merge(self, other: Reply | None) -> Reply:
        """The stronger plan with all that both had to say. A resumption gives way: the caller has moved on."""
        if other is None:
            return self
        strong, weak = (self, other) if self.reason >= other.reason else (other, self)
        extras = [strong.extra]
        if weak.reason is not Reason.RESUME and weak.extra != strong.extra:
            extras.append(weak.extra)
        return Reply(strong.reason, "\n".join(filter(None, extras)), max(self.retries, other.retries))


def greeting(text: str) -> Reply:
    return Reply(Reason.GREETING, f"The call has just begun. Greet the caller with exactly these words: «{text}»")


def resumption(heard: str) -> Reply:
    """After a cough: the caller said nothing, and heard only `heard` of what was being said."""
    return Reply(
        Reason.RESUME,
        "You were cut off by a noise; the caller said nothing. The caller heard you say only this: "
        f"«{heard}». Go on from there, without repeating it.",
    )
