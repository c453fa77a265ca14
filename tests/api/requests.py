"""A valid request for any operation, made from its type alone: so that nothing has to be known of a new one."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import inspect

NOBODY = "1" * 32
"""The end of ids that nothing has."""
# what some field or other takes; the first that fits is used
CANDIDATES: tuple[Any, ...] = (
    f"acc_{NOBODY}", "a valid text", "someone@example.org", "abc", "1", "", "0" * 64, "0" * 66, "x" * 43, "aaaaaaaa",
    "EUR", "transit.tls13", 1, 60, True, 0, 10_000, [], {}, ["access.audit_log"], ["subject"], None,
    "2026-03-02T09:00:00Z", "{}",
)  # fmt: skip


def any_request(kind: type[msgspec.Struct], number: int = 0) -> dict[str, Any]:
    """The required fields of a request, as JSON; those of another `number` are about another address.

    Raises LookupError where no candidate fits: add one."""
    made = {}
    for field in msgspec.structs.fields(kind):
        if field.required:
            made[field.encode_name] = _any(field.type, f"{kind.__name__}.{field.name}", number)
    msgspec.convert(made, kind)
    return made


def _any(kind: Any, name: str, number: int) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return any_request(kind, number)
    described = inspect.type_info(kind)
    prefix = re.search(r"pattern='\^([a-z]+)_", repr(described))
    for value in (*CANDIDATES, *_members(described), *([f"{prefix[1]}_{NOBODY}"] if prefix else [])):
        for found in (value, [value]):
            try:
                msgspec.convert(found, kind)
            except msgspec.ValidationError:
                continue
            return found.replace("@", f"{number}@") if isinstance(found, str) else found
    raise LookupError(f"no candidate fits {name}: {kind}")


def _members(described: inspect.Type) -> list[Any]:
    match described:
        case inspect.Metadata():
            return _members(described.type)
        case inspect.EnumType():
            return [item.value for item in described.cls]
        case inspect.LiteralType():
            return list(described.values)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            return _members(described.item_type)
        case inspect.UnionType():
            return [value for part in described.types for value in _members(part)]
        case _:
            return []
