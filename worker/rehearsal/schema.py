"""A strict validator of Realtime events, on the `openai` package's own types.

The library itself validates nothing (protocol 1.2: missing fields pass, unknown ones are kept). Here
nothing is coerced, no field may be missing, and no unknown field may stand anywhere, however deep.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, get_args

import orjson
from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from openai.types.realtime.response_item_reference import ResponseItemReference
from pydantic import BaseModel, ValidationError

Path = tuple[str | int, ...]
Errors = list[tuple[Path, Mapping[str, Any]]]


class SchemaError(Exception):
    """An event the types don't allow. `param` is its path as the API writes it, `code` the API's word."""

    def __init__(self, param: str | None, message: str, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.param = param
        self.message = message
        self.code = code


def validate_client_event(event: Mapping[str, Any]) -> None:
    """Raise `SchemaError` unless this is a client event. `response.create` may refer to items (1.4)."""
    model = _class_of(event, _client_classes())
    _check(model, _without_references(event), wire_extras=False)


def validate_server_event(event: Mapping[str, Any]) -> None:
    """Raise `SchemaError` unless this is a server event with every field that the wire carries."""
    model = _class_of(event, _server_classes())
    _check(model, event, wire_extras=True)
    for path in REQUIRED_ON_THE_WIRE.get(event["type"], ()):
        _require(event, path.split("."), "")


_ITEM = ("item.id", "item.type")
_RESPONSE = tuple(
    f"response.{name}"
    for name in (
        *("object", "id", "status", "status_details", "output", "conversation_id", "output_modalities"),
        *("max_output_tokens", "audio.output.format.type", "audio.output.voice", "usage", "metadata"),
        *("output[].id", "output[].type"),
    )
)
_SESSION = tuple(
    f"session.{name}"
    for name in (
        *("object", "id", "model", "expires_at", "output_modalities", "instructions", "tools", "tool_choice"),
        *(
            "max_output_tokens",
            "tracing",
            "truncation",
            "audio.input.format.type",
            "audio.input.transcription",
        ),
        *("audio.input.noise_reduction", "audio.input.turn_detection"),
        *("audio.output.format.type", "audio.output.voice", "audio.output.speed"),
    )
)
_CHAIN = ("previous_item_id",)

# The types call these optional; recorded traffic always carries them (protocol 1.5).
REQUIRED_ON_THE_WIRE: Mapping[str, tuple[str, ...]] = {
    "session.created": _SESSION,
    "session.updated": _SESSION,
    "conversation.item.added": _ITEM + _CHAIN,
    "conversation.item.done": _ITEM + _CHAIN,
    "conversation.item.retrieved": _ITEM,
    "conversation.item.input_audio_transcription.delta": ("content_index", "delta"),
    "input_audio_buffer.committed": _CHAIN,
    "response.created": _RESPONSE,
    "response.done": _RESPONSE,
    "response.output_item.added": _ITEM,
    "response.output_item.done": _ITEM,
    "response.content_part.added": ("part.type",),
    "response.content_part.done": ("part.type",),
    "rate_limits.updated": tuple(
        f"rate_limits[].{name}" for name in ("name", "limit", "remaining", "reset_seconds")
    ),
    "error": ("error.code", "error.param", "error.event_id"),
}

_LABEL = re.compile(r"[A-Z]|(str|int|float|bool|dict|list|literal)\b")

# Seen on the wire and not in the types (protocol 1.5).
_WIRE_EXTRAS = (
    re.compile(r"obfuscation"),
    re.compile(r"(item|response\.output\[\d+\])\.phase"),
    re.compile(r"response\.usage\.output_token_details\.reasoning_tokens"),
    re.compile(r"session\.(object|id|expires_at)"),
)


@cache
def _client_classes() -> dict[str, type[BaseModel]]:
    return _by_type(RealtimeClientEvent)


@cache
def _server_classes() -> dict[str, type[BaseModel]]:
    return _by_type(RealtimeServerEvent)


def _by_type(union: Any) -> dict[str, type[BaseModel]]:
    classes = get_args(get_args(union)[0])
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in classes}


def _class_of(event: Mapping[str, Any], classes: Mapping[str, type[BaseModel]]) -> type[BaseModel]:
    kind = event.get("type")
    if not isinstance(kind, str):
        raise SchemaError(None, "The 'type' field is missing.", "invalid_event")
    if kind not in classes:
        raise SchemaError("type", _unsupported(kind, sorted(classes)))
    return classes[kind]


def _check(model: type[BaseModel], event: Mapping[str, Any], *, wire_extras: bool) -> None:
    try:
        # JSON, because that is what travels: a tuple or an enum that Python would let pass is no wire value.
        parsed = model.model_validate_json(orjson.dumps(event), strict=True)
    except ValidationError as error:
        raise _explain(error, event) from None
    for path in _unknown(parsed, ()):
        param = _spell(path)
        if not (wire_extras and any(extra.fullmatch(param) for extra in _WIRE_EXTRAS)):
            raise SchemaError(param, f"Unknown parameter: '{param}'.", "unknown_parameter")


def _without_references(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """`response.input` may hold item references, which only the library's *param* types know."""
    response = event.get("response")
    given = response.get("input") if isinstance(response, dict) else None
    if event["type"] != "response.create" or not isinstance(given, list):
        return event
    items = []
    for index, item in enumerate(given):
        if isinstance(item, dict) and item.get("type") == "item_reference":
            try:
                _check(ResponseItemReference, item, wire_extras=False)
            except SchemaError as error:
                where = f"response.input[{index}]"
                message = error.message.replace(f"'{error.param}'", f"'{where}.{error.param}'")
                raise SchemaError(f"{where}.{error.param}", message, error.code) from None
        else:
            items.append(item)
    return {**event, "response": {**response, "input": items}} if isinstance(response, dict) else event


