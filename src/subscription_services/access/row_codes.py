"""Codes of rows that give power: a row that was written beside the service, with the database alone, has none.

The key never is in the database. An old row with its old code can be put back; what must happen once is therefore
looked for in the log as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from subscription_services.kernel.columns import to_microseconds
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.ports import Keys

REQUEST = ("id", "digest", "operation", "requester", "needed", "roles", "way", "asked_at", "runs_from", "expires_at")
APPROVAL = (
    "id", "request", "requester", "approver", "shown", "given_at", "expires_at", "credential", "client_data",
    "authenticator_data", "signature",
)  # fmt: skip
TASK = (
    "id", "account", "about_kind", "about", "role", "operations", "asked_at", "ends_at", "granted_at", "granted_by",
    "ended_at", "outcome",
)  # fmt: skip
RULE = ("id", "held", "role", "operations", "minutes", "made_by", "made_at", "ended_at")
SEAL = ("id", "digest", "sealed_by", "sealed_at", "tested_at", "tested_by", "ended_at", "outcome")
GLASS = (
    "id",
    "account",
    "seal",
    "task",
    "started_at",
    "ends_at",
    "due_at",
    "others",
    "closed_at",
    "closed_by",
    "verdict",
)
LIMITS = ("changed_at", "limits")
TOKEN = ("id", "service_account", "digest", "scopes", "jkt", "replaces", "issued_by", "issued_at", "expires_at")
REVIEW = ("id", "scope", "opened_at", "due_at", "first_due", "replaces", "warned", "closed_at", "outcome", "record")
REVIEW_ITEM = ("id", "review", "facts", "whose")
REVIEW_DECISION = ("item", "whose", "decision", "decided_by", "decider", "decided_at", "shown", "until")
_PURPOSE = "access.rows"


def code_of(keys: Keys, table: str, fields: tuple[str, ...], values: Mapping[str, Any]) -> bytes:
    """The code of a row of `table` with these values."""
    return keys.mac(_PURPOSE, _message(table, fields, values))


def is_ours(keys: Keys, table: str, fields: tuple[str, ...], row: Row[Any] | Any) -> bool:
    """Whether this service wrote the row as it stands."""
    return holds(keys, table, fields, {name: getattr(row, name) for name in fields}, bytes(row.mac))


def holds(keys: Keys, table: str, fields: tuple[str, ...], values: Mapping[str, Any], code: bytes) -> bool:
    """Whether `code` is that of these values."""
    try:
        keys.verify_mac(_PURPOSE, _message(table, fields, values), code)
    except DomainError:
        return False
    return True


def _message(table: str, fields: tuple[str, ...], values: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode([str(table), *(_plain(values.get(name)) for name in fields)])


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_microseconds(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value
