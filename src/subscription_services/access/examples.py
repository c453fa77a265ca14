"""The smallest request that an operation's type accepts: what live checks and tests knock with."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import inspect

_ID = re.compile(r"\^([a-z]{2,8}_)\[0-9a-f\]\{32\}\$")
_TEXTS = (
    "x",
    "acc_" + "0" * 32,
    "someone@example.org",
    "EUR",
    "DE",
    "2026-01-01",
    "1",
    "access.people",
    "/x",
    "0" * 64,
)


def example(request: type[msgspec.Struct]) -> dict[str, Any]:
    """Plain values for every field that must be given. Raises LookupError for a pattern that no example fits."""
    info = inspect.type_info(request)
    assert isinstance(info, inspect.StructType)
    return _struct(info)


def _struct(info: inspect.StructType) -> dict[str, Any]:
    return {field.encode_name: _value(field.type) for field in info.fields if field.required}


def _value(info: inspect.Type) -> Any:
    match info:
        case inspect.Metadata():
            return _value(info.type)
        case inspect.StrType():
            return _text(info)
        case inspect.IntType():
            return info.ge if info.ge is not None else 1 if info.gt is None else info.gt + 1
        case inspect.BoolType():
            return True
        case inspect.EnumType():
            return next(iter(info.cls)).value
        case inspect.LiteralType():
            return info.values[0]
        case inspect.StructType():
            return _struct(info)
        case inspect.UnionType():
            return _value(info.types[0])
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            return [_value(info.item_type)] * (info.min_length or 0)
        case inspect.DateTimeType():
            return "2026-01-01T00:00:00Z"
        case inspect.DateType():
            return "2026-01-01"
        case inspect.NoneType():
            return None
        case inspect.DictType():
            return {}
        case _:
            raise LookupError(f"no example of {type(info).__name__}")


def _text(info: inspect.StrType) -> str:
    if info.pattern and (match := _ID.fullmatch(info.pattern)):
        return match.group(1) + "0" * 32
    least, most = info.min_length or 0, info.max_length or 10_000
    for text in _TEXTS:
        padded = text if len(text) >= least else text * (least // len(text) + 1)
        fitting = padded[:most]
        if len(fitting) >= least and (info.pattern is None or re.search(info.pattern, fitting)):
            return fitting
    raise LookupError(f"no example fits {info.pattern}")