def _unknown(value: Any, path: Path) -> Iterable[Path]:
    """The paths of all fields below `value` that no type declares."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or ():
            yield (*path, name)
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name), (*path, name))
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _unknown(element, (*path, index))


def _require(value: Any, steps: list[str], done: str) -> None:
    """Raise unless the path exists in `value`. A null ends it; `x[]` means every element of the list `x`."""
    if not steps or value is None:
        return
    name, each = steps[0].removesuffix("[]"), steps[0].endswith("[]")
    where = f"{done}.{name}" if done else name
    if name not in value:
        raise SchemaError(where, f"Missing required parameter: '{where}'.", "missing_required_parameter")
    for element in value[name] if each else [value[name]]:
        _require(element, steps[1:], where)


def _explain(error: ValidationError, event: Mapping[str, Any]) -> SchemaError:
    """The one complaint that the API would make, out of pydantic's one per member of each union."""
    errors: Errors = [(tuple(e["loc"]), e) for e in error.errors(include_url=False)]
    path, first = _narrow(errors, event)[0]
    param = _spell(path)
    if first["type"] == "missing":
        return SchemaError(param, f"Missing required parameter: '{param}'.", "missing_required_parameter")
    if first["type"] == "literal_error":
        alike = [e for p, e in _narrow(errors, event) if p == path and e["type"] == "literal_error"]
        expected = [word for e in alike for word in _words(e)]
        return SchemaError(param, _unsupported(first["input"], expected))
    wanted = str(first["msg"]).removeprefix("Input should be ").removeprefix("a valid ")
    return SchemaError(param, f"Invalid type for '{param}': expected {wanted}.", "invalid_type")


def _narrow(errors: Errors, event: Any) -> Errors:
    """Drop the members of unions that were not meant, and their names from the paths."""
    plain: Errors = []
    unions: dict[Path, dict[str, Errors]] = {}
    for path, error in errors:
        at = _label_at(path, event)
        if at is None:
            plain.append((path, error))
        else:
            members = unions.setdefault(path[:at], {})
            members.setdefault(str(path[at]), []).append((path[:at] + path[at + 1 :], error))
    for prefix, members in unions.items():
        misfits = {name: _misfit(prefix, found) for name, found in members.items()}
        least = min(misfits.values())
        least = least[:1] if least[0] else least
        # Where no member fits, all of their discriminators together say what would have.
        meant = [e for name, found in members.items() if misfits[name][: len(least)] == least for e in found]
        if any(least):
            meant = [e for e in meant if e[0] == _tag(prefix, "type" if least[0] else "role")]
        plain.extend(_narrow(meant, event))
    return plain


def _misfit(prefix: Path, errors: Errors) -> tuple[int, ...]:
    """How little a union's member fits: by its `type` first, then by its `role`."""
    paths = [path for path, _ in errors]
    return paths.count(_tag(prefix, "type")), paths.count(_tag(prefix, "role"))


def _tag(prefix: Path, name: str) -> Path:
    return (*prefix, name)


def _label_at(path: Path, event: Any) -> int | None:
    """Where pydantic has put the name of a union's member into the path, if it has."""
    value = event
    for index, step in enumerate(path):
        known = isinstance(value, dict) and step in value
        if not known and isinstance(step, str) and _LABEL.match(step):
            return index
        if known or (isinstance(value, list) and isinstance(step, int)):
            value = value[step]
    return None


def _words(error: Mapping[str, Any]) -> list[str]:
    return re.findall(r"'([^']*)'", str(error["ctx"]["expected"]))


def _unsupported(given: Any, expected: Iterable[str]) -> str:
    choices = ", ".join(f"'{word}'" for word in dict.fromkeys(expected))
    return f"Invalid value: '{given}'. Supported values are: {choices}."


def _spell(path: Path) -> str:
    """`("item", "content", 0, "text")` -> `item.content[0].text`, as the API writes it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
