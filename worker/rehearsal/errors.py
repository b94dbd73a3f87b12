"""What the API refuses, in its words (protocol 1.6 E, F, G, L). Codes marked `?` there are null here."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A client event that is refused; the session is unharmed. Becomes one `error` event."""

    def __init__(self, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def as_error(self, event_id: str | None) -> dict[str, Any]:
        """The `error` object; `event_id` is the client's, or None where the server itself was the cause."""
        return {
            "type": "invalid_request_error",
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": event_id,
        }


def already_active(response_id: str) -> Refused:
    """A create while a response of the default conversation is active."""
    return Refused(
        "conversation_already_has_active_response",
        f"Conversation already has an active response in progress: {response_id}. "
        "Wait until the response is finished before creating a new one.",
    )


def cancel_not_active() -> Refused:
    """A cancel that finds nothing to cancel."""
    return Refused("response_cancel_not_active", "Cancellation failed: no active response found")


def commit_empty(buffered_ms: float) -> Refused:
    """A commit of less than 100 ms of audio."""
    return Refused(
        "input_audio_buffer_commit_empty",
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
        f"but buffer only has {buffered_ms:.2f}ms of audio.",
    )


def item_not_found(item_id: str, param: str) -> Refused:
    """A reference to an item that is not in the conversation."""
    return Refused("item_not_found", f"Item with id '{item_id}' not found.", param)


def missing(param: str) -> Refused:
    """A field that must be there."""
    return Refused("missing_required_parameter", f"Missing required parameter: '{param}'.", param)


def bad_value(value: object, supported: str, param: str) -> Refused:
    """A value that the types allow and the API does not. `supported` says what it would take."""
    return Refused("invalid_value", f"Invalid value: '{value}'. Supported values are: {supported}.", param)


def unsupported(what: str, param: str | None) -> Refused:
    """Something that the real API takes and this engine does not; its README lists it."""
    return Refused("unsupported_by_rehearsal_engine", f"The rehearsal engine does not do {what}.", param)
