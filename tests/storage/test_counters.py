"""Counters of limits: shared by every process and node, in the database or in Valkey, alike."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from subscription_services import app
from subscription_services.identity.errors import WrongCredentials
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.errors import SettingsError, TooMany
from subscription_services.kernel.perform import perform
from subscription_services.kernel.ports import Limiter
from subscription_services.storage.counters import MEMBERS_KEPT, DatabaseLimiter, counter
from subscription_services.storage.limiting import SECONDS_APART, FallbackLimiter
from subscription_services.storage.valkey_counters import ValkeyLimiter, client_url
from subscription_services.testing import ValkeyServer, World

EMAIL = "ada@example.org"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres), "valkey"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def limiter(world: World) -> Limiter:
    return world.house.kernel.limiter


def rows(world: World) -> int:
    with world.house.store.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(counter)).scalar_one())


def refused(world: World, use: Coroutine[Any, Any, None]) -> int:
    """Seconds to wait, 0 when it was allowed."""
    try:
        world.run(use)
    except TooMany as error:
        return error.retry_after
    return 0


def test_many_at_once_never_get_more_than_allowed(world: World, limiter: Limiter) -> None:
    async def all_at_once() -> tuple[int, int]:
        plain = [limiter.spend("test", "key", 10, 60) for _ in range(40)]
        growing = [limiter.spend_growing("grown", "key", 10, (60,), 60) for _ in range(40)]
        answers = await asyncio.gather(*plain, *growing, return_exceptions=True)
        assert all(answer is None or isinstance(answer, TooMany) for answer in answers)
        return sum(answer is None for answer in answers[:40]), sum(answer is None for answer in answers[40:])

    assert world.run(all_at_once()) == (10, 10)


def test_a_window_ends_and_keys_are_apart(world: World, limiter: Limiter, engine: str) -> None:
    for name, key in (("test", "a"), ("test", "b"), ("other", "a")):
        world.run(limiter.spend(name, key, 1, 60))
    assert 20 <= refused(world, limiter.spend("test", "a", 1, 60)) <= 60
    world.clock.advance(seconds=61)
    world.run(limiter.spend("test", "a", 1, 60))
    world.clock.advance(seconds=61)
    if isinstance(limiter, DatabaseLimiter):
        assert world.run(limiter.forget()) == 3


def test_a_use_that_is_taken_back_leaves_room_and_no_wait(world: World, limiter: Limiter) -> None:
    world.run(limiter.take_back("test", "key", 1, 60))  # nothing was counted: nothing happens
    for _ in range(3):
        world.run(limiter.spend("test", "key", 1, 60))
        assert refused(world, limiter.spend("test", "key", 1, 60))
        world.clock.advance(seconds=61)
        world.run(limiter.spend("test", "key", 1, 60))
        world.run(limiter.take_back("test", "key", 1, 60))
    for _ in range(5):
        world.run(limiter.spend_growing("grown", "key", 2, (30,), 600))
        world.run(limiter.take_back("grown", "key", 2, 0))
    world.run(limiter.spend_growing("grown", "key", 2, (30,), 600))
    world.run(limiter.spend_growing("grown", "key", 2, (30,), 600))
    assert refused(world, limiter.spend_growing("grown", "key", 2, (30,), 600))


@given(st.lists(st.tuples(st.sampled_from("ws"), st.integers(0, 4000)), max_size=25))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_growing_waits_follow_a_small_model(world: World, steps: list[tuple[str, int]]) -> None:
    """`w` is a wrong try, `s` a success, each after so many seconds."""
    limiter = world.house.kernel.limiter
    key = world.house.kernel.random(8).hex()
    used, open_at, ends_at = 0, 0, 0
    at = 0
    for kind, seconds in steps:
        seconds += seconds % 10 == 0  # never on the very end: the server's own clock goes on by milliseconds
        world.clock.advance(seconds=seconds)
        at += seconds
        if open_at > at:
            assert open_at - at - 1 <= refused(world, limiter.spend_growing("model", key, 3, (10, 100), 600)) <= 100
            continue
        world.run(limiter.spend_growing("model", key, 3, (10, 100), 600))
        used = 1 if ends_at <= at else used + 1
        wait = 0 if used < 3 else (10, 100)[min(used - 3, 1)]
        open_at, ends_at = at + wait, at + wait + 600
        if kind == "s":
            world.run(limiter.forgive("model", key))
            used, open_at, ends_at = 0, at, at


def test_different_members_are_recognised_once_and_for_as_long_as_new_ones_come(world: World, limiter: Limiter) -> None:
    def fail(member: int) -> bool:
        return bool(world.run(limiter.spread("test", "key", str(member), 3, 60)))

    def now() -> bool:
        return bool(world.run(limiter.recognised("test", "key", 3)))

    assert [fail(member) for member in (1, 1, 2, 2, 3, 3)] == [False] * 6 and not now()
    world.run(limiter.unspread("test", "key", "3"))
    assert [fail(4), now(), fail(5), now()] == [False, False, True, True]
    world.clock.advance(seconds=50)
    assert not any(fail(member) for member in range(10, 10 + 3 * MEMBERS_KEPT)), "it is told once"
    world.clock.advance(seconds=50)
    assert now(), "new members make it last"
    assert not fail(11)
    world.clock.advance(seconds=20)
    assert not now(), "the same ones do not"
    assert [fail(member) for member in (1, 2, 3, 4)] == [False, False, False, True]


def test_two_nodes_share_one_count(world: World, engine: str) -> None:
    """Two kernels on the same store; with Valkey the database counts nothing."""
    world.subscriber(EMAIL)
    before = rows(world)
    other = app.build(world.house.settings, clock=world.clock)
    try:
        tried = []
        for number in range(8):
            kernel = (world.house.kernel, other.kernel)[number % 2]
            sign_in = kernel.registry.get("identity.sign_in")
            assert sign_in is not None
            with pytest.raises((WrongCredentials, TooMany)) as caught:
                world.run(perform(kernel, sign_in, Anonymous(), SignIn(EMAIL, "not the one and long")))
            tried.append(isinstance(caught.value, TooMany))
        assert tried == [False] * 5 + [True] * 3
    finally:
        other.close()
    assert (rows(world) == before) is (engine == "valkey")


@pytest.mark.parametrize("engine", ["valkey"])
def test_what_is_stored_says_nothing_of_who_is_counted(valkey: ValkeyServer, world: World, engine: str) -> None:
    with pytest.raises(WrongCredentials):
        world.do("identity.sign_in", Anonymous(), SignIn(EMAIL, "not the one and long"))
    client = valkey.ask()
    found = b" ".join(
        part
        for key in valkey.stored()
        for part in (key, b" ".join(client.smembers(key)) if client.type(key) == b"set" else client.get(key))
    )
    assert len(valkey.stored()) > 5
    for word in (b"ada", b"example", b"127.0.0", b"not the one", b"identity"):
        assert word not in found
    assert all(0 < client.ttl(key) <= 30 * 3600 for key in valkey.stored()), "everything ends"


class Ticks:
    """Seconds that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("engine", ["sqlite"])
