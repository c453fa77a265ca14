"""Load balancers are told when no key can be had because its use could not be recorded."""

from __future__ import annotations

import httpx

from subscription_services import front
from subscription_services.keys import KeyUnavailable
from subscription_services.testing import World


def ready(world: World) -> int:
    transport = httpx.ASGITransport(front.application(world.house), client=("127.0.0.9", 4711))

    async def ask() -> int:
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
            return (await client.get("/health/ready")).status_code

    found: int = world.run(ask())
    return found


def test_not_ready_while_no_access_to_a_key_can_be_recorded(world: World) -> None:
    assert ready(world) == 200
    ring = world.house.ring
    service = ring.service

    class Full:
        """Stands for the service on a full disk: everything else still answers from memory."""

        def __getattr__(self, name: str) -> object:
            return getattr(service, name)

        def ready(self) -> None:
            raise KeyUnavailable("The disk of the key store is full.")

    ring.service = Full()  # type: ignore[assignment]
    ring._next_ready = float("-inf")
    assert ready(world) == 503
    ring.service = service
    assert ready(world) == 200
