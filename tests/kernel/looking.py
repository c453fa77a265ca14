"""A process that looks at one account: says how many looks are committed, then how many it took; tests kill it.

usage: python -m tests.kernel.looking DATA DATABASE ACCOUNT SESSION
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from subscription_services.identity.operations.profile import ShowProfile
from subscription_services.kernel.actors import Subscriber
from subscription_services.testing import World

LOOKS = 20


def main(data: str, database: str, account: str, session: str) -> None:
    with World.open(Path(data), database) as world:
        actor = Subscriber(account, session, world.clock())
        for _ in range(LOOKS):
            world.do("identity.profile", actor, ShowProfile())
        world.events()
        print(LOOKS, flush=True)
        for _ in range(LOOKS):
            world.do("identity.profile", actor, ShowProfile())
        print(2 * LOOKS, flush=True)
        world.run(asyncio.sleep(600))


if __name__ == "__main__":
    main(*sys.argv[1:5])
