"""The one place that lists the rooms and puts them together."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from subscription_services import (
    access,
    billing,
    identity,
    keys,
    landing,
    mail,
    monitoring,
    storage,
    subscriptions,
    trust,
)
from subscription_services.approving import PasskeySignatures
from subscription_services.edge.certificate import CertificateFiles, local_certificate
from subscription_services.jobs import DatabaseOutbox, JobKind, JobKinds, Schedule, tidy
from subscription_services.kernel.actors import System
from subscription_services.kernel.checks import Check, Doors
from subscription_services.kernel.clock import Clock, Random, system_clock, system_random
from subscription_services.kernel.errors import StartError
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.operations import Operation, Registry
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.ports import Store, Writer
from subscription_services.kernel.settings import HouseSettings, Settings, Slice, load
from subscription_services.keys import KeyRing, KeySettings
from subscription_services.keys import checks as keys_checks
from subscription_services.keys import jobs as keys_jobs
from subscription_services.keys import pages as keys_pages
from subscription_services.ledger import checks as ledger_checks
from subscription_services.ledger import jobs as ledger_jobs
from subscription_services.ledger import pages as ledger_pages
from subscription_services.ledger import retention
from subscription_services.ledger.adoption import OPERATIONS as ADOPTION
from subscription_services.ledger.append import DatabaseEventLog
from subscription_services.ledger.checkpoint import Checkpoint
from subscription_services.ledger.guards import missing_guards
from subscription_services.ledger.memory import FileMemory
from subscription_services.ledger.settings import SETTINGS as LEDGER_SETTINGS
from subscription_services.ledger.settings import LedgerSettings
from subscription_services.ledger.stored import Log
from subscription_services.ledger.trust_policy import TrustPolicy, read_policy
from subscription_services.ledger.verify import report, verification, verify_stored, verify_with_witnesses
from subscription_services.storage.installation import check_stamp, log_origin_of, stamp
from subscription_services.storage.migrate import check_revision
from subscription_services.storage.postgres import PostgresStore
from subscription_services.storage.sqlite import SqliteStore
from subscription_services.visitors import Front
from subscription_services.web.api import api_routes
from subscription_services.web.call import Site
from subscription_services.web.pages import toolkit_routes
from subscription_services.web.routes import RouteTable

T = TypeVar("T")
PRODUCT = "Subscription Services"
VERSION = "0.1.0"
NOBODY = TrustPolicy()
BCRYPT_NICE = 10
SLICES: tuple[Slice, ...] = (
    Slice("", HouseSettings), Slice("keys", KeySettings), identity.SETTINGS, mail.SETTINGS, billing.SETTINGS,
    LEDGER_SETTINGS, access.SETTINGS,
)  # fmt: skip
OPERATIONS: tuple[Operation, ...] = (
    *identity.OPERATIONS, *access.OPERATIONS, *subscriptions.OPERATIONS, *billing.OPERATIONS, *mail.OPERATIONS,
    *trust.OPERATIONS, *keys_jobs.OPERATIONS, *tidy.OPERATIONS, *monitoring.OPERATIONS,
    *retention.OPERATIONS, *ledger_pages.OPERATIONS, *ADOPTION, *ledger_checks.OPERATIONS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class House:
    """Everything that runs, put together once per process; `close()` when done."""

    settings: Settings
    ring: KeyRing
    store: SqliteStore | PostgresStore
    kernel: Kernel
    outbox: DatabaseOutbox
    log: Log
    register: trust.Register
    routes: RouteTable
    site: Site
    schedules: tuple[Schedule, ...]

    @property
    def processor_origins(self) -> tuple[str, ...]:
        """Origins that checkout pages may frame."""
        return billing.frame_origins(self.settings.of(billing.BillingSettings))

    def close(self) -> None:
        """Finish what was queued, then give back files and connections."""
        self.store.close()
        self.kernel.limiter.close()
        for pool in self.kernel.pools.values():
            pool.shutdown(wait=False)
        self.ring.close()


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings of every room. Raises SettingsError."""
    return load(SLICES, environment)


def certificate(house: HouseSettings) -> CertificateFiles:
    """The certificate of the HTTPS listener: the local one, made at the first run."""
    names = tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", house.public_name)))
    return local_certificate(house.data_path / "tls", system_clock(), names)


def build(
    settings: Settings, *, clock: Clock = system_clock, random: Random = system_random,
    more: tuple[Operation, ...] = (), fresh: bool = False, ring: KeyRing | None = None,
) -> House:  # fmt: skip
    """Open keys and store and put the rooms together. `fresh` skips the look at the schema, for `prepare`.

    `ring` is given where other keys than those in their place are meant; it is closed with the house.

    Raises StartError, SettingsError, KeyUnavailable with what to do.
    """
    house = settings.of(HouseSettings)
    billing.check_settings(settings.of(billing.BillingSettings), sandbox=house.sandbox)
    ring = ring or keys.open_ring(house.data_path, settings.of(KeySettings), clock, random)
    store = storage.open_store(house, ring)
    try:
        if not fresh:
            check_store(store, house, settings.of(LedgerSettings))
        return _assemble(settings, house, ring, store, clock, random, more, fresh)
    except BaseException:
        store.close()
        ring.close()
        raise


