"""The one place that lists the rooms and puts them together."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from subscription_services import jobs, keys, storage
from subscription_services.jobs import DatabaseOutbox, JobKinds, Schedule
from subscription_services.kernel.actors import Actor, Standing
from subscription_services.kernel.authorise import claimed_standing
from subscription_services.kernel.clock import Clock, Random, system_clock, system_random
from subscription_services.kernel.context import Context, Origin
from subscription_services.kernel.errors import ApprovalNeeded
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.model import metadata
from subscription_services.kernel.operations import Operation, Registry
from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.ports import Store
from subscription_services.kernel.settings import HouseSettings, Settings, Slice, load
from subscription_services.keys import KeyRing, KeySettings, open_embedded
from subscription_services.ledger.append import DatabaseEventLog
from subscription_services.ledger.memory import FileMemory
from subscription_services.ledger.stored import Log
from subscription_services.storage.counters import DatabaseLimiter

SLICES: tuple[Slice, ...] = (Slice("", HouseSettings), Slice("keys", KeySettings))


@dataclass(frozen=True, slots=True)
class House:
    """Everything that runs, put together once per process; `close()` when done."""

    settings: Settings
    ring: KeyRing
    store: Store
    kernel: Kernel
    outbox: DatabaseOutbox
    log: Log
    schedules: tuple[Schedule, ...]

    def close(self) -> None:
        """Finish what was queued, then give back files and connections."""
        self.store.close()
        for pool in self.kernel.pools.values():
            pool.shutdown(wait=False)
        self.ring.close()


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings of every room. Raises SettingsError."""
    return load(SLICES, environment)


def build(
    settings: Settings,
    *,
    clock: Clock = system_clock,
    random: Random = system_random,
    more: tuple[Operation, ...] = (),
) -> House:
    """Open keys and store and put the rooms together. Raises StartError, SettingsError, KeyUnavailable."""
    house = settings.of(HouseSettings)
    ring = open_embedded(house.data_path / "keys", settings.of(KeySettings), clock, random)
    store = storage.open_store(house, ring)
    registry = Registry((*operations(), *more))
    ids = Ids(clock, random)
    kinds = JobKinds(job_kinds(settings))
    outbox = DatabaseOutbox(kinds, random)
    pools: dict[str, Executor] = {
        "prepare": ThreadPoolExecutor(4, thread_name_prefix="prepare"),
        "bcrypt": ThreadPoolExecutor(2, thread_name_prefix="bcrypt"),
    }
    kernel = Kernel(
        registry=registry, store=store, keys=ring, log=DatabaseEventLog(ring, ids), outbox=outbox,
        authority=_Claims(), approvals=_NoApprovals(), limiter=DatabaseLimiter(store, ring.for_caller("storage"), clock),
        clock=clock, random=random, pools=pools,
    )  # fmt: skip
    ring.for_caller("kernel").ensure_subject("kernel.idempotency")
    ledger_keys = ring.for_caller("ledger")
    (house.data_path / "ledger").mkdir(mode=0o700, exist_ok=True)
    log = Log(log_origin(house), ledger_keys, FileMemory(house.data_path / "ledger" / "checkpoint.json", ledger_keys))
    return House(settings, ring, store, kernel, outbox, log, ())


def log_origin(house: HouseSettings) -> str:
    return f"{house.public_name}/log"


def operations():
    return ()


def job_kinds(settings: Settings):
    return ()


def migrate(settings: Settings) -> None:
    house = build(settings)
    engine = house.store.write_engine
    metadata.create_all(engine)
    house.close()


class _Claims:
    def standing(self, connection, actor: Actor, now) -> Standing:
        return claimed_standing(Context(actor, now, None, None, Origin(), ""))


class _NoApprovals:
    def consume(self, connection, actor, operation, digest, needed, now) -> None:
        raise ApprovalNeeded()
