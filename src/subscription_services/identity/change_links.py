"""Links in letters that belong to one change of address or one recovery: single-use, hashed, limited in time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from subscription_services.kernel.context import Context
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from .errors import LinkExpired, LinkInvalid, LinkUsed
from .recovery_model import Step, change_link
from .tokens import digest, new_token


@dataclass(frozen=True, slots=True)
class Linked:
    account: str
    about: str
    step: Step


def add_change_link(
    tx: Transaction, ctx: Context, account: str, about: str, step: Step, until: datetime
) -> tuple[str, str]:
    """A link for one use; returns its id and its token. Earlier ones for the same step go on working: the letter that
    a person opens need not be the newest."""
    token, identifier = new_token(ctx.random), ctx.ids.new("lnk")
    values = {
        "id": identifier, "account": account, "about": about, "step": step, "digest": digest(token),
        "expires_at": until,
    }  # fmt: skip
    tx.connection.execute(change_link.insert().values(values))
    return identifier, token


def look_at_change_link(tx: ReadTransaction, ctx: Context, token: str, steps: Collection[Step]) -> Linked:
    """What a link that would work now is about. Raises LinkInvalid, LinkUsed, LinkExpired."""
    row = tx.connection.execute(select(change_link).where(change_link.c.digest == digest(token))).one_or_none()
    if row is None or row.step not in steps:
        raise LinkInvalid()
    if row.used_at is not None:
        raise LinkUsed()
    if row.expires_at <= ctx.now:
        raise LinkExpired()
    return Linked(str(row.account), str(row.about), Step(row.step))


def use_change_link(tx: Transaction, ctx: Context, token: str, steps: Collection[Step]) -> Linked:
    """Use up a link; of two uses at once one fails."""
    found = look_at_change_link(tx, ctx, token, steps)
    taken = update(change_link).where(change_link.c.digest == digest(token), change_link.c.used_at.is_(None))
    if tx.connection.execute(taken.values(used_at=ctx.now)).rowcount != 1:
        raise LinkUsed()
    return found


def end_change_links(tx: Transaction, ctx: Context, about: str, *steps: Step) -> None:
    """The unused links of a change or recovery end; without `steps` all of them."""
    wanted = [change_link.c.about == about, change_link.c.used_at.is_(None)]
    if steps:
        wanted.append(change_link.c.step.in_(steps))
    tx.connection.execute(update(change_link).where(*wanted).values(used_at=ctx.now))