def _assemble(
    settings: Settings, house: HouseSettings, ring: KeyRing, store: SqliteStore | PostgresStore, clock: Clock,
    random: Random, more: tuple[Operation, ...], fresh: bool,
) -> House:  # fmt: skip
    registry = Registry((*OPERATIONS, *more))
    access.know(registry)
    ledger_keys = ring.for_caller("ledger")
    log = Log(_log_origin(store, house, fresh), ledger_keys, FileMemory(house.data_path / "ledger.json", ledger_keys))
    policy = read_policy(settings.of(LedgerSettings).witness_policy)
    register = trust.make_register(live_checks(store, log, policy, clock))
    outbox = DatabaseOutbox(JobKinds(job_kinds(settings, register)), random)
    pools: dict[str, Executor] = {
        "prepare": ThreadPoolExecutor(4, thread_name_prefix="prepare"),
        "bcrypt": ThreadPoolExecutor(os.cpu_count() or 2, thread_name_prefix="bcrypt", initializer=_after_others),
        # a provider that hangs keeps nobody else waiting
        "sign-on": ThreadPoolExecutor(4, thread_name_prefix="sign-on"),
    }
    access_keys = ring.for_caller("access")
    kernel = Kernel(
        registry=registry, store=store, keys=ring, log=DatabaseEventLog(ring, Ids(clock, random)), outbox=outbox,
        authority=access.HouseAuthority(access_keys), approvals=access.DatabaseApprovals(access_keys),
        limiter=storage.open_limiter(house.limits_url, store, ring.for_caller("storage"), clock),
        clock=clock, random=random, pools=pools, guard=_refuse_card_numbers,
    )  # fmt: skip
    ring.for_caller("kernel").ensure_subject("kernel.idempotency", "kernel.idempotency")
    identity.configure(settings.of(identity.IdentitySettings), sandbox=house.sandbox, public_url=house.public_url)
    identity.configure_place(house.public_url, PRODUCT)
    access.configure(settings.of(access.AccessSettings))
    access.sign_with(PasskeySignatures())
    access.read_addresses(billing.details_of)
    table = route_table(settings, registry)
    front = Front(kernel, house.origins)
    site = Site(
        kernel, front.visitor, front.navigation, places=front.places, asker=front.asker, product=PRODUCT,
        sandbox=house.sandbox, mailbox_url=house.mailbox_url or None, development=house.development,
    )  # fmt: skip
    schedules = (
        *identity.SCHEDULES,
        *subscriptions.SCHEDULES,
        *billing.SCHEDULES,
        *keys_jobs.SCHEDULES,
        *tidy.SCHEDULES,
        *access.SCHEDULES,
        *ledger_jobs.SCHEDULES,
        *trust.schedules(register),
    )
    return House(settings, ring, store, kernel, outbox, log, register, table, site, schedules)


def _after_others() -> None:
    """A flood of sign-ins takes what is left of the machine: whoever is signed in is served before it."""
    if sys.platform == "linux":  # where each thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BCRYPT_NICE)


def _refuse_card_numbers(field: str, text: str) -> None:
    if billing.contains_card_number(text):
        raise billing.CardNumberRefused(fields={field: billing.CardNumberRefused.message})


def _log_origin(store: Store, house: HouseSettings, fresh: bool) -> str:
    if fresh:
        return f"{house.public_name}/log"
    with store.reading() as connection:
        found = log_origin_of(connection)
    assert found is not None
    return found


def job_kinds(settings: Settings, register: trust.Register) -> list[JobKind]:
    """Every kind of job."""
    house = settings.of(HouseSettings)
    facts = mail.SiteFacts(house.public_url, PRODUCT, f"support@{house.domain}")
    letters = (*identity.LETTERS, *billing.LETTERS, *access.LETTERS)

    def doors(kernel: Kernel) -> Doors:
        http = f"http://localhost:{house.http_port}"
        return Doors(
            kernel, settings, f"https://localhost:{house.https_port}", http, str(certificate(house).certificate)
        )

    return [
        *mail.kinds(settings.of(mail.MailSettings), letters, facts),
        *identity.kinds(), *subscriptions.kinds(),
        *billing.kinds(settings.of(billing.BillingSettings), house), *keys_jobs.kinds(),
        *tidy.kinds(), *ledger_jobs.kinds(),
        *trust.kinds(register, doors), *access.kinds(house.data_path, PRODUCT, VERSION),
    ]  # fmt: skip


