"""The record of a review: what was asked about, what was shown, and what was decided, in one canonical text.

It holds ids, times and numbers and nobody's name; its SHA-256 stands in the log, in the entry that ended the review.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from subscription_services.kernel.transaction import ReadTransaction

from .review_facts import Facts, decisions_of, items_of

FORMAT = "subs-access-review/1"


class RecordedDecision(msgspec.Struct, frozen=True):
    decision: str
    decided_by: str
    decided_at: datetime
    until: datetime | None
    shown: str


class RecordedItem(msgspec.Struct, frozen=True):
    """`decision` is null for what nobody decided, which lapses. A decoy is named as one here, once it is over."""

    id: str
    facts: Facts
    decision: RecordedDecision | None


class Record(msgspec.Struct, frozen=True):
    format: str
    id: str
    scope: str
    opened_at: datetime
    due_at: datetime
    replaces: str | None
    closed_at: datetime
    outcome: str
    items: list[RecordedItem]


def record_of(tx: ReadTransaction, review: Mapping[str, Any]) -> bytes:
    """The record of a review that ends or has ended. Raises ReviewForged."""
    decided = decisions_of(tx, review["id"])
    items = [RecordedItem(row.id, facts, _decision(decided.get(row.id))) for row, facts in items_of(tx, review["id"])]
    found = Record(
        FORMAT, review["id"], str(review["scope"]), review["opened_at"], review["due_at"], review["replaces"],
        review["closed_at"], str(review["outcome"]), items,
    )  # fmt: skip
    return msgspec.json.encode(found, order="deterministic") + b"\n"


def _decision(row: Any) -> RecordedDecision | None:
    if row is None:
        return None
    return RecordedDecision(row.decision, row.decided_by, row.decided_at, row.until, bytes(row.shown).hex())
