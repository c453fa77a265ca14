"""What msgspec says about a value, in people's words."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from subscription_services.kernel.words import Words, as_words, counted, table, words

_LENGTH = re.compile(r"Expected `(\w+)` of length (>=|<=|==) (\d+)")
_BOUND = re.compile(r"Expected `(?:int|float)` (>=|<=|>|<) (-?[\d.]+)")
_PATH = re.compile(r" - at `\$\.([A-Za-z_][A-Za-z0-9_]*)")

_BY_NAME = table(
    {
        "email": "Enter an e-mail address, such as name@example.org.",
        "password": "Enter a password.",
        "code": "Enter the code of six digits.",
    }
)
_BOUNDS = {
    ">=": "Enter a number that is at least %(bound)s.", "<=": "Enter a number that is at most %(bound)s.",
    ">": "Enter a number that is more than %(bound)s.", "<": "Enter a number that is less than %(bound)s.",
}  # fmt: skip
_BY_TYPE = table(
    {
        "int": "Enter a whole number.",
        "float": "Enter a number.",
        "Decimal": "Enter a number.",
        "date": "Enter a date, such as 2026-11-24.",
        "datetime": "Enter a date and time, such as 2026-11-24T09:30Z.",
        "bool": "Choose yes or no.",
    }
)


def label_of(name: str, labels: Mapping[str, str] | None) -> Words:
    """The field's label in lower case, or its name made readable. Labels that are words already stay as they are."""
    text = (labels or {}).get(name) or name.removesuffix("_id").replace("_", " ")
    return as_words(text if isinstance(text, Words) or text[:2].isupper() else text[:1].lower() + text[1:])


def in_words(name: str, type_: Any, problem: str, labels: Mapping[str, str] | None = None) -> Words:
    """One sentence that says what to do about a field. `problem` is "required" or msgspec's message."""
    label = label_of(name, labels)
    kind = _type_name(type_)
    if problem == "required":
        if kind == "bool":
            return words("Tick “%(label)s” to go on.", label=label)
        if name in _BY_NAME:
            return _BY_NAME[name]
        return words("Choose %(label)s.", label=label) if kind == "choice" else words("Enter %(label)s.", label=label)
    if match := _LENGTH.search(problem):
        comparison, number = match[2], int(match[3])
        if comparison == "<=":
            return counted("Use at most %(num)s character.", "Use at most %(num)s characters.", number)
        if comparison == ">=":
            return counted("Use at least %(num)s character.", "Use at least %(num)s characters.", number)
        return counted("Use exactly %(num)s character.", "Use exactly %(num)s characters.", number)
    if match := _BOUND.search(problem):
        return words(_BOUNDS[match[1]], bound=match[2])
    if kind == "choice" or "Invalid enum value" in problem:
        return words("Choose %(label)s from the list.", label=label)
    if name in _BY_NAME:
        return _BY_NAME[name]
    return _BY_TYPE.get(kind) or words("Check %(label)s: it is not in the form we expect.", label=label)


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
