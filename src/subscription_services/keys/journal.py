"""The durable record of every key access, kept in the key store until the ledger has it.

Equal accesses within one window are counted in one entry, exactly: each is committed with the access itself.
"""

from __future__ import annotations

from datetime import UTC, datetime

from subscription_services.kernel.clock import Random

from .model import JournalBatch, JournalEntry, Kind, Outcome, Verb
from .store import Tx


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
) -> None:
    """Count one access in the transaction that carries it; `window` is in seconds."""
    at = now.astimezone(UTC).isoformat()
    tx.execute(
        "INSERT INTO journal (window, caller, verb, kind, purpose, name, outcome, count, first_at, last_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?)"
        " ON CONFLICT (window, caller, verb, kind, purpose, name, outcome) WHERE batch IS NULL"
        " DO UPDATE SET count = count + 1, last_at = excluded.last_at",
        (
            int(now.timestamp()) // window,
            _plain(caller),
            verb.value,
            kind.value if kind else "",
            _plain(purpose),
            _plain(name),
            outcome.value,
            at,
            at,
        ),
    )


def _plain(text: str) -> str:
    """What a refused caller sent may be anything; the record must not fail on it."""
    return text[:200].encode("ascii", "backslashreplace").decode()


def drain(tx: Tx, random: Random, limit: int) -> tuple[JournalBatch, ...]:
    """Freeze up to `limit` open entries as a new batch and return every batch that awaits acknowledgement."""
    # Random, not a counter: a restored older store would repeat a number and the ledger would drop it.
    batch = random(16).hex()
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
