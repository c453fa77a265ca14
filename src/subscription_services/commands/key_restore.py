"""`subs keys restore`, offline: erase again what the list and the log say, two people, a record, then the swap.

While the present key store opens, somebody else approves on the page, with a passkey, as for anything that takes two
people (`keys.restore`). Once it is lost nothing can be served, so the second person agrees here, at the terminal
(`access.restore_lost_keys`).
Nobody who holds the root key and the files can be kept from swapping them by hand; that it takes two people and
leaves a record holds for those who use this command, and the key store refuses a copy that was put in by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from subscription_services import app, keys
from subscription_services.commands.terminal import ORIGIN, Asking, allow, do, sign_in
from subscription_services.kernel.actors import System
from subscription_services.kernel.clock import Clock, monotonic, system_clock, system_random
from subscription_services.kernel.errors import Invalid, Refusal
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.settings import HouseSettings, Settings
from subscription_services.keys.operations import backup
from subscription_services.ledger import LedgerError, Search, search, verify_log

_MARGIN = timedelta(days=1)
LIST, LOG = "the list of erasures", "the verified log"


class Terminal(Asking, Protocol):
    """The people who restore."""

    def confirm(self, plan: Plan) -> bool:
        """Show what will happen; False leaves everything as it is."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What the copy is, and what was erased in it again. `doubt` says what could not be consulted."""

    copy: keys.Copy
    erased_again: int
    erasures_from: str
    doubt: str


@dataclass(frozen=True, slots=True)
class Restored:
    """`put_away` is the backup that holds the store that was there."""

    plan: Plan
    put_away: str


def restore(
    environment: Mapping[str, str], file: Path, terminal: Terminal, *, alone: bool = False, clock: Clock = system_clock
) -> Restored:
    """Put a backup of the wrapped keys in the store's place. The service must be stopped, the database reachable.

    `alone` says that nobody else could agree, which is believed only where it is so. Raises BackupRefused,
    KeyUnavailable while the service runs, Refusal when the people may not; then the store is what it was.
    """
    settings = app.read_settings(environment)
    if settings.of(keys.KeySettings).service:
        raise Invalid("The keys are kept elsewhere (SUBS_KEYS_SERVICE): restore them on that host.")
    directory = settings.of(HouseSettings).data_path / "keys"
    terms = (settings, directory, file, clock)

    def confirm(kernel: Kernel, plan: Plan) -> None:
        if not terminal.confirm(plan):
            raise Refusal("Nothing was changed.")

    seen, _ = _with_copy(*terms, confirm)
    copy = seen.copy
    if copy.lost is not None:
        allow(settings, backup.restore, backup.Restore(copy.digest, copy.made_at, copy.keys), terminal, clock)

    def record(kernel: Kernel, plan: Plan) -> None:
        if (plan.copy.digest, plan.copy.lost is None) != (copy.digest, copy.lost is None):
            raise keys.BackupRefused(
                "The backup or the store changed meanwhile. Do it again: nothing was put in place."
            )
        if copy.lost is None:
            asyncio.run(_agree_here(kernel, plan, terminal, alone))
        asyncio.run(_record(kernel, plan))

    return Restored(*_with_copy(*terms, record, swap=True))


def _with_copy(
    settings: Settings, directory: Path, file: Path, clock: Clock, work: Callable[[Kernel, Plan], None], *,
    swap: bool = False,
) -> tuple[Plan, str]:  # fmt: skip
    """Make the copy ready, erase in it again, and do `work` in a house under its keys; then `swap`."""
    with keys.restoring(directory, file, settings.of(keys.KeySettings), clock, system_random) as staged:
        ring = keys.KeyRing(staged.service, settings.of(keys.KeySettings), system_random, monotonic)
        house = app.build(settings, clock=clock, ring=ring)
        try:
            plan = _erase_again(house, staged)
            work(house.kernel, plan)
        finally:
            house.close()
        return plan, staged.put_in_place(clock()) if swap else ""


def _erase_again(house: app.House, staged: keys.Staged) -> Plan:
    """Repeat the erasures that the log knows, beside those of the list. Raises BackupRefused without either."""
    found, doubt = (LIST,) if staged.listed else (), ""
    try:
        verified = verify_log(house.store, house.log)
        if verified.remembered is None:
            raise LedgerError("the copy of its last checkpoint beside the database is missing")
        since = staged.copy.made_at - _MARGIN
        house.ring.for_caller("backups").replay_tombstones(erasures_in_log(house, since))
        found = (*found, LOG)
    except LedgerError as error:
        doubt = f"The log was not consulted, since it does not verify: {error.text}."
        if not staged.listed:
            raise keys.BackupRefused(
                f"Nothing says whom this backup would bring back: the list of erasures is missing. {doubt} "
                "Put keys/erasures.log back from its place, or restore the database first."
            ) from error
    if not staged.listed:
        doubt = (
            "The list of erasures is missing; what was erased in the last minute before the loss may not be in the log."
        )
    again = len(house.ring.for_caller("backups").tombstones()) - staged.copy.erased
    return Plan(staged.copy, again, " and ".join(found), doubt)


def erasures_in_log(house: app.House, since: datetime) -> list[keys.Tombstone]:
    """Every destroyed key that the log has an event of, from `since` on."""
    wanted = Search(action="keys.record_access", outcome="success", since=since)
    found: list[keys.Tombstone] = []
    after: str | None = None
    with house.store.reading() as connection:
        while True:
            page = search(connection, wanted, after=after, limit=500)
            for item in page.found:
                details = item.event.details
                if (details["verb"], details["kind"], details["outcome"]) == ("destroy", "subject", "allowed"):
                    at = datetime.fromisoformat(str(details["first_at"]))
                    purpose = str(details["purpose"])
                    found.append(keys.Tombstone(item.event.object, purpose, "repeated from the log", at, 0))
            if page.next is None:
                return found
            after = page.next


async def _agree_here(kernel: Kernel, plan: Plan, terminal: Terminal, alone: bool) -> None:
    """Nothing can be served without the keys, so the second person signs in at this terminal as well."""
    first = await sign_in(kernel, terminal, "the person who restores")
    # refused here, and that recorded, before anybody else is asked
    await perform(kernel, backup.backups, first, backup.ListBackups(), origin=ORIGIN)
    agreed_by, digest = "", plan.copy.digest
    if not alone:
        second = await sign_in(kernel, terminal, "a second person who agrees")
        await do(kernel, "access.agree_to_restore", second, digest=digest, account=first.id)
        await do(kernel, "identity.sign_out", second)
        agreed_by = second.id
    made_at = plan.copy.made_at.isoformat()
    await do(kernel, "access.restore_lost_keys", first, digest=digest, made_at=made_at, agreed_by=agreed_by)
    await do(kernel, "identity.sign_out", first)


async def _record(kernel: Kernel, plan: Plan) -> None:
    request = backup.RecordRestore(plan.copy.digest, plan.copy.lost, plan.erased_again, plan.erasures_from)
    await perform(kernel, backup.record_restore, System("cli.restore"), request, origin=ORIGIN)