def test_while_valkey_is_away_the_database_counts_and_nothing_is_unlimited(
    world: World, valkey: ValkeyServer, engine: str
) -> None:
    keys, ticks = world.house.ring.for_caller("storage"), Ticks()
    database = DatabaseLimiter(world.house.store, keys, world.clock)
    both = FallbackLimiter(ValkeyLimiter(valkey.url, keys, world.clock), database, ticks)

    def tries() -> list[bool]:
        plain = [refused(world, both.spend("p", "k", 3, 3600)) == 0 for _ in range(5)]
        growing = [refused(world, both.spend_growing("g", "k", 3, (900,), 3600)) == 0 for _ in range(5)]
        spread = [world.run(both.spread("s", "k", str(number), 3, 3600)) for number in range(5)]
        return [*plain, *growing, *spread, world.run(both.recognised("s", "k", 3))]

    once = [*[True] * 3, *[False] * 2] * 2 + [False, False, False, True, False, True]
    never = [False] * 15 + [True]
    try:
        assert tries() == once
        valkey.kill()
        assert tries() == once, "the database knows nothing of before, and limits alike"
        assert tries() == never
        valkey.again()
        assert tries() == never, "it is not asked again at once"
        ticks.now += SECONDS_APART
        assert tries() == once, "this server came back empty"
        valkey.kill()
        assert tries() == never, "a second outage gives nothing again"
    finally:
        both.close()


@pytest.mark.parametrize("engine", ["valkey"])
def test_the_library_takes_the_time_from_ours(world: World, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wall:
        def time(self) -> float:
            raise AssertionError("the wall clock was read")

    monkeypatch.setattr("limits.storage.redis.time", Wall())
    world.clock.advance(days=4000)
    world.run(world.house.kernel.limiter.spend("test", "a", 1, 60))
    assert 20 <= refused(world, world.house.kernel.limiter.spend("test", "a", 1, 60)) <= 60


def test_addresses_of_servers_are_checked() -> None:
    assert client_url("valkeys://u:p@counters.example:6380/1") == "rediss://u:p@counters.example:6380/1"
    assert client_url("redis://localhost") == "redis://localhost"
    for bad in ("http://localhost", "redis://", "redis://counters.example:6379", "localhost:6379"):
        with pytest.raises(SettingsError):
            client_url(bad)
