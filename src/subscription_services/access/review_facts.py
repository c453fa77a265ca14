"""What an item of a review is about: sealed, of one length, with codes in place of what would tell decoys apart.

A decoy carries its invented name; of real people and programs names are looked up when they are shown, so that erasing
somebody reaches them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select

from subscription_services.kernel.context import Context
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.storage.rows import insert_row, open_row

from . import row_codes
from .errors import ReviewForged
from .review_model import SUBJECT, decision, item, review

LENGTH = 6144
"""Bytes of every item before it is sealed; what is listed in it is cut so that it fits."""
USES = 12
SCOPES = 30
_WHOSE, _SHOWN = "access.reviews.whose", "access.reviews.shown"


class Kind(StrEnum):
    PERSON = "person"
    PROGRAM = "program"


class Use(msgspec.Struct, frozen=True):
    """How often an operation was carried out."""

    operation: str
    count: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`account` holds the role, or owns the program; `object` is the grant or the service account.

    `name`, `email` and `reason` are those of a decoy (`decoy` 1), and empty otherwise."""

    decoy: int = 0
    kind: Kind
    object: str
    account: str
    role: str
    scopes: list[str]
    granted_by: str
    granted_at: datetime
    ends_at: datetime
    since: datetime
    used: list[Use]
    last_used_at: datetime | None
    name: str = ""
    email: str = ""
    reason: str = ""


def whose(keys: Keys, identifier: str, account: str) -> bytes:
    """The code of an account within one item."""
    return _code(keys, _WHOSE, identifier, account)


def shown(keys: Keys, identifier: str, facts: Facts) -> bytes:
    """The code of what is shown of an item. It is keyed: a bare hash of it could be tried with what people know."""
    return _code(keys, _SHOWN, identifier, msgspec.json.encode(facts).decode())


def add_item(tx: Transaction, ctx: Context, review_id: str, facts: Facts) -> str:
    """Seal and store one item. Returns its id."""
    identifier = ctx.ids.new("rvi")
    text = msgspec.json.encode(facts)
    if len(text) > LENGTH:  # names of operations are long somewhere: better fewer of them than another length
        text = msgspec.json.encode(msgspec.structs.replace(facts, scopes=facts.scopes[:5], used=facts.used[:5]))
    values = {"id": identifier, "review": review_id, "whose": whose(tx.keys, identifier, facts.account)}
    insert_row(tx, item, {**values, "facts": text.ljust(LENGTH).decode(), "mac": b""})
    row = tx.connection.execute(select(item).where(item.c.id == identifier)).one()
    code = row_codes.code_of(tx.keys, item.name, row_codes.REVIEW_ITEM, dict(row._mapping))
    tx.connection.execute(item.update().where(item.c.id == identifier), {"mac": code})
    return identifier


def facts_of(tx: ReadTransaction, row: Row[Any]) -> Facts:
    """What an item is about. Raises ReviewForged unless this service wrote it as it stands."""
    if not row_codes.is_ours(tx.keys, item.name, row_codes.REVIEW_ITEM, row):
        raise ReviewForged()
    return msgspec.json.decode(str(open_row(tx, item, row)["facts"]), type=Facts)


def items_of(tx: ReadTransaction, review_id: str) -> list[tuple[Row[Any], Facts]]:
    """The items of a review in the order of their ids, which means nothing. Raises ReviewForged."""
    rows = tx.connection.execute(select(item).where(item.c.review == review_id).order_by(item.c.id)).all()
    return [(row, facts_of(tx, row)) for row in rows]


def decisions_of(tx: ReadTransaction, review_id: str) -> dict[str, Row[Any]]:
    """What was decided, by item. Raises ReviewForged."""
    known = select(item.c.id).where(item.c.review == review_id)
    rows = tx.connection.execute(select(decision).where(decision.c.item.in_(known))).all()
    for row in rows:
        if not row_codes.is_ours(tx.keys, decision.name, row_codes.REVIEW_DECISION, row):
            raise ReviewForged()
    return {row.item: row for row in rows}


def add_decision(tx: Transaction, values: Mapping[str, Any]) -> None:
    """Store what was decided. The database refuses a second decision and one about oneself (IntegrityError)."""
    code = row_codes.code_of(tx.keys, decision.name, row_codes.REVIEW_DECISION, values)
    tx.connection.execute(insert(decision), {**values, "mac": code})


def write_review(tx: Transaction, values: Mapping[str, Any]) -> None:
    """Insert a review, or write its next step, with a code over all of it."""
    code = row_codes.code_of(tx.keys, review.name, row_codes.REVIEW, values)
    whole = {**{name: values.get(name) for name in row_codes.REVIEW}, "mac": code}
    if review_exists(tx.connection, values["id"]):
        tx.connection.execute(review.update().where(review.c.id == values["id"]), whole)
    else:
        tx.connection.execute(insert(review), whole)


def review_exists(connection: Connection, identifier: str) -> bool:
    return connection.execute(select(review.c.id).where(review.c.id == identifier)).first() is not None


def check_review(keys: Keys, row: Row[Any]) -> None:
    """Raises ReviewForged."""
    if not row_codes.is_ours(keys, review.name, row_codes.REVIEW, row):
        raise ReviewForged()


def ensure_key(keys: Keys) -> None:
    """The key that seals what reviews are about."""
    keys.ensure_subject(SUBJECT, SUBJECT)


def _code(keys: Keys, purpose: str, identifier: str, text: str) -> bytes:
    return keys.mac(purpose, f"{identifier}\n{text}".encode())
