"""JSON and query strings from programs into typed requests. Whatever is wrong becomes a clear problem, never a 500."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect as types
from starlette.requests import Request

from subscription_services.kernel.errors import Invalid, Malformed
from subscription_services.kernel.words import words
from subscription_services.web.form_words import field_in, without_path
from subscription_services.web.problems import HttpProblem

MAX_DEPTH = 32
_INT64 = 2**63


async def read_json(request: Request, into: type[msgspec.Struct]) -> msgspec.Struct:
    """The body as `into`. Raises Malformed, Invalid (with the field), or HttpProblem("unsupported-type")."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise HttpProblem("unsupported-type", "Send the request as application/json.")
    body = await request.body()
    try:
        data = msgspec.json.decode(body or b"{}")
    except RecursionError as error:
        raise Malformed("The JSON is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(words("The body is not valid JSON: %(problem)s.", problem=str(error))) from error
    if not isinstance(data, dict):
        raise Malformed("The body is a JSON object with the request's fields.")
    return convert(data, into, strict=True)


def read_query(request: Request, into: type[msgspec.Struct]) -> msgspec.Struct:
    """The query string as `into`; a field that takes several values may be repeated, one that holds objects is JSON."""
    query = request.scope["query_string"]
    if not query:
        return convert({}, into, strict=False)
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=200,
        )
    except (UnicodeDecodeError, ValueError) as error:
        raise Malformed("The query string is not valid UTF-8 text.") from error
    several, objects = _several(into), holding_objects(into)
    data: dict[str, Any] = {}
    for name, value in pairs:
        if name in objects and name not in data:
            data[name] = _json_of(name, value)
        elif name in several and name not in objects:
            data.setdefault(name, []).append(value)
        elif name in data:
            raise Invalid(fields={name: "Give this once."})
        else:
            data[name] = value
    return convert(data, into, strict=False)


def convert(data: Mapping[str, Any], into: type[msgspec.Struct], *, strict: bool) -> msgspec.Struct:
    """Plain values as `into`. Raises Invalid naming the field at fault; unknown fields are at fault as well."""
    if data:
        _check_values(data, "", 0)
    unknown = _unknown(data, _shape(into), "") if data else []
    if unknown:
        raise Invalid(fields=dict.fromkeys(unknown, "This field is not known here."))
    try:
        made = msgspec.convert(data, into, strict=strict)
    except msgspec.ValidationError as error:
        text = str(error)
        name = field_in(text) or _missing_field(text)
        if name is None:
            raise Invalid(without_path(text)) from error
        raise Invalid(fields={name: without_path(text)}) from error
    if not strict and data:
        _check_values(msgspec.to_builtins(made), "", 0)
    return made


@cache
def _shape(into: type[msgspec.Struct]) -> types.Type:
    return types.type_info(into)


@cache
def _several(into: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(item.name for item in msgspec.structs.fields(into) if _takes_several(item.type))


@cache
def holding_objects(into: type[msgspec.Struct]) -> frozenset[str]:
    """The fields that no plain text can stand for; in a query they are JSON."""
    return frozenset(item.name for item in msgspec.structs.fields(into) if _holds_object(item.type))


def _json_of(name: str, value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise Invalid(fields={name: "Give this as JSON."}) from error


def _holds_object(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return True
    return any(_holds_object(part) for part in get_args(annotation))


def _missing_field(text: str) -> str | None:
    _, found, rest = text.partition("missing required field `")
    return rest.partition("`")[0] if found else None


def _takes_several(annotation: Any) -> bool:
    if get_origin(annotation) in (list, tuple, set, frozenset) or annotation in (list, tuple, set, frozenset):
        return True
    return any(_takes_several(part) for part in get_args(annotation))


def _check_values(value: Any, where: str, depth: int) -> None:
    """No store takes NUL in text or whole numbers beyond 64 bits; refuse them once, for every operation."""
    if depth > MAX_DEPTH:
        raise Malformed("The JSON is nested too deeply.")
    if isinstance(value, str):
        if "\x00" in value:
            raise Invalid(fields={where or "request": "Text cannot hold the character NUL."})
    elif isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise Invalid(fields={where or "request": "This number is too large."})
    elif isinstance(value, Mapping):
        for name, part in value.items():
            _check_values(name, where, depth + 1)
            _check_values(part, f"{where}.{name}" if where else name, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _check_values(part, where, depth + 1)


def _unknown(value: Any, kind: types.Type, where: str) -> list[str]:
    """Paths of fields that the type does not have."""
    if isinstance(kind, types.Metadata):
        return _unknown(value, kind.type, where)
    if isinstance(kind, types.UnionType):
        structs = [part for part in kind.types if isinstance(part, types.StructType)]
        return _unknown(value, structs[0], where) if len(structs) == 1 else []
    if isinstance(kind, types.ListType | types.VarTupleType | types.SetType | types.FrozenSetType):
        parts = value if isinstance(value, list) else []
        return [name for part in parts for name in _unknown(part, kind.item_type, where)]
    if not isinstance(kind, types.StructType) or not isinstance(value, Mapping):
        return []
    known = {item.encode_name: item.type for item in kind.fields}
    if kind.tag_field is not None:
        known[kind.tag_field] = types.StrType()
    found: list[str] = []
    for name, part in value.items():
        path = f"{where}.{name}" if where else name
        found.extend([path] if name not in known else _unknown(part, known[name], path))
    return found
