"""What an approver is shown, in words; personal data arrives masked as their role demands (kernel.sight)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from subscription_services.kernel.actors import Actor, Role
from subscription_services.kernel.masking import Sight, plan_of
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.personal import HIDDEN, NotPersonal, Personal, looks_personal, mask_emails
from subscription_services.kernel.sight import EVERYTHING, seen_by

AsShown = Annotated[str, NotPersonal("masked where it is made, because the digest is over what is shown")]


class Words(msgspec.Struct, frozen=True):
    """`lines` are terms and values. `digest` (hexadecimal SHA-256) is over all of it: what is approved is what was
    shown."""

    operation: str
    title: Annotated[str, NotPersonal("says what the operation does")]
    lines: list[tuple[str, str]]
    reason: AsShown
    requester: AsShown
    digest: str
    masked: bool


def words_of(
    operation: Operation, arguments: str, reason: str, requester: str, sight: Sight,
    team: Mapping[str, str] = MappingProxyType({}),
) -> Words:  # fmt: skip
    """The request as `sight` shows it, to the last letter. `team` names colleagues by the ids that may stand in it."""
    plain = msgspec.json.decode(arguments)
    values = plain if sight.own else _masked(operation, arguments, sight)
    lines = [
        (_label(name), _named(value, team) or _text(value)) for name, value in values.items() if value not in (None, "")
    ]
    said = reason if sight.own else mask_emails(reason)
    digest = hashlib.sha256(msgspec.json.encode([operation.name, operation.summary, lines, said, requester]))
    masked = values != plain or said != reason
    return Words(operation.name, operation.summary, lines, said, requester, digest.hexdigest(), masked)


def sight_of(actor: Actor, roles: Collection[Role], *, mine: bool) -> Sight:
    """What the roles that somebody holds let them see of a request; whoever made it sees what they wrote."""
    return Sight(EVERYTHING if mine else seen_by(actor, roles), actor.id, own=mine)


def _masked(operation: Operation, arguments: str, sight: Sight) -> dict[str, Any]:
    """The arguments as the plan of their type masks them; a field that says nothing and looks personal is hidden."""
    values: dict[str, Any] = msgspec.json.decode(arguments)
    plan, named = plan_of(operation.request), _declared(operation.request)
    try:
        made = msgspec.json.decode(arguments, type=operation.request)
    except msgspec.ValidationError:  # asked for in an earlier version: nothing says what its fields hold
        named = frozenset()
    else:
        values = msgspec.to_builtins(made if plan is None else plan(made, sight))
    return {
        name: value if name in named or not value or not looks_personal(name) else HIDDEN
        for name, value in _without_emails(values, named).items()
    }


def _declared(kind: type[msgspec.Struct]) -> frozenset[str]:
    """The fields that say what they hold."""
    found = []
    for field in msgspec.structs.fields(kind):
        notes = getattr(field.type, "__metadata__", ())
        if any(isinstance(note, Personal | NotPersonal) for note in notes):
            found.append(field.name)
    return frozenset(found)


def _without_emails(values: dict[str, Any], named: Collection[str]) -> dict[str, Any]:
    return {name: value if name in named else _no_emails(value) for name, value in values.items()}


def _no_emails(value: Any) -> Any:
    if isinstance(value, str):
        return mask_emails(value)
    if isinstance(value, list):
        return [_no_emails(item) for item in value]
    if isinstance(value, dict):
        return {key: _no_emails(item) for key, item in value.items()}
    return value


def _named(value: Any, team: Mapping[str, str]) -> str:
    return f"{team[value]} ({value})" if isinstance(value, str) and value in team else ""


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return ", ".join(_text(item) for item in value) or "none"
    if isinstance(value, dict):
        return "; ".join(f"{_label(key)}: {_text(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return " / ".join(_text(item) for item in value) or "none"
    return str(value)