def live_checks(store: Store, log: Log, policy: TrustPolicy = NOBODY, clock: Clock = system_clock) -> list[Check]:
    """Every live check of a promise whose control is whole."""
    built = [
        *identity.checks(), *access.checks(), *subscriptions.checks(), *billing.checks(), *keys_checks.checks(),
        *ledger_checks.checks(), access.log_check(),
        *trust.checks(lambda: verify_with_witnesses(store, log, policy, clock)),
    ]  # fmt: skip
    return [check for check in built if not check.missing]


def route_table(settings: Settings, registry: Registry | None = None) -> RouteTable:
    """Every route of the house."""
    house = settings.of(HouseSettings)
    return RouteTable(
        (
            *toolkit_routes(development=house.development), *landing.routes(), *identity.routes(),
            *access.routes(house.data_path, house.public_url), *subscriptions.routes(),
            *billing.routes(settings.of(billing.BillingSettings), house), *mail.routes(), *keys_pages.routes(),
            *trust.routes(),
            *ledger_pages.routes(read_policy(settings.of(LedgerSettings).witness_policy)),
            *api_routes(registry or Registry(OPERATIONS), product=PRODUCT, version=VERSION),
        )
    )  # fmt: skip


def check_store(store: Store, house: HouseSettings, ledger: LedgerSettings) -> None:
    """Raises StartError unless schema, triggers, stamp and period of the log are those that this program needs."""
    with store.reading() as connection:
        check_revision(connection)
        check_stamp(connection, house.sandbox)
        if missing := missing_guards(connection):
            raise StartError(
                f"The database lost triggers that protect the log: {', '.join(missing)}. Restore a backup."
            )
        retention.check_period(connection, ledger.retention_days)


def check_may_start(settings: Settings) -> None:
    """Raises StartError where only permitted releases start and nobody permitted this one. Before anything migrates."""
    if settings.of(access.AccessSettings).deployments == "any":
        return
    house = build(settings, fresh=True)
    try:
        with house.store.reading() as connection:
            keys = house.ring.for_caller("access")
            access.check_may_start(connection, keys, settings.of(HouseSettings).public_name)
    finally:
        house.close()


def prepare(settings: Settings, *, clock: Clock = system_clock) -> str:
    """Bring a new or older installation to this program's state. Returns the schema's revision."""
    house = build(settings, clock=clock, fresh=True)
    try:
        before = storage.revision(house.store)
        revision = storage.migrate(house.store)
        asyncio.run(_first_contents(house, before, revision))
        check_store(house.store, settings.of(HouseSettings), settings.of(LedgerSettings))
        return revision
    finally:
        house.close()


async def _first_contents(house: House, before: str, revision: str) -> None:
    sandbox = house.settings.of(HouseSettings).sandbox
    now = house.kernel.clock()
    new = await house.store.write(
        Writer.MIGRATIONS, lambda connection: stamp(connection, sandbox, house.log.origin, now)
    )
    actor = System("app.prepare")
    wanted = house.settings.of(LedgerSettings).retention_days
    with house.store.reading() as connection:
        stored = retention.stored_days(connection) or 0
    if stored < wanted:
        await perform(house.kernel, retention.keep_for, actor, retention.KeepFor(wanted))
    if new and sandbox:
        await perform(house.kernel, subscriptions.seed_catalogue, actor, subscriptions.SeedCatalogue())
    await monitoring.migrated(house.kernel, before, revision)


def record(settings: Settings, happening: Callable[[House], Coroutine[Any, Any, T]]) -> T:
    """Have the service itself do something in a house that is open for that alone: record its start, its stop."""
    house = build(settings)
    try:
        return asyncio.run(happening(house))
    finally:
        house.close()


def present(settings: Settings) -> monitoring.Present:
    """What runs now, for the record of a start."""
    return monitoring.Present(VERSION, storage.head(), settings, SLICES)


def verify_for_adoption(house: House) -> tuple[str, Checkpoint]:
    """Verify the stored log without what is remembered outside it; what to show, and the checkpoint to adopt.

    Raises LogTampered and MemoryMissing; nothing is adopted then.
    """
    policy = read_policy(house.settings.of(LedgerSettings).witness_policy)
    verified, head = verify_stored(house.store, house.log, policy, house.kernel.clock)
    return "\n".join(report(verified)), head


def verify_ledger(settings: Settings) -> tuple[str, bool]:
    """What `subs ledger verify` prints, and whether all is well."""
    house = build(settings)
    try:
        policy = read_policy(settings.of(LedgerSettings).witness_policy)
        lines, well = verification(house.store, house.log, policy, house.kernel.clock)
        return "\n".join(lines), well
    finally:
        house.close()
