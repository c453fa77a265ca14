"""Appends and sequences without end, and prints the id of each acknowledged event; made to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from subscription_services.kernel.ports import Writer
from subscription_services.ledger.sequencer import run_sequencer
from tests.ledger.conftest import Bench, opened


async def work(bench: Bench) -> None:
    sequencing = asyncio.create_task(
        run_sequencer(bench.store, bench.log, bench.clock, asyncio.Event(), interval=0.001)
    )
    while not sequencing.done():
        event = bench.event()
        await bench.store.write(Writer.PERFORM, lambda c, e=event: bench.events.append(c, [e]))  # type: ignore[misc]
        print(event.id, flush=True)
    sequencing.result()


if __name__ == "__main__":
    for running in opened(Path(sys.argv[1]), sys.argv[2]):
        running.runner.run(work(running))
