"""Checks of the log and of this page itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx
import msgspec
from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError

from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.kernel.clock import monotonic
from subscription_services.kernel.ports import ReadStore
from subscription_services.ledger.errors import LedgerError, LogTampered
from subscription_services.ledger.queries import Search, search
from subscription_services.ledger.verify import Verified

from .model import check as check_table
from .model import run as run_table
from .promises import PROMISES
from .queries import TrustStatus
from .transport import outside

RUNS = 300
PATIENCE = 25.0
"""Seconds that stale checks get to run, for instance after the service was down."""
Verify = Callable[[], Verified]


async def log_verifies(verify: Verify) -> Finding:
    """The whole log is verified in a thread; the first bad entry breaks the promise."""
    try:
        seen = await asyncio.to_thread(verify)
    except LogTampered as error:
        return Finding(Verdict.BROKEN, "Verification found the log changed.", {"found": type(error).__name__})
    except LedgerError as error:
        return Finding(Verdict.COULD_NOT_CHECK, "The log could not be verified.", {"error": type(error).__name__})
    evidence: dict[str, str | int] = {
        "entries_verified": seen.size, "checkpoints_verified": seen.checkpoints, "root": seen.root.hex(),
        "waiting_for_a_number": seen.waiting, "assurance": seen.assurance.value,
        "witnesses": f"{seen.confirmed} of {seen.witnesses}", "lowest_readable_entry": seen.minimum,
    }  # fmt: skip
    says = f"All {seen.size - seen.minimum} entries agree with the signed tree. {_witnessed(seen)}"
    return Finding(Verdict.KEPT, says, evidence)


def _witnessed(seen: Verified) -> str:
    if seen.witnessed is not None:
        return f"Just now {seen.confirmed} of {seen.witnesses} outside witnesses confirmed it."
    blind = "so a roll-back of everything at once could not be seen"
    if seen.witnesses:
        return f"Unwitnessed: only {seen.confirmed} of {seen.witnesses} outside witnesses confirmed it, {blind}."
    return f"Unwitnessed: no outside witness is set up, {blind}."


async def nothing_unrecorded(doors: Doors) -> Finding:
    """Every change declares an event, the store refuses writes outside operations, and stored runs are in the log."""
    changing = [operation for operation in doors.kernel.registry if operation.changes]
    silent = [operation.name for operation in changing if not operation.audited]
    refused = await asyncio.to_thread(write_is_refused, doors.kernel.store, doors.kernel.clock())
    stored, missing = await asyncio.to_thread(runs_without_entry, doors.kernel.store)
    evidence: dict[str, str | int] = {
        "operations_that_change": len(changing), "operations_without_event": len(silent),
        "write_outside_an_operation": "refused" if refused else "accepted", "records_compared": stored,
        "records_without_entry": missing,
    }  # fmt: skip
    if silent or missing or not refused:
        return Finding(Verdict.BROKEN, "Something can change without an entry in the log.", evidence)
    if not changing:
        return Finding(Verdict.COULD_NOT_CHECK, "No operation that changes anything was found.", evidence)
    says = (
        "Each change writes its entry in the same transaction; a write past that was refused, and no entry was missing."
    )
    return Finding(Verdict.KEPT, says, evidence)


def write_is_refused(store: ReadStore, now: datetime) -> bool:
    """Try to write on the connection that everybody has."""
    values = {"promise": "write.probe", "how": "probe", "every_seconds": 1, "since": now}
    with store.reading() as connection:
        try:
            connection.execute(insert(check_table), values)
        except DBAPIError:
            return True
        connection.rollback()
        return False


def runs_without_entry(store: ReadStore) -> tuple[int, int]:
    """How many of the newest recorded runs were compared, and how many have no event in the log."""
    with store.reading() as connection:
        ids = connection.execute(select(run_table.c.id).order_by(run_table.c.id.desc()).limit(RUNS)).scalars().all()
        wanted = [Search(action="trust.record_run", object=identifier) for identifier in ids]
        return len(ids), sum(not search(connection, item, limit=1).found for item in wanted)


async def page_is_live(doors: Doors, patience: float = PATIENCE) -> Finding:
    """Read the page from outside: every promise is there, nothing is cached, nothing good is out of date."""
    limit = monotonic() + patience
    async with outside(doors) as client:
        first = await _fetch(client, doors)
        page = await client.get(doors.https_url + "/security")
        now = await _fetch(client, doors)
        while _stale(now) and monotonic() < limit:
            await asyncio.sleep(min(2.0, patience / 5))
            now = await _fetch(client, doors)
    missing = sorted(PROMISES.keys() - {item.id for item in now.promises})
    unshown = [name for name in PROMISES if f'id="{name}"' not in page.text]
    late = abs(now.generated_at - doors.kernel.clock()) > timedelta(seconds=60)
    evidence: dict[str, str | int] = {
        "promises_on_the_page": len(now.promises), "missing": len(missing) + len(unshown), "stale": len(_stale(now)),
        "kept": now.summary.get("kept", 0), "generated_at": now.generated_at.isoformat(timespec="seconds"),
    }  # fmt: skip
    if missing or unshown:
        return Finding(Verdict.BROKEN, "Promises are missing from the page.", evidence)
    if late or first.generated_at >= now.generated_at:
        return Finding(Verdict.BROKEN, "The page is not worked out afresh.", evidence)
    if _stale(now):
        return Finding(Verdict.BROKEN, f"Out of date: {', '.join(_stale(now)[:5])}.", evidence)
    return Finding(
        Verdict.KEPT, "The page shows every promise, is worked out afresh, and no check on it is out of date.", evidence
    )


def _stale(status: TrustStatus) -> list[str]:
    """Itself left out: that it is running is the answer."""
    return [item.id for item in status.promises if item.state == "stale" and item.id != "trust.live"]


async def _fetch(client: httpx.AsyncClient, doors: Doors) -> TrustStatus:
    answer = await client.get(doors.https_url + "/security.json")
    answer.raise_for_status()
    return msgspec.json.decode(answer.content, type=TrustStatus)
