"""One's own account: name, password, history, closing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import update

from subscription_services.identity import model, passwords
from subscription_services.identity.configured import rules
from subscription_services.identity.errors import WrongCredentials
from subscription_services.identity.fields import Name, Secret, clean_name
from subscription_services.identity.known import new_device
from subscription_services.identity.leaving import close_for_good
from subscription_services.identity.model import Kind, Purpose
from subscription_services.identity.queries import Profile, account_by_id, own_profile
from subscription_services.identity.sessions import end_challenges, end_sessions, renew_session
from subscription_services.kernel.actors import Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.events import Detail
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Declined, Limit, Prepared, Seen, operation
from subscription_services.kernel.personal import FreeText, NetworkAddress, NotPersonal
from subscription_services.kernel.transaction import Reading, ReadTransaction, Transaction
from subscription_services.kernel.words import words
from subscription_services.ledger import queries as ledger
from subscription_services.mail import SendLetter
from subscription_services.storage import open_row, update_row

from .sign_up import check_strength, end_links

OWN = (Subscriber.own, TeamMember.own)


class ShowProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ChangeName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name


class ChangePassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    current: Secret
    password: Secret


class CloseAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ShowActivity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` continues a page: the `next` of the answer before."""

    after: Annotated[str, Meta(max_length=200)] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class Closed(msgspec.Struct, frozen=True):
    id: str


class PasswordChanged(msgspec.Struct, frozen=True):
    """`token` is the session's new token; a secret. `strength` of the new password goes from 2 to 4 (zxcvbn).
    `device` marks this browser as known, the others are no more."""

    id: str
    token: str
    strength: int
    device: str = ""


class Happening(msgspec.Struct, frozen=True):
    """An entry of one's own history. `by_me` is false for what the team or the service did.

    `shown` and `why` are what was unmasked of one's data, and the reason that was given."""

    id: str
    at: datetime
    action: str
    outcome: str
    reason: Annotated[str, NotPersonal("a code of ours, never somebody's words")]
    actor_kind: str
    by_me: bool
    object: str
    address: NetworkAddress
    browser: FreeText
    log_index: int | None
    shown: list[str] = []
    why: FreeText = ""


class Activity(msgspec.Struct, frozen=True):
    entries: list[Happening]
    next: str = ""


@dataclass(frozen=True, slots=True)
class NewPassword:
    checked: bytes
    right: bool
    fresh: bytes
    looked: Mapping[str, Detail]
    strength: int
    email: str


@operation("identity.profile", by=OWN)
def profile(tx: ReadTransaction, ctx: Context, request: ShowProfile) -> Seen[Profile]:
    """One's own name, address and state of protection."""
    me = own_profile(tx, ctx.actor.id, ctx.now)
    if me is None:
        raise NotFound()
    return Seen(me, object=me.id)


@operation("identity.change_name", by=OWN)
def change_name(tx: Transaction, ctx: Context, request: ChangeName) -> Change[Closed]:
    """Change the name that we call you by."""
    update_row(tx, model.account, {"id": ctx.actor.id}, {"name": clean_name(request.name)})
    return Change(None, Closed(ctx.actor.id), details={"changed": ["name"]})


def hash_new_password(reading: Reading, ctx: Context, request: ChangePassword) -> NewPassword:
    """Check the current password and hash the new one, in the pool of bcrypt. Raises WeakPassword."""
    with reading() as tx:
        row = account_by_id(tx, ctx.actor.id)
        pepper = tx.keys.secret("identity.password", 48)
        if row is None or row.verifier is None:
            raise NotFound()
        opened = open_row(tx, model.account, row)
    known = (opened["name"], opened["email"])
    looked = check_strength(request.password, *known)
    right = passwords.matches(pepper, request.current, bytes(row.verifier))
    fresh = passwords.make_verifier(pepper, request.password, rules().cost)
    score = passwords.strength(request.password, *known).score
    return NewPassword(bytes(row.verifier), right, fresh, looked, score, opened["email"])


@operation(
    "identity.change_password", by=OWN, needs=[recent_sign_in], idempotent=False,
    prepare=Prepared(hash_new_password, "bcrypt"), limits=[Limit(10, 900, "actor")],
)  # fmt: skip
def change_password(
    tx: Transaction, ctx: Context, request: ChangePassword, made: NewPassword
) -> Change[PasswordChanged] | Declined:
    """Change one's password; every other session ends and a letter says so."""
    wrong = words("The current password is not right.")
    if not made.right:
        return Declined(WrongCredentials(wrong, fields={"current": wrong}))
    same = update(model.account).where(model.account.c.id == ctx.actor.id, model.account.c.verifier == made.checked)
    if tx.connection.execute(same.values(verifier=made.fresh, password_at=ctx.now)).rowcount != 1:
        return Declined(WrongCredentials(wrong, fields={"current": wrong}))
    session = getattr(ctx.actor, "session", "")
    end_sessions(tx, ctx, ctx.actor.id, "password changed", model.session.c.id != session)
    end_challenges(tx, ctx, ctx.actor.id)
    end_links(tx, ctx, ctx.actor.id, Purpose.RESET)
    factor = bool(getattr(ctx.actor, "second_factor", False))
    token = renew_session(tx, ctx, session, second_factor=factor)
    tx.outbox.add(SendLetter(letter="identity.password_changed", account=ctx.actor.id))
    device = new_device(tx.keys, ctx.random, made.email, now=ctx.now)
    return Change(None, PasswordChanged(ctx.actor.id, token, made.strength, device), details=made.looked)


@operation("identity.close_account", by=[Subscriber.own], needs=[recent_sign_in])
def close_account(tx: Transaction, ctx: Context, request: CloseAccount) -> Change[Closed]:
    """Close one's account: sessions, password and second factor end and the address is free again."""
    close_for_good(tx, ctx, ctx.actor.id, Kind.SUBSCRIBER, "account closed")
    return Change(None, Closed(ctx.actor.id))


@operation("identity.activity", by=OWN)
def activity(tx: ReadTransaction, ctx: Context, request: ShowActivity) -> Seen[Activity]:
    """What happened on one's account, by oneself and by others, from the tamper-evident log; newest first."""
    page = ledger.search_person(tx.connection, ctx.actor.id, after=request.after or None, limit=request.limit)
    return Seen(Activity([_happening(tx, ctx.actor.id, found) for found in page.found], page.next or ""))


def _happening(tx: ReadTransaction, account: str, found: ledger.Found) -> Happening:
    event = found.event
    personal = ledger.personal_fields(tx.keys, event) if event.sealed_for == account else {}
    shown = _listed(event.details.get("shown"))
    return Happening(
        event.id, event.at, event.action, event.outcome.value, event.reason, event.actor_kind, event.actor == account,
        event.object, personal.get("address", ""), personal.get("user_agent", ""), found.log_index,
        shown, personal.get("reason", "") if shown else "",
    )  # fmt: skip


def _listed(detail: Detail) -> list[str]:
    return detail if isinstance(detail, list) else []
