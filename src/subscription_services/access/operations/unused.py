"""What is not used: the report, what the log says was used, and the end of what nobody uses."""

from __future__ import annotations

import msgspec
from sqlalchemy import delete, insert, update

from subscription_services.access import disuse, leavers, model, queries, token_rows, uses
from subscription_services.access.disuse import Notice, Step
from subscription_services.access.errors import LastAdministrator
from subscription_services.access.settings import in_force
from subscription_services.access.unused import Unused, unused
from subscription_services.access.use_model import disuse as table
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Conflict, NotFound
from subscription_services.kernel.events import Detail
from subscription_services.kernel.operations import Change, Limit, Prepared, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import Reading, ReadTransaction, Transaction
from subscription_services.mail import SendLetter

from .people import Id

WARNED = "access.unused_last_administrator"


class ReportUnused(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class NoteUses(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class NotedUses(msgspec.Struct, frozen=True):
    """`read` entries of the log; `more` says that there are others."""

    read: int
    more: bool


class KeepUnused(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`holder` is an account of the team, a service account or a token."""

    holder: Id


class KeptUnused(msgspec.Struct, frozen=True):
    holder: str
    step: Step


@operation(
    "access.unused_permissions", by=[Role.ADMINISTRATOR, Role.SECURITY, Role.AUDITOR], limits=[Limit(60, 60, "actor")]
)
def unused_permissions(tx: ReadTransaction, ctx: Context, request: ReportUnused) -> Seen[Unused]:
    """Roles and operations of tokens that were not used for long, and what will end because nobody uses it."""
    return Seen(unused(tx, ctx.now, in_force().unused_permission_days))


def _read_part(reading: Reading, ctx: Context, request: NoteUses) -> uses.Part:
    with reading() as tx:
        return uses.read_part(tx.connection)


@operation("access.note_uses", by=[SystemOnly("scheduled every quarter of an hour")], prepare=Prepared(_read_part))
def note_uses(tx: Transaction, ctx: Context, request: NoteUses, part: uses.Part) -> Change[NotedUses]:
    """Keep what the next part of the log says was used, so that what is not used can be found."""
    if not uses.keep_part(tx.connection, part):
        raise Conflict()
    done = NotedUses(part.next - part.first, part.next - part.first == uses.BATCH)
    return Change(None, done, details={"read": done.read, "next": part.next})


@operation("access.keep_unused", by=[SystemOnly("scheduled every hour")])
def keep_unused(tx: Transaction, ctx: Context, request: KeepUnused) -> Change[KeptUnused]:
    """Do what is due for an account or token that nobody uses: notice, second notice, end. The last administrator is
    warned instead."""
    known = disuse.notices(tx).get(request.holder)
    try:
        holder = disuse.one_holder(tx, request.holder, ctx.now)
    except NotFound:
        if known is None:
            raise
        # it has ended otherwise meanwhile
        tx.connection.execute(delete(table).where(table.c.holder == request.holder))
        return Change(None, KeptUnused(request.holder, Step.FORGET), object=request.holder)
    step = disuse.next_step(holder, known, ctx.now)
    # nobody could manage the team without them: they are told so each time, and stay
    last = queries.lock_standing_administrators(tx, ctx.now) == {holder.id}
    details: dict[str, Detail] = {"step": step, "days": holder.limit.days}
    match step:
        case Step.FORGET:
            tx.connection.execute(delete(table).where(table.c.holder == holder.id))
        case Step.NOTICE:
            details |= _notice(tx, ctx, holder, WARNED if last else "access.unused_noticed")
        case Step.REMIND:
            assert known is not None
            details |= _remind(tx, ctx, holder, known, WARNED if last else "access.unused_reminded")
        case Step.END if last:
            details |= {**_notice(tx, ctx, holder, WARNED), "kept": LastAdministrator.code}
        case Step.END:
            details |= _end(tx, ctx, holder)
    return Change(None, KeptUnused(holder.id, step), object=holder.id, subject=holder.told, details=details)


def _notice(tx: Transaction, ctx: Context, holder: disuse.Holder, letter: str) -> dict[str, Detail]:
    values = {
        "last_used_at": holder.last_used_at, "noticed_at": ctx.now, "reminded_at": None,
        "ends_at": disuse.first_end(holder, ctx.now),
    }  # fmt: skip
    again = update(table).where(table.c.holder == holder.id).values(values)
    if not tx.connection.execute(again).rowcount:
        tx.connection.execute(insert(table), {"holder": holder.id, **values})
    _write(tx, holder, letter)
    return {"ends_at": f"{values['ends_at']:%Y-%m-%dT%H:%M:%SZ}"}


def _remind(tx: Transaction, ctx: Context, holder: disuse.Holder, known: Notice, letter: str) -> dict[str, Detail]:
    end = disuse.second_end(known, ctx.now)
    tx.connection.execute(update(table).where(table.c.holder == holder.id).values(reminded_at=ctx.now, ends_at=end))
    _write(tx, holder, letter)
    return {"ends_at": f"{end:%Y-%m-%dT%H:%M:%SZ}"}


def _end(tx: Transaction, ctx: Context, holder: disuse.Holder) -> dict[str, Detail]:
    kind = holder.id.partition("_")[0]
    ended: dict[str, Detail] = {}
    if kind == "acc":
        ended = leavers.deactivate(tx, ctx, holder.id).details
    elif kind == "svc":
        accounts, tokens = token_rows.end_accounts(tx, ctx.now, model.service_account.c.id == holder.id)
        ended = {"service_accounts": accounts, "tokens": tokens}
    else:
        ended = {"tokens": token_rows.revoke(tx, ctx.now, model.token.c.id == holder.id)}
    tx.connection.execute(delete(table).where(table.c.holder == holder.id))
    if kind != "acc":
        _write(tx, holder, "access.unused_ended")  # a person gets the letter of every account that is closed
    return ended


def _write(tx: Transaction, holder: disuse.Holder, letter: str) -> None:
    tx.outbox.add(SendLetter(letter=letter, account=holder.told, values={"holder": holder.id}))
