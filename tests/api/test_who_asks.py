"""A read over the API finds out who asks in the transaction that answers: one look, and nothing remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import update
from starlette.requests import Request

from subscription_services import front
from subscription_services.access.model import grant
from subscription_services.identity.model import session
from subscription_services.identity.operations.profile import ShowProfile
from subscription_services.identity.operations.sign_in import SignOut
from subscription_services.identity.tokens import digest
from subscription_services.kernel.actors import Asker, Role, Subscriber, TeamMember
from subscription_services.kernel.context import Origin
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import perform
from subscription_services.testing import World

TOKEN = "a token that a test knows"
PROFILE = "/api/identity.profile"
BEARER = {"Authorization": f"Bearer {TOKEN}", "User-Agent": "tests"}


def hold(world: World, actor: Subscriber | TeamMember) -> None:
    """Give the actor's session the token above."""
    mine = update(session).where(session.c.id == actor.session)
    world.write(lambda connection: connection.execute(mine.values(digest=digest(TOKEN))))


def get(world: World, path: str = PROFILE, headers: dict[str, str] = BEARER) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(front.application(world.house), client=("127.0.0.9", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost:8443") as client:
            return await client.get(path, headers=headers)

    answer: httpx.Response = world.run(send())
    return answer


def asker_of(world: World) -> Asker:
    """Whoever shows the token, as the web floor hands them to perform()."""
    shown = [(name.lower().encode(), text.encode()) for name, text in BEARER.items()]
    scope = {"type": "http", "method": "GET", "path": PROFILE, "headers": shown, "query_string": b""}
    asker = world.house.site.asker(Request(scope))
    assert asker is not None
    return asker


def of_a_role(world: World) -> Operation:
    """A read of the team that asks nothing more."""
    for item in world.house.kernel.registry:
        optional = not any(field.required for field in msgspec.structs.fields(item.request))
        if item.simple and optional and Role.ADMINISTRATOR in item.by and not item.needs:
            return item
    raise AssertionError("no such read")


def counted(monkeypatch: pytest.MonkeyPatch, world: World) -> list[int]:
    """Grows with each transaction that reads."""
    begun: list[int] = []
    store = type(world.house.store)
    original = store.read

    async def read(self: Any, work: Callable[[Any], Any]) -> Any:
        begun.append(1)
        return await original(self, work)

    monkeypatch.setattr(store, "read", read)
    return begun


def test_one_look_at_the_store_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = world.subscriber()
    hold(world, ada)
    begun = counted(monkeypatch, world)
    assert get(world).json()["id"] == ada.id
    assert len(begun) == 1
    (seen,) = world.events("identity.profile")
    assert (seen.actor, seen.session, seen.subject) == (ada.id, ada.session, ada.id)


@pytest.mark.parametrize("roles", [(), (Role.ADMINISTRATOR, Role.AUDITOR)])
def test_what_is_found_there_is_what_the_authority_says(world: World, roles: tuple[Role, ...]) -> None:
    actor = world.team(*roles) if roles else world.subscriber()
    hold(world, actor)
    asker, now = asker_of(world), world.clock()
    with world.house.store.reading() as connection:
        who, standing = asker.found(connection, now)
        assert who.id == actor.id and type(who) is type(actor)
        assert standing == world.house.kernel.authority.standing(connection, who, now)


def test_a_session_that_ended_is_refused_at_the_next_read(world: World) -> None:
    ada = world.subscriber()
    hold(world, ada)
    assert get(world).status_code == 200
    world.do("identity.sign_out", ada, SignOut())
    refused = get(world)
    assert (refused.status_code, refused.json()["code"]) == (401, "not-signed-in")
    outcomes = [event.outcome.value for event in world.events("identity.profile")]
    assert sorted(outcomes) == ["refused", "success"]


def test_a_role_that_was_taken_away_is_gone_at_the_next_read(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    hold(world, boss)
    wanted = of_a_role(world)
    path = f"/api/{wanted.name}"
    assert get(world, path).status_code == 200
    taken = update(grant).where(grant.c.account == boss.id)
    ended = taken.values(ended_at=world.clock(), ended_by="system:testing")
    world.write(lambda connection: connection.execute(ended))
    assert get(world, path).status_code == 403
    (refused,) = [event for event in world.events(wanted.name) if event.outcome == "refused"]
    assert refused.actor == boss.id, "the refusal says who it was"


def test_a_stranger_is_refused_as_ever(world: World) -> None:
    for headers in (BEARER, {"Cookie": f"__Host-session={TOKEN}"}, {}):
        answer = get(world, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "not-signed-in")


def test_only_a_plain_read_may_leave_open_who_asks(world: World) -> None:
    ada = world.subscriber()
    hold(world, ada)
    asker = asker_of(world)
    for item in world.house.kernel.registry:
        if item.simple:
            assert not (item.changes or item.limits or item.public)
    change = world.house.kernel.registry.get("identity.sign_out")
    assert change is not None
    with pytest.raises(LookupError):
        world.run(perform(world.house.kernel, change, asker, SignOut(), origin=Origin("127.0.0.9")))
    profile = world.house.kernel.registry.get("identity.profile")
    assert profile is not None
    mine = world.run(perform(world.house.kernel, profile, asker, ShowProfile(), origin=Origin("127.0.0.9")))
    assert mine.id == ada.id
