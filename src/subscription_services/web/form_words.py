"""What msgspec says about a value, in people's words."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

_LENGTH = re.compile(r"Expected `(\w+)` of length (>=|<=|==) (\d+)")
_BOUND = re.compile(r"Expected `(?:int|float)` (>=|<=|>|<) (-?[\d.]+)")
_PATH = re.compile(r" - at `\$\.([A-Za-z_][A-Za-z0-9_]*)")

_BY_NAME = {
    "email": "Enter an e-mail address, such as name@example.org.",
    "password": "Enter a password.",
    "code": "Enter the code of six digits.",
}
_BY_TYPE = {
    "int": "Enter a whole number.",
    "float": "Enter a number.",
    "Decimal": "Enter a number.",
    "date": "Enter a date, such as 2026-11-24.",
    "datetime": "Enter a date and time, such as 2026-11-24T09:30Z.",
    "bool": "Choose yes or no.",
}


def label_of(name: str, labels: Mapping[str, str] | None) -> str:
    """The field's label in lower case, or its name made readable."""
    text = (labels or {}).get(name) or name.removesuffix("_id").replace("_", " ")
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def in_words(name: str, type_: Any, problem: str, labels: Mapping[str, str] | None = None) -> str:
    """One sentence that says what to do about a field. `problem` is "required" or msgspec's message."""
    label = label_of(name, labels)
    kind = _type_name(type_)
    if problem == "required":
        if kind == "bool":
            return f"Tick “{label}” to go on."
        return _BY_NAME.get(name) or (f"Choose {label}." if kind == "choice" else f"Enter {label}.")
    if match := _LENGTH.search(problem):
        _, comparison, count = match.groups()
        if comparison == "<=":
            return f"Use at most {count} characters."
        return f"Use at least {count} characters." if comparison == ">=" else f"Use exactly {count} characters."
    if match := _BOUND.search(problem):
        words = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
        return f"Enter a number that is {words[match.group(1)]} {match.group(2)}."
    if kind == "choice" or "Invalid enum value" in problem:
        return f"Choose {label} from the list."
    if name in _BY_NAME:
        return _BY_NAME[name]
    return _BY_TYPE.get(kind, f"Check {label}: it is not in the form we expect.")


def _type_name(type_: Any) -> str:
    origin = get_origin(type_)
    if origin is Annotated:
        return _type_name(get_args(type_)[0])
    if origin in (Union, types.UnionType):
        inner = [part for part in get_args(type_) if part is not type(None)]
        return _type_name(inner[0]) if len(inner) == 1 else "other"
    if str(origin) == "typing.Literal" or hasattr(type_, "__members__"):
        return "choice"
    return str(getattr(type_, "__name__", type_))


def field_in(message: str) -> str | None:
    """The field that msgspec's message points at (`$.field`), or None."""
    match = _PATH.search(message)
    return match.group(1) if match else None


def without_path(message: str) -> str:
    """msgspec's message without its pointer."""
    return message.partition(" - at `")[0]
