"""What an approver is shown, in words; e-mail addresses and names arrive masked unless their role needs them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from subscription_services.kernel.actors import Role
from subscription_services.kernel.operations import Operation

from . import catalogue

_PERSONAL = frozenset({"email", "name", "address", "billing_address", "phone", "street", "city", "vat_id"})
_EMAIL = re.compile(r"([A-Za-z0-9._%+-])[A-Za-z0-9._%+-]*@([A-Za-z0-9])[A-Za-z0-9.-]*")


class Words(msgspec.Struct, frozen=True):
    """`lines` are terms and values. `digest` (hexadecimal SHA-256) is over all of it: what is approved is what was
    shown."""

    operation: str
    title: str
    lines: list[tuple[str, str]]
    reason: str
    requester: str
    digest: str
    masked: bool


def words_of(
    operation: Operation, arguments: str, reason: str, requester: str, *, masked: bool,
    team: Mapping[str, str] = MappingProxyType({}),
) -> Words:  # fmt: skip
    """The request as it is shown, to the last letter. `team` names colleagues by the ids that may stand in it."""
    values = msgspec.json.decode(arguments)
    lines = [
        (_label(name), _named(value, team) or _text(name, value, masked))
        for name, value in values.items()
        if value not in (None, "")
    ]
    said = _mask(reason) if masked else reason
    digest = hashlib.sha256(msgspec.json.encode([operation.name, operation.summary, lines, said, requester]))
    return Words(operation.name, operation.summary, lines, said, requester, digest.hexdigest(), masked)


def sees_personal(roles: Collection[Role]) -> bool:
    """Whose task needs people's names and addresses: who may look a person up at all."""
    finding = catalogue.named("identity.find_person")
    return finding is not None and bool(set(roles) & set(finding.by))


def _named(value: Any, team: Mapping[str, str]) -> str:
    return f"{team[value]} ({value})" if isinstance(value, str) and value in team else ""


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _text(name: str, value: Any, masked: bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        if masked and name in _PERSONAL and not _EMAIL.search(value):
            return f"{value[:1]}…"
        return _mask(value) if masked else value
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return ", ".join(_text(name, item, masked) for item in value) or "none"
    if isinstance(value, dict):
        return "; ".join(
            f"{_label(key)}: {_text(key, item, masked)}" for key, item in value.items() if item is not None
        )
    if isinstance(value, list):
        return " / ".join(_text(name, item, masked) for item in value) or "none"
    return str(value)


def _mask(text: str) -> str:
    return _EMAIL.sub(r"\1…@\2…", text)
