"""Every operation of the API, called by somebody who may and by somebody who may not: each stands in the log once."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from subscription_services import app
from subscription_services.kernel.actors import Actor, Anonymous
from subscription_services.kernel.events import Event, Outcome
from subscription_services.ledger.queries import origin_index
from subscription_services.testing import Case, World
from subscription_services.web.api import api_routes
from subscription_services.web.call import Navigation, Site, Visitor
from subscription_services.web.json_body import holding_objects
from subscription_services.web.page import Person
from subscription_services.web.routes import RouteTable

HERE = "198.51.100.7"
CASES: dict[str, Case] = {}
for path in sorted(Path(__file__).parents[1].glob("*/cases.py")):
    for case in importlib.import_module(f"tests.{path.parent.name}.cases").CASES:
        CASES[case.operation] = case
AT_THE_TERMINAL = {"access.agree_to_restore", "access.restore_lost_keys"}
OPEN = {item.name: item for item in app.OPERATIONS if not item.internal}


@pytest.fixture
def small(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    """A house on the embedded store: what is recorded does not depend on the engine."""
    shutil.copytree(sqlite_template, tmp_path / "data")
    with World.open(tmp_path / "data") as opened:
        yield opened


def call(world: World, name: str, actor: Actor, request: msgspec.Struct) -> tuple[int, list[Event]]:
    """The status of the call, and the events of the operation that it left."""
    before = {event.id for event in world.events(name)}

    async def visitor(_: Any) -> Visitor:
        return Visitor() if isinstance(actor, Anonymous) else Visitor(actor, Person("Somebody"))

    site = Site(world.house.kernel, visitor, lambda found: Navigation())
    routes = RouteTable(api_routes(world.house.kernel.registry, product="Test", version="1"))
    body = msgspec.json.decode(msgspec.json.encode(request))

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(routes.application(site), client=(HERE, 1))
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
            if OPEN[name].changes:
                return await client.post(f"/api/{name}", json=body)
            objects = holding_objects(OPEN[name].request)
            params = {
                key: msgspec.json.encode(item).decode() if key in objects else item
                for key, item in body.items() if item is not None
            }  # fmt: skip
            return await client.get(f"/api/{name}", params=params)

    answer: httpx.Response = world.run(send())
    return answer.status_code, [event for event in world.events(name) if event.id not in before]


def whole(world: World, event: Event, actor: Actor) -> bool:
    """Who, what, from where, when."""
    origin = origin_index(world.house.ring.for_caller("ledger"), HERE)
    acted = event.actor == actor.id or isinstance(actor, Anonymous)
    return acted and event.origin_index == origin and bool(event.correlation and event.actor_kind and event.at)


@pytest.mark.parametrize("name", sorted(OPEN))
def test_a_call_is_recorded_once(small: World, name: str) -> None:
    actor, request = CASES[name].allow(small)
    if actor.kind == "system":
        pytest.fail(f"{name} is open to others than the service; its case should be of one of them")
    status, left = call(small, name, actor, request)
    if name in AT_THE_TERMINAL:
        assert (status, [event.outcome for event in left]) == (403, [Outcome.REFUSED])
        return
    assert status == 200
    assert [event.outcome for event in left] == ([Outcome.SUCCESS] if OPEN[name].audited else [])
    assert all(whole(small, event, actor) for event in left)


@pytest.mark.parametrize("name", sorted(name for name in OPEN if CASES[name].deny))
def test_a_refused_call_is_recorded_once(small: World, name: str) -> None:
    deny = CASES[name].deny
    assert deny is not None
    actor, request = deny(small)
    status, left = call(small, name, actor, request)
    assert status >= 400
    assert len(left) == 1
    assert left[0].outcome in (Outcome.REFUSED, Outcome.FAILED)
    assert left[0].reason
    assert whole(small, left[0], actor)
