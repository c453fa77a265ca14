"""The live check of access.rbac: kept on the whole API, and broken when it should be."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from subscription_services.access.checks import checks, knock_everywhere
from subscription_services.kernel.actors import Actor, Anonymous, Role
from subscription_services.kernel.checks import Finding, Verdict
from subscription_services.kernel.operations import Registry
from subscription_services.testing import World
from subscription_services.web.api import api_routes
from subscription_services.web.call import Navigation, Site, Visitor
from subscription_services.web.routes import RouteTable


def find(world: World, actor: Actor, registry: Registry | None = None) -> Finding:
    """Run the check over the API of the whole house, which takes every visitor for `actor`."""
    known = world.house.kernel.registry

    async def visitor(request: Any) -> Visitor:
        return Visitor(actor)

    site = Site(world.house.kernel, visitor, lambda found: Navigation())
    application = RouteTable(api_routes(known, product="Test", version="0")).application(site)

    async def run() -> Finding:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
            return await knock_everywhere(client, registry or known)

    finding = world.run(run())
    assert isinstance(finding, Finding)
    return finding


def test_it_is_kept_and_says_how_many_doors_it_tried(world: World) -> None:
    finding = find(world, Anonymous())
    assert finding.verdict is Verdict.KEPT, finding
    assert int(finding.evidence["operations"]) > 30


def test_it_is_broken_when_a_stranger_is_taken_for_somebody(world: World) -> None:
    finding = find(world, world.team(Role.AUDITOR))
    assert finding.verdict is Verdict.BROKEN
    assert finding.evidence["open"]


def test_it_is_broken_when_a_role_can_do_everything(world: World) -> None:
    everything = [item for item in world.house.kernel.registry if Role.ADMINISTRATOR in item.by]
    finding = find(world, Anonymous(), Registry(everything))
    assert finding.verdict is Verdict.BROKEN
    assert "administrator" in finding.says


def test_it_could_not_check_what_does_not_answer_properly(world: World) -> None:
    async def run() -> Finding:
        transport = httpx.MockTransport(lambda request: httpx.Response(503))
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
            return await knock_everywhere(client, world.house.kernel.registry)

    assert world.run(run()).verdict is Verdict.COULD_NOT_CHECK


def test_the_check_names_its_promise() -> None:
    assert [item.promise for item in checks() if not item.missing] == [
        "access.rbac", "access.elevation", "access.duties", "access.least-privilege", "access.leavers",
        "access.reviews",
    ]  # fmt: skip


@pytest.fixture(params=["sqlite"])
def engine(request: pytest.FixtureRequest) -> str:
    """What is answered does not depend on the engine."""
    return str(request.param)
