"""The form of a question: from the JSON Schema of its answer to fields, and from what a form sends to the answer.

Whether an answer fits is decided where it is stored (warehouse/inbox.py): what cannot be read as its type stays text.
"""

import json
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlpipe_dagster.vocabulary import split_list

RADIO_CHOICES = 6
"""Up to so many choices are shown at once; more of them are a list to choose from."""
MOST_TICKS = 40
"""Of a list with more choices those that are chosen are shown, and a field that adds others."""
LONG_TEXT = 200
"""Text that may be longer gets several lines."""
YES_NO = {"true": "yes", "false": "no"}
INPUT_TYPES = {"date": "date", "email": "email", "time": "time", "uri": "url"}
"""`format` of a text to the type of its input."""
LIMITS = {"minLength": "minlength", "maxLength": "maxlength", "minimum": "min", "maximum": "max"}
"""Limits of JSON Schema that HTML has, too."""

Shape = Mapping[str, Any]
Said = Mapping[str, Sequence[str]]
"""Field name to the texts that a form or an address has for it."""


@dataclass(frozen=True)
class Field:
    """One field as it is drawn. `options`: value as text to words."""

    name: str
    title: str
    hint: str
    kind: str
    """radio, select, ticks, added (ticks that are added by name), lines or input."""
    options: Mapping[str, str]
    chosen: tuple[str, ...]
    required: bool
    attributes: Mapping[str, str]


def fields_of(schema: Shape, said: Said | None = None) -> list[Field]:
    """The fields of a schema's properties; filled with what was said, else with their defaults."""
    required = schema.get("required", [])
    return [
        _field(name, shape, name in required, (said or {}).get(name)) for name, shape in schema["properties"].items()
    ]


def answer_of(schema: Shape, said: Said) -> dict[str, Any]:
    """What was said, in the schema's types; a field left empty is None. Unknown fields stay as they came."""
    shapes: Mapping[str, Shape] = schema["properties"]
    return {name: _value(shapes.get(name, {}), texts) for name, texts in said.items()}


def some_of(texts: Sequence[str], known: Container[str]) -> tuple[str, ...]:
    """Which of the known names were ticked, one a text, or typed, several a text with commas between; as they came."""
    parts = ((text,) if text in known else split_list(text) for text in texts)
    return tuple(dict.fromkeys(name for named in parts for name in named))


def _field(name: str, shape: Shape, required: bool, said: Sequence[str] | None) -> Field:
    options = _options(shape)
    kind = _kind(shape, options)
    default = _texts(shape.get("default"))
    if default and kind == "input" and _is_list(shape):
        default = (", ".join(default),)
    return Field(
        name=name,
        title=shape.get("title", name),
        hint=shape.get("description", ""),
        kind=kind,
        options=options,
        chosen=default if said is None else some_of(said, options) if kind == "added" else tuple(filter(None, said)),
        required=required and kind not in ("ticks", "added"),
        attributes=_attributes(shape) if kind in ("input", "lines") else {},
    )


def _kind(shape: Shape, options: Mapping[str, str]) -> str:
    if _is_list(shape):
        if not options:
            return "input"
        return "ticks" if len(options) <= MOST_TICKS else "added"
    if options:
        return "radio" if len(options) <= RADIO_CHOICES else "select"
    return "lines" if shape.get("maxLength", 0) > LONG_TEXT else "input"


def _type(shape: Shape) -> str | None:
    """The type; of several the first that is not null."""
    types = shape.get("type")
    named = [types] if isinstance(types, str) else types or []
    return next((each for each in named if each != "null"), None)


def _is_list(shape: Shape) -> bool:
    return _type(shape) == "array"


def _options(shape: Shape) -> dict[str, str]:
    one = shape.get("items", {}) if _is_list(shape) else shape
    if "enum" in one:
        return {_text(value): _text(value) for value in one["enum"] if value is not None}
    return YES_NO if _type(one) == "boolean" else {}


def _attributes(shape: Shape) -> dict[str, str]:
    found = {limit: str(shape[name]) for name, limit in LIMITS.items() if name in shape}
    if _type(shape) in ("integer", "number"):
        step = shape.get("multipleOf", 1 if _type(shape) == "integer" else "any")
        return found | {"type": "number", "step": str(step)}
    kind = INPUT_TYPES.get(shape.get("format", ""))
    return found | ({"type": kind} if kind else {})


def _texts(default: object) -> tuple[str, ...]:
    if default is None:
        return ()
    return tuple(map(_text, default)) if isinstance(default, list) else (_text(default),)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _value(shape: Shape, texts: Sequence[str]) -> Any:
    given = [text for text in texts if text.strip()]
    if _is_list(shape):
        options = _options(shape)
        parts = some_of(given, options) if options else split_list(",".join(given))
        return [_scalar(shape.get("items", {}), text) for text in parts]
    return _scalar(shape, given[-1]) if given else None


def _scalar(shape: Shape, text: str) -> Any:
    for value in shape.get("enum", ()):
        if _text(value) == text:
            return value
    match _type(shape):
        case "boolean":
            return {"true": True, "false": False}.get(text, text)
        case "integer" | "number":
            return _number(text)
    return text


def _number(text: str) -> int | float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(text) if text.strip().lstrip("+-").isdigit() else number
