"""Every error that a caller of the services can meet. Knows neither HTTP nor the model.

Each leaf has a `code`: a stable word for programs. One place renders the tree as HTTP
(`app/api/error_handlers.py`), one as words for the model (`worker/tools/refusals.py`); a test walks the
tree and checks that both know every member.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from app.domain.appointments import FreeSlot


class MoedError(Exception):
    """Root of the tree. `str(error)` is for developers and logs: it never holds personal data."""

    code: ClassVar[str] = "error"


class InvalidInput(MoedError):
    """A value that came from outside breaks a rule; `field` names it."""

    code = "invalid_input"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class PolicyError(InvalidInput):
    """A slot policy breaks a rule; `field` is the path of the key, for example `weekly_hours.mon[0]`."""

    code = "invalid_policy"


class SlotUnavailable(MoedError):
    """A start can't be booked. `alternatives` are free starts near it, at most a few."""

    code = "slot_unavailable"

    def __init__(self, message: str, alternatives: Sequence[FreeSlot] = ()) -> None:
        super().__init__(message)
        self.alternatives = tuple(alternatives)


class SlotTaken(SlotUnavailable):
    """Somebody else has the place, or was faster (also 23P01, 40P01 and 40001 from PostgreSQL)."""

    code = "slot_taken"


class SlotRefused(SlotUnavailable):
    """The policy refuses the start; `refusal_code` is one of `app.domain.availability`'s codes."""

    code = "slot_refused"

    def __init__(self, refusal_code: str, message: str, alternatives: Sequence[FreeSlot] = ()) -> None:
        super().__init__(message, alternatives)
        self.refusal_code = refusal_code


class IdempotencyConflict(MoedError):
    """The same idempotency key came again with another command."""

    code = "idempotency_conflict"


class IdempotencyInFlight(MoedError):
    """The same idempotency key is being answered at this moment."""

    code = "idempotency_in_flight"


class AlreadyExists(MoedError):
    """Something else has this name or address already; `field` names it."""

    code = "already_exists"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class InvalidState(MoedError):
    """What is asked can't be done to a thing in this state, for example moving a cancelled appointment."""

    code = "invalid_state"


class StaleVersion(MoedError):
    """Somebody has changed it since the version that the caller saw; nothing was written."""

    code = "stale_version"


class Unauthenticated(MoedError):
    """No credential, or one that is unknown, revoked or expired."""

    code = "unauthenticated"


class WrongLogin(Unauthenticated):
    """E-mail and password do not belong together; the same for an e-mail that nobody has."""

    code = "wrong_login"


class Forbidden(MoedError):
    """The credential is good, and may not do this."""

    code = "forbidden"


class RateLimited(MoedError):
    """Asked too often; `retry_after_s` is when to come back."""

    code = "rate_limited"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotFound(MoedError):
    """No such thing in this business. The same for "not yours" and "never was"."""

    code = "not_found"


class UnknownNumber(NotFound):
    """A call to a number that no business has."""

    code = "unknown_number"


class StreamRefused(MoedError):
    """A media stream without a valid token; `reason` is a word for the log."""

    code = "stream_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CalendarUnavailable(MoedError):
    """PostgreSQL did not answer in time; nothing was written."""

    code = "calendar_unavailable"


class OutcomeUnknown(MoedError):
    """COMMIT's answer was lost and could not be read back: it may or may not be written."""

    code = "outcome_unknown"
