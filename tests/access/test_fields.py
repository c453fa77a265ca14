"""Every operation, every role, every personal field, over the API: plain only where the table of roles.md says so.

Each operation runs through perform() and its route as it is declared, but answers a made-up value with every field
filled in, so that no field depends on what a test thought of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import httpx
import msgspec
import pytest

from subscription_services import app
from subscription_services.access import catalogue
from subscription_services.access.documents import NO, OWN, decide
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken
from subscription_services.access.programs import resolve_token
from subscription_services.kernel.actors import Actor, Role, Standing
from subscription_services.kernel.money import Money
from subscription_services.kernel.operations import Change, Operation, Registry, Seen, own_account
from subscription_services.kernel.personal import FieldKind, Personal, mask, mask_emails
from subscription_services.testing import World
from subscription_services.web.api import api_routes
from subscription_services.web.call import Navigation, Site, Visitor
from subscription_services.web.page import Person
from subscription_services.web.routes import RouteTable

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 3, 2, tzinfo=UTC)
EMAIL = "zelda.quixote@windmill.example"
PLAIN = {
    FieldKind.EMAIL: EMAIL, FieldKind.COLLEAGUE_EMAIL: "sancho.panza@windmill.example",
    FieldKind.NAME: "Zelda Quixote", FieldKind.COLLEAGUE_NAME: "Sancho Panza",
    FieldKind.ADDRESS: f"Zelda Quixote\n7 Giant Street\nToledo\n{EMAIL}", FieldKind.CARD: "4711",
    FieldKind.ORIGIN: "198.51.100.7", FieldKind.TEXT: f"she wrote from {EMAIL} on Monday",
}  # fmt: skip
WATCHED = [item for item in app.OPERATIONS if item.personal is not None and not item.internal]


class Empty(msgspec.Struct, frozen=True):
    pass


def filled(kind: Any) -> Any:
    """A value of the type with every field filled in."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        what = next((note for note in notes if isinstance(note, Personal)), None)
        if what is None:
            return filled(inner)
        return {"key": PLAIN[what.kind]} if get_origin(inner) is dict else PLAIN[what.kind]
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return parts[0]
    if get_origin(kind) in (list, tuple, frozenset, set):
        made = [filled(part) for part in parts if part is not Ellipsis]
        return get_origin(kind)(made)
    if get_origin(kind) is dict:
        return {"key": filled(parts[1])}
    if parts and (get_origin(kind) is Union or type(kind).__name__ == "UnionType"):
        return filled(next(part for part in parts if part is not type(None)))
    if kind is Money:
        return Money(100, "EUR")
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: filled(hint) for name, hint in get_type_hints(kind, include_extras=True).items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    return {str: "text", int: 7, bool: True, float: 1.0, bytes: b"x", datetime: AT}.get(kind)


def expected(kind: FieldKind, kinds: frozenset[FieldKind]) -> str:
    """What the value of a kind looks like to who sees these kinds."""
    text = PLAIN[kind]
    if kind not in kinds:
        return mask(kind, text)
    plain = kind in (FieldKind.EMAIL, FieldKind.COLLEAGUE_EMAIL) or FieldKind.EMAIL in kinds
    return text if plain else mask_emails(text)


def personal(kind: Any, value: Any) -> Iterator[tuple[Personal, str]]:
    """The personal values of an answer (JSON), by what its type says."""
    if value is None:
        return
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        what = next((note for note in notes if isinstance(note, Personal)), None)
        if what is None:
            yield from personal(inner, value)
        else:
            yield from ((what, text) for text in (value.values() if isinstance(value, dict) else [value]))
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for name, hint in get_type_hints(kind, include_extras=True).items():
            yield from personal(hint, value[name])
    elif get_origin(kind) is dict:
        for item in value.values():
            yield from personal(get_args(kind)[1], item)
    elif isinstance(value, list):
        parts = [part for part in get_args(kind) if part is not Ellipsis]
        for number, item in enumerate(value):
            yield from personal(parts[min(number, len(parts) - 1)], item)
    else:
        for part in get_args(kind):
            if part is not type(None):
                yield from personal(part, value)


