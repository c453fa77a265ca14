"""A sequencer as a process of its own: says when it leads, and runs until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from subscription_services.ledger.sequencer import run_sequencer
from subscription_services.storage.lease import Lease
from tests.ledger.conftest import Bench, opened


class Telling:
    """The lease, and a line when it is taken."""

    def __init__(self, inner: Lease) -> None:
        self._inner, self._told = inner, False

    def hold(self) -> bool:
        held = self._inner.hold()
        if held and not self._told:
            print("leads", flush=True)
        self._told = held
        return held

    def release(self) -> None:
        self._inner.release()


async def work(bench: Bench) -> None:
    lease = Telling(bench.store.lease("ledger.sequencer"))
    print("started", flush=True)
    await run_sequencer(bench.store, bench.log, bench.clock, asyncio.Event(), 0.01, lease=lease)


if __name__ == "__main__":
    for running in opened(Path(sys.argv[1]), sys.argv[2]):
        running.runner.run(work(running))
