"""Types of requests and answers in words, for documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

_PLAIN: dict[type[inspect.Type], str] = {
    inspect.AnyType: "anything",
    inspect.NoneType: "null",
    inspect.BoolType: "true or false",
    inspect.BytesType: "base64 text",
    inspect.DateType: "date (RFC 3339)",
    inspect.DateTimeType: "time (RFC 3339)",
    inspect.DecimalType: "decimal number as text",
    inspect.FloatType: "number",
}


def fields_of(kind: Any) -> Iterator[tuple[str, str, bool]]:
    """Name, type in words and whether it must be given, of each field; nothing where `kind` has no fields."""
    info = inspect.type_info(kind)
    if isinstance(info, inspect.StructType):
        for field in info.fields:
            yield field.encode_name, words(field.type), field.required


def name_of(kind: Any) -> str:
    """The type's name, or the type in words."""
    return str(kind.__name__) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else words_of(kind)


def words_of(kind: Any) -> str:
    """A type annotation in words."""
    return words(inspect.type_info(kind))


def words(info: inspect.Type) -> str:
    """A type in words, with its bounds."""
    match info:
        case inspect.Metadata():
            return words(info.type)
        case inspect.StrType():
            return "text" + _length(info.min_length, info.max_length, "characters")
        case inspect.IntType():
            return "whole number" + _range(info.ge, info.le)
        case inspect.LiteralType():
            return " or ".join(f"`{value}`" for value in info.values)
        case inspect.EnumType():
            return " or ".join(f"`{item.value}`" for item in info.cls)
        case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType():
            return info.cls.__name__
        case inspect.UnionType():
            return " or ".join(words(part) for part in info.types)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            return f"list of {words(info.item_type)}" + _length(info.min_length, info.max_length, "items")
        case inspect.TupleType():
            return f"list of {', '.join(words(part) for part in info.item_types)}"
        case inspect.DictType():
            return f"object of {words(info.value_type)} by {words(info.key_type)}"
        case _:
            return _PLAIN.get(type(info), type(info).__name__.removesuffix("Type").lower())


def _length(least: int | None, most: int | None, what: str) -> str:
    if least is None and most is None:
        return ""
    if least is None or most is None:
        return f", at most {most} {what}" if least is None else f", at least {least} {what}"
    return f", {least} {what}" if least == most else f", {least} to {most} {what}"


def _range(least: int | None, most: int | None) -> str:
    if least is None and most is None:
        return ""
    if least is None or most is None:
        return f", at most {most}" if least is None else f", at least {least}"
    return f", {least} to {most}"
