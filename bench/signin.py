"""Sign-ins through perform() against bare bcrypt of the same cost on all cores; and how long whoever is signed in waits
while a flood of sign-ins keeps every core busy (`bench.flood`).

The limits stay on: the sign-ins are spread over people and addresses as those of real ones are.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import bcrypt

from bench import flood
from bench.measure import Ratio, from_pairs, rate
from bench.people import enter, environment_of, join, opened
from subscription_services import app

COST = 12
PEOPLE = 16
CALLERS = 16
ROUNDS = 5
COUNT = 20
"""(ROUNDS + 1) * COUNT sign-ins of PEOPLE people stay within ten each in a quarter of an hour."""


def run() -> list[Ratio]:
    """On the embedded store; the work is bcrypt's on either engine."""
    cores = len(os.sched_getaffinity(0))
    with _people() as (house, runner), ThreadPoolExecutor(cores) as pool:
        verifier = bcrypt.hashpw(b"x" * 64, bcrypt.gensalt(COST))
        numbers = itertools.count(PEOPLE)

        async def some(count: int) -> None:
            left = iter(range(count))

            async def caller() -> None:
                for _ in left:
                    number = next(numbers)
                    await enter(house, _email(number % PEOPLE), number)

            await asyncio.gather(*(caller() for _ in range(CALLERS)))

        def bare(count: int) -> None:
            if not all(pool.map(lambda _: bcrypt.checkpw(b"x" * 64, verifier), range(count))):
                raise AssertionError("bcrypt refused its own hash")

        runner.run(some(COUNT // 2))
        bare(COUNT // 4)
        pairs = [(rate(lambda count: runner.run(some(count)), COUNT), rate(bare, COUNT)) for _ in range(ROUNDS)]
    what = f"sign-in, cost {COST}, {CALLERS} callers"
    return [from_pairs(what, f"bare bcrypt on {cores} cores", pairs, 0.95), *flood.run()]


@contextmanager
def _people() -> Iterator[tuple[app.House, asyncio.Runner]]:
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
        environment = environment_of(Path(folder) / "data", SUBS_IDENTITY_BCRYPT_COST=str(COST))
        with asyncio.Runner() as runner, opened(environment) as house:

            async def all_join() -> None:
                await asyncio.gather(*(join(house, _email(number), number) for number in range(PEOPLE)))

            runner.run(all_join())
            yield house, runner


def _email(number: int) -> str:
    return f"person{number}@example.org"
