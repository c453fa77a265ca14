"""Rows of service accounts and tokens, as operations change them. Each token carries a code (see `row_codes`), which is
taken away when it is revoked: nothing that is put into its row with the database alone brings it back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, insert, or_, select, update

from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from . import row_codes
from .model import ServiceAccountState, service_account, token


def token_row(tx: ReadTransaction, identifier: str) -> Row[Any]:
    """Raises NotFound."""
    return _one(tx, identifier, lock=False)


def lock_token(tx: Transaction, identifier: str) -> Row[Any]:
    """The same, held until the commit, so that two changes of one token follow each other. Raises NotFound."""
    return _one(tx, identifier, lock=True)


def insert_token(tx: Transaction, values: Mapping[str, Any]) -> None:
    """A new token with its code; `scopes` is a list."""
    whole = {**values, "scopes": msgspec.json.encode(values["scopes"]).decode()}
    tx.connection.execute(
        insert(token), {**whole, "mac": row_codes.code_of(tx.keys, token.name, row_codes.TOKEN, whole)}
    )


def change_token(tx: Transaction, row: Row[Any], values: Mapping[str, Any]) -> None:
    """Change a live token that is locked. A row that was not ours stays one that is not."""
    whole = {**row._mapping, **values}
    if row_codes.is_ours(tx.keys, token.name, row_codes.TOKEN, row):
        whole["mac"] = row_codes.code_of(tx.keys, token.name, row_codes.TOKEN, whole)
    tx.connection.execute(update(token).where(token.c.id == row.id), {**values, "mac": whole["mac"]})


def revoke(tx: Transaction, now: datetime, which: ColumnElement[bool]) -> int:
    """Revoke the tokens that fit and are not revoked yet; how many. What is committing with one is waited for."""
    live = update(token).where(which, token.c.revoked_at.is_(None))
    return tx.connection.execute(live.values(revoked_at=now, mac=b"")).rowcount


def end_accounts(tx: Transaction, now: datetime, which: ColumnElement[bool], also: str = "") -> tuple[list[str], int]:
    """End the service accounts that fit, with all their tokens, and every token that `also` issued for others.

    Returns the accounts that ended, and how many tokens."""
    active = update(service_account).where(which, service_account.c.state == ServiceAccountState.ACTIVE)
    ended = active.values(state=ServiceAccountState.ENDED).returning(service_account.c.id)
    found = sorted(tx.connection.execute(ended).scalars())
    theirs = token.c.service_account.in_(found)
    return found, revoke(tx, now, or_(theirs, token.c.issued_by == also) if also else theirs)


def _one(tx: ReadTransaction, identifier: str, *, lock: bool) -> Row[Any]:
    statement = select(token).where(token.c.id == identifier)
    row = tx.connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise NotFound()
    return row
