"""A process that writes without end and says each id once its commit is acknowledged; tests kill it.

usage: python -m tests.storage.load DATA DATABASE NAME
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from subscription_services.kernel.actors import System
from subscription_services.kernel.perform import perform
from subscription_services.testing import World

from .sample import OPERATIONS, Number, keep


def main(data: str, database: str, name: str) -> None:
    numbers = itertools.count()
    with World.open(Path(data), database, more=OPERATIONS) as world:

        async def one_after_another() -> None:
            for _ in range(100_000):
                number = next(numbers)
                try:
                    answer = await perform(
                        world.house.kernel, keep, System(name), Number(number % 1000, f"num_{name}_{number}")
                    )
                except Exception as error:
                    print(f"! {type(error).__name__}", flush=True)
                    if type(error).__name__ == "StoreFull":
                        return
                else:
                    print(answer.id, flush=True)

        async def all_together() -> None:
            await asyncio.gather(*(one_after_another() for _ in range(16)))

        print("started", flush=True)
        world.run(all_together())


if __name__ == "__main__":
    main(*sys.argv[1:4])
