"""The store on both engines: read-only readers, commits in groups, failures that touch nobody else."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from subscription_services.kernel.actors import System
from subscription_services.kernel.perform import perform
from subscription_services.kernel.ports import Writer
from subscription_services.testing import World

from .sample import Nothing, Number, Refused, count, keep, sample

SYSTEM = System("test")


def test_a_reader_cannot_write(house: World) -> None:
    with pytest.raises(DBAPIError), house.house.store.reading() as connection:
        connection.execute(sample.insert().values(id="x", number=1))


def test_many_at_once_each_get_their_own_answer(house: World) -> None:
    async def all_at_once() -> list[Any]:
        tries = [
            perform(house.house.kernel, keep, SYSTEM, Number(number if number % 7 else -number - 1))
            for number in range(200)
        ]
        return await asyncio.gather(*tries, return_exceptions=True)

    answers = house.run(all_at_once())
    for number, answer in enumerate(answers):
        if number % 7:
            assert answer.number == number
        else:
            assert isinstance(answer, Refused)
    good = sum(1 for number in range(200) if number % 7)
    assert house.do(count, SYSTEM, Nothing()) == good
    assert len([e for e in house.events("kernel.keep") if e.outcome == "success"]) == good
    assert len([e for e in house.events("kernel.keep") if e.outcome == "failed"]) == 200 - good


def test_one_unit_that_fails_in_a_group_touches_nobody_else(house: World) -> None:
    store = house.house.store

    def insert(name: str, fail: bool) -> Any:
        def work(connection: Any) -> str:
            connection.execute(sample.insert().values(id=name, number=1))
            if fail:
                raise RuntimeError(name)
            return name

        return store.write(Writer.PERFORM, work)

    async def together() -> list[Any]:
        return await asyncio.gather(*(insert(f"n{i}", i % 3 == 0) for i in range(60)), return_exceptions=True)

    answers = house.run(together())
    assert [isinstance(a, RuntimeError) for a in answers] == [i % 3 == 0 for i in range(60)]
    assert house.do(count, SYSTEM, Nothing()) == 40


def test_work_of_a_caller_that_went_away_is_whole(house: World) -> None:
    async def leave() -> None:
        task = asyncio.ensure_future(perform(house.house.kernel, keep, SYSTEM, Number(5)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    house.run(leave())
    # nobody waits for it any more, so it may still be under way: but never one without the other
    end = time.monotonic() + 10
    while (recorded := _recorded(house)) != house.do(count, SYSTEM, Nothing()):
        assert time.monotonic() < end, recorded


def _recorded(house: World) -> int:
    return len([event for event in house.events("kernel.keep") if event.outcome == "success"])


def test_a_duplicate_is_refused_and_leaves_its_failure_in_the_log(house: World) -> None:
    house.do(keep, SYSTEM, Number(1, "num_1"))
    with pytest.raises(DBAPIError):
        house.do(keep, SYSTEM, Number(2, "num_1"))
    assert [e.outcome for e in house.events("kernel.keep")] == ["success", "failed"]
    assert house.events("kernel.keep")[1].reason == "error:IntegrityError"
