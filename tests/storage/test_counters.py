"""Counters of limits: shared by every process, one upsert a use."""

from __future__ import annotations

import asyncio

import pytest

from subscription_services.kernel.errors import TooMany
from subscription_services.storage.counters import DatabaseLimiter
from subscription_services.testing import World


def limiter(world: World) -> DatabaseLimiter:
    """Another process's limiter on the same store."""
    return DatabaseLimiter(world.house.store, world.house.ring.for_caller("storage"), world.clock)


def test_many_at_once_never_get_more_than_allowed(world: World) -> None:
    async def all_at_once() -> int:
        tries = [limiter(world).spend("test", "key", 10, 60) for _ in range(40)]
        answers = await asyncio.gather(*tries, return_exceptions=True)
        assert all(answer is None or isinstance(answer, TooMany) for answer in answers)
        return sum(answer is None for answer in answers)

    assert world.run(all_at_once()) == 10


def test_a_window_ends_and_keys_are_apart(world: World) -> None:
    one = limiter(world)
    world.run(one.spend("test", "a", 1, 60))
    world.run(one.spend("test", "b", 1, 60))
    world.run(one.spend("other", "a", 1, 60))
    with pytest.raises(TooMany) as caught:
        world.run(one.spend("test", "a", 1, 60))
    assert 1 <= caught.value.retry_after <= 60
    world.clock.advance(seconds=61)
    world.run(one.spend("test", "a", 1, 60))
    world.clock.advance(seconds=61)
    assert world.run(one.forget()) == 3
