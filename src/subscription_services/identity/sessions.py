"""Opening and ending sessions, inside an operation's transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Row, delete, select, update

from subscription_services.kernel.context import Context
from subscription_services.kernel.tokens import PROGRAM_SESSION
from subscription_services.kernel.tokens import new_token as program_token
from subscription_services.kernel.transaction import Transaction
from subscription_services.storage import holds, insert_row

from . import model
from .bindings import network_of, offer_of
from .configured import rules
from .model import Held
from .queries import idle_of, longest_of
from .tokens import digest, new_token


def open_session(tx: Transaction, ctx: Context, account: str, *, second_factor: bool) -> tuple[str, str]:
    """A new session; returns its id and its token, which is not kept."""
    held = Held.NETWORK if ctx.origin.channel == "page" else Held.PROGRAM
    token, identifier = _token_of(ctx, held), ctx.ids.new("ses")
    insert_row(
        tx, model.session,
        {
            "id": identifier, "account": account, "digest": digest(token), "user_agent": ctx.origin.user_agent,
            "address": ctx.origin.address, "second_factor": second_factor, "created_at": ctx.now,
            "signed_in_at": ctx.now, "last_used_at": ctx.now,
            "idle_until": ctx.now + idle_of_account(tx, account, held),
            "ends_at": ctx.now + longest_of_account(tx, account),
        },
    )  # fmt: skip
    bound = {
        "session": identifier, "held": held, "handle": new_token(ctx.random),
        "network": network_of(tx.keys, ctx.origin), **(_offer(tx, ctx, token) if held == Held.NETWORK else {}),
    }  # fmt: skip
    tx.connection.execute(model.binding.insert().values(bound))
    return identifier, token


def hold_account(tx: Transaction, identifier: str) -> Row[Any] | None:
    """The account, held until the end of the transaction: signing in, counting codes and setting a new password come
    one after the other. Else a sign-in with the old password could open a session just behind the reset that ended
    all others, and codes tried at once would all be the last one allowed. Hold it before any other row."""
    mine = select(model.account).where(model.account.c.id == identifier)
    return tx.connection.execute(mine.with_for_update()).one_or_none()


def replace_session(tx: Transaction, ctx: Context, token: str) -> bool:
    """End the session that the browser had before it signed in anew. Says whether there was one."""
    mine = (model.session.c.digest == digest(token), model.session.c.ended_at.is_(None))
    values = {"ended_at": ctx.now, "end_reason": "signed in anew"}
    if token:
        _wait_for(tx, *mine)
    return bool(token) and tx.connection.execute(update(model.session).where(*mine).values(values)).rowcount == 1


def renew_session(tx: Transaction, ctx: Context, session: str, *, second_factor: bool) -> str:
    """A new token for the same session after the person proved themselves again; the old one ends at once."""
    held = select(model.binding.c.held).where(model.binding.c.session == session)
    token = _token_of(ctx, tx.connection.execute(held).scalar())
    values = {"digest": digest(token), "signed_in_at": ctx.now, "second_factor": second_factor}
    tx.connection.execute(update(model.session).where(model.session.c.id == session).values(values))
    keyless = update(model.binding).where(model.binding.c.session == session, model.binding.c.held == Held.NETWORK)
    tx.connection.execute(keyless.values(network=network_of(tx.keys, ctx.origin), **_offer(tx, ctx, token)))
    use_session(tx, ctx, session)
    return token


def use_session(tx: Transaction, ctx: Context, session: str) -> None:
    """Note that an open session is in use, so that it does not end for inactivity."""
    mine = (model.session.c.id == session, model.session.c.ended_at.is_(None))
    wanted = select(model.session.c.account, model.binding.c.held).join(
        model.binding, model.binding.c.session == model.session.c.id
    )
    row = tx.connection.execute(wanted.where(*mine)).one_or_none()
    if row is not None:
        values = {"last_used_at": ctx.now, "idle_until": ctx.now + idle_of_account(tx, row.account, row.held)}
        tx.connection.execute(update(model.session).where(*mine).values(values))


def idle_of_account(tx: Transaction, account: str, held: str) -> timedelta:
    """How long the account's sessions of this kind may stay without use; shorter where no key holds them."""
    chosen = select(model.account.c.idle_minutes).where(model.account.c.id == account)
    idle = idle_of(tx.connection.execute(chosen).scalar())
    return min(idle, rules().keyless_idle) if held == Held.NETWORK else idle


def longest_of_account(tx: Transaction, account: str) -> timedelta:
    """How long the account's sessions may last however much they are used."""
    chosen = select(model.account.c.session_hours).where(model.account.c.id == account)
    return longest_of(tx.connection.execute(chosen).scalar())


def _token_of(ctx: Context, held: str | None) -> str:
    """A program's session is marked, so that it is found where it leaked; a cookie of ours never leaves its jar."""
    return program_token(ctx.random, PROGRAM_SESSION) if held == Held.PROGRAM else new_token(ctx.random)


def _offer(tx: Transaction, ctx: Context, token: str) -> dict[str, Any]:
    """What the first key of this session has to sign, and until when; see `bindings.offer_of`."""
    return {"offer": digest(offer_of(tx.keys, token)), "offer_until": ctx.now + rules().bind}


def end_sessions(tx: Transaction, ctx: Context, account: str, reason: str, *where: Any) -> int:
    """End the account's open sessions that fit `where`, once what is committing in them has. Returns how many."""
    open_ones = (model.session.c.account == account, model.session.c.ended_at.is_(None), *where)
    _wait_for(tx, *open_ones)
    ended = update(model.session).where(*open_ones).values(ended_at=ctx.now, end_reason=reason)
    return tx.connection.execute(ended).rowcount


def _wait_for(tx: Transaction, *where: Any) -> None:
    """Until nothing that rests on these sessions is under way; what comes later waits in turn, and finds them ended."""
    if holds(tx.connection):
        mine = select(model.session.c.id).where(*where).order_by(model.session.c.id)
        tx.connection.execute(mine.with_for_update()).all()


def end_challenges(tx: Transaction, ctx: Context, account: str) -> None:
    """End the account's half-finished sign-ins."""
    waiting = update(model.challenge).where(model.challenge.c.account == account, model.challenge.c.used_at.is_(None))
    tx.connection.execute(waiting.values(used_at=ctx.now))


def owner_of_session(tx: Any, ctx: Context, request: Any) -> str:
    """The account that a session belongs to, or "" when there is none."""
    found = tx.connection.execute(select(model.session.c.account).where(model.session.c.id == request.id)).scalar()
    return str(found or "")


def end_factors(tx: Transaction, account: str) -> None:
    """Every second factor of the account goes, recovery codes as well."""
    for table in (model.recovery_code, model.totp, model.passkey, model.passkey_challenge):
        tx.connection.execute(delete(table).where(table.c.account == account))
