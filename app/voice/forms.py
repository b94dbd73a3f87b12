"""What the carrier posts, validated at the edge."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load
from marshmallow.validate import Length, Regexp

from app.domain.calls import IncomingCall
from app.errors import InvalidInput

# `\Z` and not `$`, which also matches before a final newline.
_CALL_SID = r"CA[0-9a-fA-F]{32}\Z"
_E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z")
_LONGEST = 255

# A withheld number comes as one of these words, or spelled on a keypad: ANONYMOUS is +266696687.
_WITHHELD_WORDS = ("ANONYMOUS", "BLOCKED", "PRIVATE", "RESTRICTED", "UNAVAILABLE", "UNKNOWN", "WITHHELD")
_KEYPAD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
_WITHHELD_NUMBERS = frozenset("+" + word.translate(_KEYPAD) for word in _WITHHELD_WORDS)


class _CarrierForm(Schema):
    """A form of the carrier: twenty more fields come with it, and new ones without notice."""

    class Meta:
        unknown = EXCLUDE

    @pre_load
    def _trim(self, data: Mapping[str, str], **_: object) -> dict[str, str]:
        return {name: value.strip() for name, value in data.items()}


class _AfterStreamForm(_CarrierForm):
    call_sid = fields.String(data_key="CallSid", required=True, validate=Regexp(_CALL_SID))


class _IncomingCallForm(_AfterStreamForm):
    to_number = fields.String(data_key="To", required=True, validate=Regexp(_E164))
    from_number = fields.String(data_key="From", load_default="", validate=Length(max=_LONGEST))


_AFTER_STREAM = _AfterStreamForm()
_INCOMING_CALL = _IncomingCallForm()


def incoming_call(form: Mapping[str, str]) -> IncomingCall:
    """The call that `form` announces. Raises `InvalidInput` naming the first bad field, never its value."""
    values = _load(_INCOMING_CALL, form)
    return IncomingCall(
        call_sid=values["call_sid"],
        to_number=values["to_number"],
        from_number=_caller(values["from_number"]),
    )


def call_sid_of(form: Mapping[str, str]) -> str:
    """The carrier's id of the call. Raises `InvalidInput` when it is missing or malformed."""
    return str(_load(_AFTER_STREAM, form)["call_sid"])


def _load(schema: Schema, form: Mapping[str, str]) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = schema.load(form)
    except ValidationError as error:
        name = sorted(error.messages_dict)[0]
        raise InvalidInput(name, str(error.messages_dict[name][0])) from None
    return loaded


def _caller(text: str) -> str | None:
    """The caller's number in E.164, or None: withheld, a SIP address, an extension, or nothing at all."""
    if text in _WITHHELD_NUMBERS or not _E164.match(text):
        return None
    return text
