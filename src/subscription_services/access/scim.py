"""The wire form of SCIM 2.0 (RFC 7643, RFC 7644): filters, bodies, resources. Pure.

Directories differ in what they send: Microsoft Entra writes `"op": "Replace"` and once wrote `"value": "False"`, Okta
patches without a path, some spell out the schema before an attribute. All of these say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from subscription_services.kernel.errors import Invalid, Malformed
from subscription_services.kernel.words import words

from .directory import DirectoryUser
from .operations.scim import CreateUser, UpdateUser, Users

T = TypeVar("T")
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
MEDIA_TYPE = "application/scim+json"
_FILTER = re.compile(rf'\s*(?:{re.escape(USER)}:)?(\w+)\s+eq\s+("(?:[^"\\]|\\.)*")\s*', re.IGNORECASE)
_FILTERED = {"username": "user_name", "externalid": "external_id"}
_NAMES = ("displayname", "name.formatted")


class FilterRefused(Invalid):
    code = "filter-refused"
    message = 'Only userName eq "…" and externalId eq "…" can be asked for.'


def read_filter(text: str) -> dict[str, str]:
    """The filter as fields of `ListUsers`. Raises FilterRefused."""
    found = _FILTER.fullmatch(text)
    name = _FILTERED.get(found[1].lower()) if found else None
    if found is None or name is None:
        raise FilterRefused()
    try:
        value = msgspec.json.decode(found[2], type=str)
    except msgspec.DecodeError as error:
        raise FilterRefused() from error
    if not value:
        raise FilterRefused()
    return {name: value}


def read_created(body: Mapping[str, Any]) -> CreateUser:
    """A body of POST. Raises Malformed, Invalid."""
    _check_schema(body, USER)
    wanted = dict(_attributes(body))
    if wanted.get("active") is False:
        raise Invalid("Somebody who is not active is not invited.", fields={"active": "Leave it out, or true."})
    values = {"user_name": wanted.get("username", ""), "external_id": wanted.get("externalid") or ""}
    values["name"] = _name(wanted) or values["user_name"]
    return _made(values, CreateUser)


def read_replaced(identifier: str, body: Mapping[str, Any]) -> UpdateUser:
    """A body of PUT: what it does not name stays, but for externalId. Raises Malformed, Invalid."""
    _check_schema(body, USER)
    wanted = dict(_attributes(body))
    return _update(identifier, {"externalid": "", **wanted})


def read_patched(identifier: str, body: Mapping[str, Any]) -> UpdateUser:
    """A body of PATCH; attributes that we do not keep are passed over. Raises Malformed, Invalid."""
    _check_schema(body, PATCH)
    operations = next((value for key, value in body.items() if key.lower() == "operations"), None)
    if not isinstance(operations, list) or not operations or len(operations) > 100:
        raise Malformed("A patch has 1 to 100 Operations.")
    wanted: dict[str, Any] = {}
    for item in operations:
        if not isinstance(item, dict):
            raise Malformed("Each of the Operations is an object.")
        wanted |= _patch(item)
    return _update(identifier, wanted)


def resource(user: DirectoryUser, base: str) -> dict[str, Any]:
    """A user as SCIM shows it; `base` is the address of the endpoint."""
    shown: dict[str, Any] = {
        "schemas": [USER], "id": user.id, "userName": user.user_name, "displayName": user.name,
        "name": {"formatted": user.name}, "active": user.active,
        "emails": [{"value": user.user_name, "type": "work", "primary": True}],
        "meta": {
            "resourceType": "User", "created": user.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "location": f"{base}/Users/{user.id}",
        },
    }  # fmt: skip
    if user.external_id:
        shown["externalId"] = user.external_id
    return shown


def listed(found: Users, base: str) -> dict[str, Any]:
    """The answer to a search."""
    return {
        "schemas": [LIST], "totalResults": found.total, "startIndex": found.start, "itemsPerPage": len(found.users),
        "Resources": [resource(user, base) for user in found.users],
    }  # fmt: skip


def _patch(item: Mapping[str, Any]) -> dict[str, Any]:
    action = str(item.get("op", "")).lower()
    path = item.get("path", "")
    if action not in ("add", "replace", "remove") or not isinstance(path, str):
        raise Malformed("An operation is add, replace or remove, with the path of an attribute.")
    if action == "remove":
        gone = _plain(path)
        if gone == "active":
            raise Invalid(fields={"active": "Say true or false."})
        return {"externalid": ""} if gone == "externalid" else {}
    value = item.get("value")
    if path:
        return dict(_attributes({path: value}))
    if not isinstance(value, dict):
        raise Malformed("An operation without path has an object of attributes as its value.")
    return dict(_attributes(value))


def _attributes(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Attributes by their names in lower case, sub-attributes after a dot."""
    for key, value in body.items():
        name = _plain(str(key))
        if name == "name" and isinstance(value, dict):
            yield from ((f"name.{part.lower()}", text) for part, text in value.items())
        elif name == "active":
            yield name, _boolean(value)
        elif name:
            yield name, value


def _plain(name: str) -> str:
    lower = name.strip().lower()
    return lower.removeprefix(f"{USER.lower()}:")


def _boolean(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise Invalid(fields={"active": "This is true or false."})
    return value


def _name(wanted: Mapping[str, Any]) -> str | None:
    for key in _NAMES:
        if isinstance(wanted.get(key), str) and wanted[key].strip():
            return str(wanted[key])
    parts = [wanted.get("name.givenname"), wanted.get("name.familyname")]
    both = " ".join(part.strip() for part in parts if isinstance(part, str) and part.strip())
    return both if both and all(isinstance(part, str) for part in parts) else None


def _update(identifier: str, wanted: Mapping[str, Any]) -> UpdateUser:
    values: dict[str, Any] = {"id": identifier}
    if wanted.get("active") is False:
        # that somebody leaves never fails for what else is in the body
        return _made({**values, "active": False}, UpdateUser)
    if "active" in wanted:
        values["active"] = wanted["active"]
    if "username" in wanted:
        values["user_name"] = wanted["username"]
    if "externalid" in wanted:
        values["external_id"] = wanted["externalid"] or ""
    if name := _name(wanted):
        values["name"] = name
    return _made(values, UpdateUser)


def _made(values: dict[str, Any], into: type[T]) -> T:
    try:
        return msgspec.convert(values, into)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error


def _check_schema(body: Mapping[str, Any], wanted: str) -> None:
    schemas = body.get("schemas")
    if not isinstance(schemas, list) or wanted.lower() not in [str(item).lower() for item in schemas]:
        raise Malformed(words("The body names %(schema)s among its schemas.", schema=wanted))
