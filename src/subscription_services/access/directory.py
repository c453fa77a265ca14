"""The team as a directory of people: what SCIM shows of an account, and the directory's own name for it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from sqlalchemy import select, update

from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.personal import NotPersonal
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.storage.rows import insert_row, open_row, update_row

from . import accounts
from .accounts import Account
from .directory_model import directory_entry
from .errors import ExternalIdTaken

INDEX = "access.directory"
FromTheDirectory = Annotated[str, NotPersonal("the directory that asks is where it comes from, and compares it")]


class DirectoryUser(msgspec.Struct, frozen=True):
    """A person of the team; `active` until they are deactivated."""

    id: str
    user_name: FromTheDirectory
    name: FromTheDirectory
    active: bool
    external_id: FromTheDirectory
    created_at: datetime


def users(tx: ReadTransaction, *, user_name: str = "", external_id: str = "") -> list[DirectoryUser]:
    """Everybody in the order of their accounts; with a userName or externalId at most one.

    A userName is that of the open account; only where there is none, of the one that was deactivated last."""
    people = accounts.team(tx)
    if user_name:
        fitting = [item for item in people if item.email.casefold() == user_name.casefold()]
        people = ([item for item in fitting if item.open] or fitting)[-1:]
    rows = {row.account: row for row in tx.connection.execute(select(directory_entry))}
    found = [_user(tx, item, rows.get(item.id)) for item in people if not _removed(rows.get(item.id))]
    return [item for item in found if not external_id or item.external_id == external_id]


def one_user(tx: ReadTransaction, account: str) -> DirectoryUser:
    """Raises NotFound: also for subscribers, whom no directory of the team sees, and for who was deleted."""
    found = [item for item in accounts.people(tx, [account]) if item.team]
    row = _row(tx, account)
    if not found or _removed(row):
        raise NotFound()
    return _user(tx, found[0], row)


def set_external_id(tx: Transaction, account: str, external_id: str) -> None:
    """What the directory calls the account; empty for nothing. Raises ExternalIdTaken."""
    index = tx.keys.blind_index(INDEX, external_id) if external_id else None
    if index is not None:
        held = select(directory_entry.c.account).where(directory_entry.c.external_index == index)
        holder = tx.connection.execute(held).scalar()
        if holder not in (None, account):
            if any(item.open for item in accounts.people(tx, [str(holder)])):
                raise ExternalIdTaken(fields={"externalId": ExternalIdTaken.message})
            # somebody who left and came back with a new account keeps their name in the directory
            forget = update(directory_entry).where(directory_entry.c.account == holder)
            tx.connection.execute(forget.values(external_id=None, external_index=None))
    values = {"external_id": external_id or None, "external_index": index}
    _put(tx, account, values)


def remove(tx: Transaction, ctx: Context, account: str) -> None:
    """The directory deleted the account: it does not see it any more, and its name for it is free."""
    _put(tx, account, {"external_id": None, "external_index": None, "removed_at": ctx.now})


def _put(tx: Transaction, account: str, values: dict[str, Any]) -> None:
    if not update_row(tx, directory_entry, {"account": account}, values):
        insert_row(tx, directory_entry, {"account": account, **values})


def _row(tx: ReadTransaction, account: str) -> Any:
    return tx.connection.execute(select(directory_entry).where(directory_entry.c.account == account)).one_or_none()


def _removed(row: Any) -> bool:
    return row is not None and row.removed_at is not None


def _user(tx: ReadTransaction, item: Account, row: Any) -> DirectoryUser:
    external = "" if row is None else open_row(tx, directory_entry, row)["external_id"] or ""
    return DirectoryUser(item.id, item.email, item.name, item.open, external, item.created_at)
