"""What the machine waits for, and until when. Time enters as arguments."""

from __future__ import annotations

import enum


class Deadline(enum.StrEnum):
    CONNECT = "connect"
    RECONNECT = "reconnect"
    CREATE = "create"
    CANCEL_OVERDUE = "cancel_overdue"
    CANCEL = "cancel"
    PROBE = "probe"
    RETRY = "retry"
    PLAYBACK = "playback"
    VERDICT = "verdict"
    SPEECH = "speech"
    COMMIT = "commit"
    CLOSING = "closing"


class Deadlines:
    """At most one instant for each kind; milliseconds on the call's clock."""

    def __init__(self) -> None:
        self._at: dict[Deadline, float] = {}

    def set(self, deadline: Deadline, at_ms: float) -> None:
        self._at[deadline] = at_ms

    def clear(self, *deadlines: Deadline) -> None:
        for deadline in deadlines:
            self._at.pop(deadline, None)

    @property
    def next_ms(self) -> float | None:
        return min(self._at.values(), default=None)

    def pop_due(self, now_ms: float) -> Deadline | None:
        """The earliest one that has come, removed; None when there is none."""
        due = min((at, deadline) for deadline, at in self._at.items()) if self._at else None
        if due is None or due[0] > now_ms:
            return None
        del self._at[due[1]]
        return due[1]
