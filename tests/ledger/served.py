"""The whole application with its edge, as seen by one actor, and a synchronous client on it."""

from __future__ import annotations

from dataclasses import replace

import httpx
from msgspec.structs import replace as changed
from starlette.requests import Request

from subscription_services import front
from subscription_services.kernel.actors import Actor, Anonymous
from subscription_services.ledger.sequencer import sequence
from subscription_services.testing import World
from subscription_services.web.call import Visitor

JSON = {"Accept": "application/json"}


class Through(httpx.BaseTransport):
    """Carries requests into the world's application. `cut` requests are answered, then the line is dead."""

    def __init__(self, world: World, actor: Actor | None = None, cut: int | None = None) -> None:
        async def visitor(request: Request) -> Visitor:
            return Visitor(actor or Anonymous())

        house = replace(world.house, site=replace(world.house.site, visitor=visitor))
        self._inner = httpx.ASGITransport(front.application(house), client=("127.0.0.9", 4711))
        self._world, self._cut = world, cut
        self.asked: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._cut is not None and len(self.asked) >= self._cut:
            raise httpx.ReadError("the line is dead")
        self.asked.append(request.url.path)

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._inner, base_url="https://localhost:8443") as client:
                return await client.request(
                    request.method, request.url, headers=request.headers, content=request.read()
                )

        answer: httpx.Response = self._world.run(send())
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def client(world: World, actor: Actor | None = None, cut: int | None = None) -> httpx.Client:
    """A client that asks as `actor` (nobody: a stranger)."""
    return httpx.Client(transport=Through(world, actor, cut), base_url="https://localhost:8443", headers=JSON)


def grow(world: World, count: int) -> None:
    """`count` more events, signed."""
    example = world.events()[0]
    ids = world.house.kernel.context(world.system()).ids
    more = [changed(example, id=ids.new("evt")) for _ in range(count)]
    world.write(lambda connection: world.house.kernel.log.append(connection, more))
    sign(world)


def sign(world: World) -> None:
    world.run(sequence(world.house.store, world.house.log, world.clock))
