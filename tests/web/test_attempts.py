"""What ends on the web floor, before any operation is performed, stands in the log, once."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from subscription_services import front
from subscription_services.kernel.events import Event, Outcome
from subscription_services.ledger.queries import origin_index, personal_fields
from subscription_services.testing import World

JSON = {"content-type": "application/json"}
TOKEN = {"authorization": "Bearer x"}
HERE = "198.51.100.7"


@pytest.fixture
def engine() -> str:
    """The pages are the same on both engines; what they do is tested on both elsewhere."""
    return "sqlite"


def send(world: World, method: str, path: str, **more: Any) -> tuple[int, list[Event]]:
    """The status of a stranger's request through the whole application, edge included, and what it left in the log."""
    before = {event.id for event in world.events()}

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(front.application(world.house), client=(HERE, 1))
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
            return await client.request(method, path, **more)

    answer: httpx.Response = world.run(ask())
    return answer.status_code, [event for event in world.events() if event.id not in before]


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "action", "reason"),
    [
        ("GET", "/api/access.people", {}, 401, "access.people", "not-signed-in"),
        ("GET", "/api/access.people", {"headers": TOKEN}, 401, "access.people", "not-signed-in"),
        ("GET", "/api/access.people?none=1", {}, 422, "access.people", "invalid"),
        ("POST", "/api/identity.sign_in", {"content": b"{", "headers": JSON}, 400, "identity.sign_in", "malformed"),
        ("POST", "/api/identity.sign_in", {"content": b"{}", "headers": JSON}, 422, "identity.sign_in", "invalid"),
        ("POST", "/api/identity.sign_in", {"data": {"a": "b"}}, 403, "identity.sign_in", "forged"),
        ("POST", "/api/identity.sign_in", {"content": b"x" * 300_000}, 413, "identity.sign_in", "too-large"),
        ("GET", "/api/identity.sign_in", {}, 405, "web.no_such_place", "method-not-allowed"),
        ("GET", "/api/access.none", {}, 404, "web.no_such_place", "not-found"),
        ("GET", "/team/none", {}, 404, "web.no_such_place", "not-found"),
        ("GET", "/team/log", {}, 303, "access.audit_log", "not-signed-in"),
        ("GET", "/account", {}, 303, None, "not-signed-in"),
        ("POST", "/sign-in", {"data": {}}, 403, "identity.sign_in", "forged"),
        ("GET", "/api/access.people", {"headers": {"host": "other"}}, 421, "access.people", "misdirected"),
    ],
)  # fmt: skip
def test_an_attempt_is_recorded_once(
    world: World, method: str, path: str, more: dict[str, Any], status: int, action: str | None, reason: str
) -> None:
    start = world.clock()
    answered, left = send(world, method, path, **more)
    assert answered == status
    assert [event.reason for event in left] == [reason]
    event = left[0]
    assert action is None or event.action == action
    assert event.outcome is (Outcome.REFUSED if answered in (303, 401, 403, 421) else Outcome.FAILED)
    assert (event.actor, event.actor_kind) == ("anonymous", "anonymous")
    assert event.origin_index == origin_index(world.house.ring.for_caller("ledger"), HERE)
    assert event.correlation.startswith("req_")
    assert event.at >= start


def test_the_path_that_leads_nowhere_is_sealed(world: World) -> None:
    _, (event,) = send(world, "GET", "/api/ada@example.org")
    assert "ada@" not in str(event)
    opened = personal_fields(world.house.ring.for_caller("ledger"), event)
    assert (opened["path"], opened["address"]) == ("/api/ada@example.org", HERE)


@pytest.mark.parametrize(
    "path", ["/", "/wp-login.php", "/favicon.ico", "/security", "/health/live", "/apiary", "/nothing"]
)
def test_where_nobody_could_get_in_nothing_is_recorded(world: World, path: str) -> None:
    assert send(world, "GET", path)[1] == []


def test_a_stranger_cannot_fill_the_log(world: World) -> None:
    left = [event for _ in range(30) for event in send(world, "GET", "/api/none")[1]]
    assert len(left) == 20
