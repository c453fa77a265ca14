"""Checks of the key management service: a try beyond one's own keys is refused, and every access stands in the log."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.kernel.errors import KeyPolicyRefused
from subscription_services.kernel.events import Event
from subscription_services.kernel.ports import Keys, ReadStore
from subscription_services.keys.jobs import DrainJournal, drain_journal
from subscription_services.ledger.queries import Search, search

CALLER = "trust"
OWN = "trust.probe"
FOREIGN = ("identity.probe", "billing.probe", "ledger.probe")
FIELDS = ("caller", "verb", "purpose", "outcome")


async def foreign_keys_refused(doors: Doors) -> Finding:
    """Ask for keys of other rooms: each try must be refused and stand in the log."""
    started = doors.kernel.clock()
    keys = doors.kernel.keys.for_caller(CALLER)
    given = [purpose for purpose in FOREIGN if not await asyncio.to_thread(_refused, keys, purpose)]
    events = await _logged(doors, started)
    recorded = {str(event.details["purpose"]) for event in events if event.details.get("outcome") == "refused"}
    missing = [purpose for purpose in FOREIGN if purpose not in recorded]
    evidence: dict[str, str | int] = {
        "foreign_keys_asked_for": len(FOREIGN), "given": len(given), "refusals_in_the_log": len(FOREIGN) - len(missing),
    }  # fmt: skip
    if given:
        return Finding(Verdict.BROKEN, "A key was given to a caller that its policy does not name.", evidence)
    if missing:
        return Finding(Verdict.BROKEN, "A refused access to a key is missing from the log.", evidence)
    return Finding(Verdict.KEPT, "Keys of other parts of the service were refused, and the log says so.", evidence)


async def access_recorded(doors: Doors) -> Finding:
    """Use a key of our own: the access must stand in the log with caller, purpose and outcome."""
    started = doors.kernel.clock()
    keys = doors.kernel.keys.for_caller(CALLER)
    await asyncio.to_thread(keys.secret, OWN)
    events = [event for event in await _logged(doors, started) if event.details.get("purpose") == OWN]
    complete = [event for event in events if all(event.details.get(name) for name in FIELDS)]
    evidence: dict[str, str | int] = {"key_used": OWN, "entries_found": len(events), "entries_complete": len(complete)}
    if not events:
        return Finding(Verdict.BROKEN, "A key was used, and the log does not say so.", evidence)
    if len(complete) < len(events):
        return Finding(Verdict.BROKEN, "An access to a key is in the log without caller, purpose or outcome.", evidence)
    return Finding(Verdict.KEPT, "A key was used, and the log says by whom, for what and with what outcome.", evidence)


def _refused(keys: Keys, purpose: str) -> bool:
    try:
        keys.secret(purpose)
    except KeyPolicyRefused:
        return True
    return False


async def _logged(doors: Doors, started: datetime) -> list[Event]:
    """This caller's accesses since then, once the journal has moved into the log."""
    await drain_journal(doors.kernel, DrainJournal())
    return await asyncio.to_thread(_read, doors.kernel.store, started)


def _read(store: ReadStore, started: datetime) -> list[Event]:
    wanted = Search(action="keys.record_access", since=started - timedelta(seconds=1))
    with store.reading() as connection:
        found = search(connection, wanted, limit=500).found
    return [
        item.event
        for item in found
        if item.event.details.get("caller") == CALLER
        and datetime.fromisoformat(str(item.event.details["last_at"])) >= started
    ]
