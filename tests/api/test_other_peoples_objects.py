"""Every operation on one's own that takes an id, tried with somebody else's: it answers as if there were none.

The objects are those of the cases of each room; a new operation that takes an id comes in by itself.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from subscription_services import app, front
from subscription_services.identity.model import session
from subscription_services.identity.tokens import digest
from subscription_services.kernel.actors import Actor, ServiceAccount, Subscriber, TeamMember
from subscription_services.kernel.ids import PATTERN, kind
from subscription_services.kernel.operations import Operation, Public
from subscription_services.testing import Case, World

from .requests import NOBODY

CASES: dict[str, Case] = {}
for path in sorted(Path(__file__).parents[1].glob("*/cases.py")):
    for case in importlib.import_module(f"tests.{path.parent.name}.cases").CASES:
        CASES[case.operation] = case
OWN = (Subscriber.own, TeamMember.own)
TEXT = (str, str | None)


def takes_an_id(item: Operation) -> bool:
    """Whether a field of the request can name something of ours."""
    named = {"id", "account", "subject", "subscription", "invoice", "payment", "object"}
    return any(f.name in named or f.name.endswith("_id") for f in msgspec.structs.fields(item.request))


TRIED = sorted(
    item.name
    for item in app.OPERATIONS
    if takes_an_id(item) and any(rule in item.by for rule in OWN) and not any(isinstance(r, Public) for r in item.by)
)


@pytest.fixture
def small(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    """A house on the embedded store: whose something is depends on no engine."""
    shutil.copytree(sqlite_template, tmp_path / "data")
    with World.open(tmp_path / "data") as opened:
        yield opened


def hold(world: World, actor: Actor, token: str) -> None:
    """Give the actor's session a token that the test knows."""
    mine = session.update().where(session.c.id == getattr(actor, "session", "")).values(digest=digest(token))
    world.write(lambda connection: connection.execute(mine))


def call(world: World, item: Operation, token: str, body: dict[str, Any]) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(front.application(world.house), client=("127.0.0.9", 4711))
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost:8443", headers=headers) as client:
            if item.changes:
                return await client.post(f"/api/{item.name}", json=body)
            return await client.get(f"/api/{item.name}", params={key: value for key, value in body.items() if value})

    answer: httpx.Response = world.run(send())
    return answer


def said(answer: httpx.Response, ids: dict[str, str]) -> tuple[int, dict[str, Any], list[str]]:
    """What an answer tells, but for the request's own id."""
    text = answer.text
    for one, other in ids.items():
        text = text.replace(one, other)
    body = msgspec.json.decode(text) if text else {}
    body.pop("instance", None)
    return answer.status_code, body, sorted(name for name in answer.headers if name != "x-request-id")


def unlike(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The same request about what does not exist, and which id stands for which."""
    ids = {
        value: f"{kind(value)}_{NOBODY}"
        for value in body.values()
        if isinstance(value, str) and PATTERN.fullmatch(value)
    }
    return {key: ids.get(value, value) if isinstance(value, str) else value for key, value in body.items()}, ids


@pytest.mark.parametrize("name", TRIED)
def test_somebody_elses_looks_like_none(small: World, name: str) -> None:
    item = small.house.kernel.registry.get(name)
    assert item is not None
    owner, request = CASES[name].allow(small)
    body = msgspec.to_builtins(request)
    nothing, ids = unlike(body)
    assert ids, f"the case of {name} names nothing by an id"
    own_kind = Subscriber.own if isinstance(owner, Subscriber) else TeamMember.own
    if own_kind not in item.by:  # the case is by a role; the object is a subscriber's all the same
        own_kind = Subscriber.own if Subscriber.own in item.by else TeamMember.own
    other: Actor = small.subscriber() if own_kind is Subscriber.own else small.team()
    hold(small, other, "a token that the other one has")
    theirs = call(small, item, "a token that the other one has", body)
    none = call(small, item, "a token that the other one has", nothing)
    assert said(theirs, ids) == said(none, ids), name
    assert theirs.status_code in (404, 200)
    if theirs.status_code == 200:  # ending what is not there is no failure; then nothing of the owner's ended
        assert item.changes, f"{name} shows what is somebody else's"
    if not isinstance(owner, ServiceAccount):
        hold(small, owner, "a token that the owner has")
        assert call(small, item, "a token that the owner has", body).status_code == 200, "it was still there"


def test_there_is_something_to_try() -> None:
    assert len(TRIED) >= 15
