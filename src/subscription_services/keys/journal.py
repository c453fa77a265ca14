"""The durable record of every key access, kept in the key store until the ledger has it.

Equal accesses within one window are counted in one entry, exactly: each is committed with the access itself. When the
ledger takes none, entries are added up over longer times, so that their number stays bounded and no access is lost.
"""

from __future__ import annotations

from datetime import UTC, datetime

from subscription_services.kernel.clock import Random

from .model import JournalBatch, JournalEntry, Kind, Outcome, Verb
from .states import CallerUse, JournalState
from .store import Tx

UNACKNOWLEDGED = 4
"""Batches out at once: while so many wait to be acknowledged no further one is made."""
MANY_NAMES = "*"
"""Stands for the names in refused or failed tries that were added up: what a stranger asks for has no bound."""
OVER_MINUTES = 0
"""The window of entries that were added up."""


def record(
    tx: Tx,
    window: int,
    now: datetime,
    caller: str,
    verb: Verb,
    kind: Kind | None,
    purpose: str,
    name: str,
    outcome: Outcome,
    count: int = 1,
    known: bool = True,
) -> None:
    """Count accesses in the transaction that carries them; `window` is in seconds.

    `known` says that the caller is one that the policy names; others are not counted by caller.
    """
    at = now.astimezone(UTC).isoformat()
    tx.execute(
        "INSERT INTO journal (window, caller, verb, kind, purpose, name, outcome, count, first_at, last_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (window, caller, verb, kind, purpose, name, outcome) WHERE batch IS NULL"
        " DO UPDATE SET count = count + excluded.count, last_at = excluded.last_at",
        (
            int(now.timestamp()) // window,
            _plain(caller),
            verb.value,
            kind.value if kind else "",
            _plain(purpose),
            _plain(name),
            outcome.value,
            count,
            at,
            at,
        ),
    )
    if known:
        allowed = outcome is Outcome.ALLOWED
        tx.execute(
            "INSERT INTO caller_use (caller, verb, kind, purpose, count, refused, last_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (caller, verb, kind, purpose) DO UPDATE SET count = count + excluded.count,"
            " refused = refused + excluded.refused, last_at = excluded.last_at",
            (
                caller,
                verb.value,
                kind.value if kind else "",
                purpose if allowed else "",
                count if allowed else 0,
                0 if allowed else count,
                at,
            ),
        )


def _plain(text: str) -> str:
    """What a refused caller sent may be anything; the record must not fail on it."""
    return text[:200].encode("ascii", "backslashreplace").decode()


def drain(tx: Tx, random: Random, limit: int) -> tuple[JournalBatch, ...]:
    """Freeze up to `limit` open entries as a new batch and return every batch that awaits acknowledgement.

    No further batch is made while UNACKNOWLEDGED ones wait.
    """
    # Random, not a counter: a restored older store would repeat a number and the ledger would drop it.
    batch = random(16).hex()
    if tx.execute("SELECT count(DISTINCT batch) FROM journal WHERE batch IS NOT NULL").fetchone()[0] < UNACKNOWLEDGED:
        tx.execute(
            "UPDATE journal SET batch = ? WHERE id IN (SELECT id FROM journal WHERE batch IS NULL ORDER BY id LIMIT ?)",
            (batch, limit),
        )
    rows = tx.execute(
        "SELECT batch, caller, verb, kind, purpose, name, outcome, count, first_at, last_at"
        " FROM journal WHERE batch IS NOT NULL ORDER BY id"
    ).fetchall()
    batches: dict[str, list[JournalEntry]] = {}
    for id, caller, verb, kind, purpose, name, outcome, count, first_at, last_at in rows:
        batches.setdefault(id, []).append(
            JournalEntry(
                caller=caller,
                verb=Verb(verb),
                kind=Kind(kind) if kind else None,
                purpose=purpose,
                name=name,
                outcome=Outcome(outcome),
                count=count,
                first_at=datetime.fromisoformat(first_at),
                last_at=datetime.fromisoformat(last_at),
            )
        )
    return tuple(JournalBatch(id, tuple(entries)) for id, entries in batches.items())


def acknowledge(tx: Tx, batch_id: str) -> None:
    """Delete a batch that is durable in the ledger."""
    tx.execute("DELETE FROM journal WHERE batch = ?", (batch_id,))


def waiting(tx: Tx) -> int:
    """Entries that the ledger does not have."""
    count: int = tx.execute("SELECT count(*) FROM journal").fetchone()[0]
    return count


def fold(tx: Tx) -> None:
    """Add up the open entries of all windows, and the names in refused and failed ones. Every access stays counted."""
    name = f"CASE WHEN outcome IN ('refused', 'failed') THEN '{MANY_NAMES}' ELSE name END"
    tx.execute(
        "CREATE TEMP TABLE folded AS SELECT caller, verb, kind, purpose, "  # noqa: S608
        f"{name} AS name, outcome, sum(count) AS count, min(first_at) AS first_at, max(last_at) AS last_at"
        " FROM journal WHERE batch IS NULL GROUP BY 1, 2, 3, 4, 5, 6"
    )
    tx.execute("DELETE FROM journal WHERE batch IS NULL")
    tx.execute(
        "INSERT INTO journal (window, caller, verb, kind, purpose, name, outcome, count, first_at, last_at)"
        " SELECT ?, caller, verb, kind, purpose, name, outcome, count, first_at, last_at FROM folded",
        (OVER_MINUTES,),
    )
    tx.execute("DROP TABLE temp.folded")


def state(tx: Tx) -> JournalState:
    """What waits for the ledger."""
    count, oldest = tx.execute("SELECT count(*), min(first_at) FROM journal").fetchone()
    folded = tx.execute("SELECT 1 FROM journal WHERE window = ? LIMIT 1", (OVER_MINUTES,)).fetchone() is not None
    return JournalState(count, datetime.fromisoformat(oldest) if oldest else None, folded)


def callers(tx: Tx) -> tuple[CallerUse, ...]:
    """Who used what how often, and when last."""
    rows = tx.execute(
        "SELECT caller, verb, kind, purpose, count, refused, last_at FROM caller_use"
        " ORDER BY caller, purpose, verb, kind"
    ).fetchall()
    return tuple(
        CallerUse(
            caller=caller, verb=Verb(verb), kind=Kind(kind) if kind else None, purpose=purpose, count=count,
            refused=refused, last_at=datetime.fromisoformat(last_at),
        )
        for caller, verb, kind, purpose, count, refused, last_at in rows
    )  # fmt: skip