def table() -> dict[str, frozenset[FieldKind]]:
    """Who sees which kinds plain, as docs/roles.md prints it."""
    text = (ROOT / "docs" / "roles.md").read_text().partition("## What each role sees of a person")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.M)]
    return {
        heading: frozenset(FieldKind(row[0]) for row in rows[2:] if row[column] == "plain")
        for column, heading in enumerate(rows[0])
        if column
    }


@pytest.fixture
def engine() -> str:
    """The kernel masks, on both engines alike; test_unmask runs on both."""
    return "sqlite"


@pytest.fixture
def people(world: World) -> dict[str, tuple[Actor, Standing]]:
    """One of each column of the table, signed in."""
    boss = world.team(Role.ADMINISTRATOR)
    found: dict[str, tuple[Actor, Standing]] = {"team, no role": (world.team(), Standing(second_factor=True))}
    for role in Role:
        found[role.value] = (world.team(role), Standing(roles=frozenset({role}), second_factor=True))
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Reader", boss.id)).id
    scopes = sorted(catalogue.scopes())
    text = world.do("access.issue_token", boss, IssueToken(account, scopes)).text
    with world.house.store.reading() as connection:
        found["service account"] = (resolve_token(connection, text, world.clock), Standing(scopes=frozenset(scopes)))
    return found


def answering(item: Operation) -> Operation:
    """The operation as declared, with an answer made up."""
    value = filled(item.answer)

    def run(tx: Any, ctx: Any, request: Any) -> Any:
        return Change(None, value) if item.changes else Seen(value)

    return replace(
        item, run=run, request=Empty, needs=(), limits=(), prepare=None, concerns=None, idempotent=False,
        subject=own_account,
    )  # fmt: skip


def test_each_field_is_plain_only_where_the_table_says_so(
    world: World, people: dict[str, tuple[Actor, Standing]]
) -> None:
    kernel = replace(world.house.kernel, registry=Registry(answering(item) for item in WATCHED))
    routes = RouteTable(api_routes(kernel.registry, product="Test", version="1"))
    seen = table()
    assert set(seen) == set(people)
    asked: Actor = people["team, no role"][0]

    async def visitor(_: Any) -> Visitor:
        return Visitor(asked, Person("Somebody"))

    site = Site(kernel, visitor, lambda found: Navigation())

    async def every() -> dict[str, int]:
        nonlocal asked
        counted = {"plain": 0, "masked": 0, "refused": 0}
        transport = httpx.ASGITransport(routes.application(site))
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
            for heading, (actor, standing) in people.items():
                asked = actor
                for item in WATCHED:
                    path = f"/api/{item.name}"
                    got = await (client.post(path, json={}) if item.changes else client.get(path))
                    cell = decide(item, actor, standing)
                    counted[_judge(item, heading, cell, got, seen[heading])] += 1
        return counted

    counted = world.run(every())
    assert all(counted.values()), counted
    assert sum(counted.values()) == len(people) * len(WATCHED)


def _judge(item: Operation, heading: str, cell: str, got: httpx.Response, kinds: frozenset[FieldKind]) -> str:
    case = f"{item.name} by {heading}"
    assert "etag" not in got.headers, f"{case}: a tag over the answer would say whether two are the same"
    if cell == NO:
        assert got.status_code == 403, case
        assert not [text for text in PLAIN.values() if text in got.text], case
        return "refused"
    assert got.status_code == 200, f"{case}: {got.text}"
    found = list(personal(item.answer, got.json()))
    assert found, case
    if cell == OWN:
        # what a row says to be of another person is so among one's own too
        plain = [text == (expected(note.kind, kinds) if note.of else PLAIN[note.kind]) for note, text in found]
        assert all(plain), f"{case}: one's own is masked"
        return "plain"
    for note, text in found:
        assert text == expected(note.kind, kinds), f"{case}: {note.kind}"
    if FieldKind.EMAIL not in kinds:
        assert EMAIL not in got.text, f"{case}: the address stands somewhere in the answer"
    return "masked"
