"""The processes that `subs run` starts, one function each."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog
from granian.constants import Loops
from granian.server import Server as Granian
from starlette.types import ASGIApp

from subscription_services import app, keys
from subscription_services.edge.listener import Listening, options
from subscription_services.edge.redirect import redirect_app
from subscription_services.jobs import run_worker
from subscription_services.kernel.clock import system_clock, system_random
from subscription_services.kernel.settings import HouseSettings
from subscription_services.ledger.sequencer import run_sequencer
from subscription_services.ledger.settings import LedgerSettings
from subscription_services.ledger.trust_policy import read_policy
from subscription_services.ledger.witnesses import Witnessing

log = structlog.get_logger("parts")


def keep_keys() -> None:
    """The key service: the only process that opens the root key."""
    settings = app.read_settings(os.environ)
    keys.serve_keys(settings.of(HouseSettings).data_path, settings.of(keys.KeySettings), system_clock, system_random)


def serve() -> None:
    """HTTPS: granian with as many workers as the settings say; each opens the house for itself."""
    settings = app.read_settings(os.environ)
    app.check_may_start(settings)
    house = settings.of(HouseSettings)
    files = app.certificate(house)
    listening = Listening(house.host, house.https_port, files.certificate, files.key)
    Granian(
        "subscription_services.front:create", factory=True, workers=house.processes, respawn_failed_workers=True,
        workers_kill_timeout=15, loop=Loops.uvloop, **options(listening),
    ).serve()  # fmt: skip


def redirect() -> None:
    """Plain HTTP: sends browsers to HTTPS, refuses API calls."""
    house = app.read_settings(os.environ).of(HouseSettings)
    listening = Listening(house.host, house.http_port, lifespan=False)
    Granian("subscription_services.parts:redirecting", factory=True, workers=1, **options(listening)).serve()


def redirecting() -> ASGIApp:
    """Factory for granian."""
    house = app.read_settings(os.environ).of(HouseSettings)
    return redirect_app(house.public_name, house.https_port)


def work() -> None:
    """Jobs, schedules and the sequencer of the log."""
    settings = app.read_settings(os.environ)
    app.check_may_start(settings)
    house = app.build(settings)

    async def until_told() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        ledger = house.settings.of(LedgerSettings)
        policy = read_policy(ledger.witness_policy)
        witnessing = Witnessing(house.store, house.log, policy, house.kernel.clock, ledger.witness_seconds)
        lease = house.store.lease("ledger.sequencer")
        await asyncio.gather(
            run_worker(house.kernel, house.outbox, house.schedules, f"worker-{os.getpid()}", stop),
            run_sequencer(house.store, house.log, house.kernel.clock, stop, witnessing=witnessing, lease=lease),
        )

    try:
        asyncio.run(until_told())
    finally:
        house.close()
