"""An operation of the tests' own, with a table, to watch the store through the real perform()."""

from __future__ import annotations

from typing import Annotated

import msgspec
from sqlalchemy import Column, Integer, MetaData, String, Table, func, select

from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Conflict
from subscription_services.kernel.operations import Change, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction

sample = Table(
    "sample", MetaData(), Column("id", String(48), primary_key=True), Column("number", Integer, nullable=False)
)


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)]
    id: str = ""


class Refused(Conflict):
    code = "sample-negative"
    message = "The number is negative."


@operation("kernel.keep", by=[SystemOnly("tests")])
def keep(tx: Transaction, ctx: Context, request: Number) -> Change[Number]:
    """Keep a number; a negative one is refused after it was written, which the rollback must undo."""
    identifier = request.id or ctx.ids.new("num")
    tx.connection.execute(sample.insert().values(id=identifier, number=request.number))
    if request.number < 0:
        raise Refused()
    return Change(None, Number(request.number, identifier))


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


@operation("kernel.count", by=[SystemOnly("tests"), Role.AUDITOR])
def count(tx: ReadTransaction, ctx: Context, request: Nothing) -> Seen[int]:
    """How many numbers are kept."""
    return Seen(tx.connection.execute(select(func.count()).select_from(sample)).scalar_one())


OPERATIONS = (keep, count)
