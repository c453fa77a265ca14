"""Whatever looks personal in an answer says what it holds, or why it is shown: a new field cannot forget it."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from subscription_services import app
from subscription_services.kernel.actors import Role, ServiceAccount, TeamMember
from subscription_services.kernel.model import metadata
from subscription_services.kernel.needs import ApprovalsNeeded
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.personal import NotPersonal, Personal, looks_personal
from subscription_services.storage.sealed import Sealed

# sealed, and no fact about a person: what opens something is shown once to who made it and named in no list
SECRETS = frozenset({"token", "secret", "client_secret"})
# anything may stand in them, and why that is no way around the masks
ANYTHING = {
    "PasskeyOptions.options": "what the browser is asked to sign, for the person who asks alone",
}
SEALED = frozenset(
    column.name for table in metadata.tables.values() for column in table.columns if isinstance(column.type, Sealed)
)

Found = tuple[str, Any]


class Inner(msgspec.Struct):
    street: str
    count: int


class Outer(msgspec.Struct):
    id: str
    last_name: str | None
    inside: dict[str, list[Inner]]


def watched() -> list[Operation]:
    """Operations that somebody else than the person may do."""

    def by_others(rule: Any) -> bool:
        return isinstance(rule, Role) or rule in (TeamMember.own, ServiceAccount.scoped)

    return [item for item in app.OPERATIONS if not item.internal and any(map(by_others, item.by))]


def fields(kind: Any, met: set[type] | None = None) -> Iterator[Found]:
    """Every field of a type, nested ones too: `Struct.name` and its type. What says what it holds is a leaf."""
    met = set() if met is None else met
    if noted(kind):
        return
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind in met:
            return
        met.add(kind)
        for name, hint in get_type_hints(kind, include_extras=True).items():
            yield f"{kind.__name__}.{name}", hint
            yield from fields(hint, met)
        return
    for part in get_args(kind):
        yield from fields(part, met)


def noted(kind: Any) -> bool:
    """Whether the annotation says what it holds; of a union whichever part is text."""
    if get_origin(kind) is Annotated:
        return any(isinstance(note, Personal | NotPersonal) for note in get_args(kind)[1:])
    if get_origin(kind) in (Union, types.UnionType):
        return any(noted(part) for part in get_args(kind))
    return False


def holds_text(kind: Any) -> bool:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind is str or any(holds_text(part) for part in get_args(kind))


def forgotten(kind: Any) -> list[str]:
    return sorted(
        name
        for name, hint in fields(kind)
        if (field := name.partition(".")[2]) not in SECRETS and (looks_personal(field) or field in SEALED)
        if holds_text(hint) and not noted(hint)
    )


def test_every_answer_says_which_of_its_fields_are_personal() -> None:
    assert {item.name: found for item in watched() if (found := forgotten(item.answer))} == {}


def test_what_waits_for_approval_says_it_too_since_others_read_it() -> None:
    asked = [item for item in app.OPERATIONS if any(isinstance(need, ApprovalsNeeded) for need in item.needs)]
    assert asked
    assert {item.name: found for item in asked if (found := forgotten(item.request))} == {}


def test_nothing_of_any_shape_comes_past_the_masks() -> None:
    loose = {
        name
        for item in watched()
        for name, hint in fields(item.answer)
        if any(part in (Any, object) for part in (hint, *get_args(hint)))
    }
    assert loose == set(ANYTHING)


def test_every_exemption_gives_its_reason() -> None:
    reasons = {
        note.reason
        for item in app.OPERATIONS
        for _, hint in fields(item.answer)
        for note in getattr(hint, "__metadata__", ())
        if isinstance(note, NotPersonal)
    }
    assert reasons and all(len(reason.split()) >= 3 for reason in reasons)


def test_the_look_at_names_finds_what_was_forgotten() -> None:
    assert forgotten(Outer) == ["Inner.street", "Outer.last_name"]
    assert {"email", "name", "buyer", "last4", "user_agent", "external_id"} <= SEALED
    assert all(looks_personal(name) for name in ("email", "plan_name", "vat_id", "line1", "postcode"))
