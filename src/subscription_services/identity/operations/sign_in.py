"""Signing in and out, and proving oneself again."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import func, select, update

from subscription_services.identity import codes, model, passwords
from subscription_services.identity.configured import rules
from subscription_services.identity.errors import (
    ChallengeEnded,
    NotVerified,
    TooManyCodes,
    WrongCode,
    WrongCredentials,
)
from subscription_services.identity.fields import Code, Device, Email, Id, Secret, Token
from subscription_services.identity.known import SIGN_IN_LIMITS, device_of, new_device
from subscription_services.identity.model import State
from subscription_services.identity.queries import account_by_email, account_by_id, has_second_factor
from subscription_services.identity.sessions import (
    end_challenges,
    end_sessions,
    open_session,
    renew_session,
    use_session,
)
from subscription_services.identity.tokens import digest, new_token
from subscription_services.kernel.actors import Actor, Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.events import Detail
from subscription_services.kernel.operations import Change, Declined, Limit, Prepared, Public, SystemOnly, operation
from subscription_services.kernel.transaction import Reading, Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage import open_row

TRIES = 5
WRONG_CODES_AN_HOUR = 20
"""Over all sign-ins of an account; only somebody who has the password can use them up."""
OWN = (Subscriber.own, TeamMember.own)


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device` is what an earlier sign-in of this browser answered, if it kept it."""

    email: Email
    password: Secret
    device: Device = ""


class SignInCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`challenge` comes from the answer to the password; `code` is a TOTP or recovery code."""

    challenge: Token
    code: Code
    device: Device = ""


class SignOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class TouchSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class ConfirmItIsMe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`code` is needed where two-factor sign-in is on."""

    password: Secret
    code: str = msgspec.field(default="")

    def __post_init__(self) -> None:
        if len(self.code) > 40:
            raise ValueError("the code is too long")


class SignedIn(msgspec.Struct, frozen=True):
    """Either `token` (a session) or `challenge` (a code is due). Both are secrets, shown once.

    `device` marks this browser as known to the account; it opens nothing by itself."""

    id: str
    token: str = ""
    challenge: str = ""
    device: str = ""


class Ended(msgspec.Struct, frozen=True):
    ended: int


@dataclass(frozen=True, slots=True)
class CheckedPassword:
    """`verifier` is the one that was checked; `fresh` replaces it when the work factor moved."""

    account: str
    verifier: bytes
    right: bool
    fresh: bytes | None


_decoys: dict[int, bytes] = {}


def check_password(reading: Reading, ctx: Context, request: SignIn) -> CheckedPassword:
    """The same work whether or not the account exists."""
    with reading() as tx:
        row = account_by_email(tx, request.email)
        pepper = tx.keys.secret("identity.password", 48)
    known = row is not None and row.verifier is not None and row.state in (State.ACTIVE, State.UNVERIFIED)
    return _check(pepper, request.password, str(row.id) if known and row is not None else "",
                  bytes(row.verifier) if known and row is not None else _decoy(pepper))  # fmt: skip


def check_own_password(reading: Reading, ctx: Context, request: ConfirmItIsMe) -> CheckedPassword:
    with reading() as tx:
        row = account_by_id(tx, ctx.actor.id)
        pepper = tx.keys.secret("identity.password", 48)
    verifier = bytes(row.verifier) if row is not None and row.verifier is not None else _decoy(pepper)
    return _check(pepper, request.password, ctx.actor.id if row is not None else "", verifier)


@operation(
    "identity.sign_in", by=[Public("nobody is signed in before signing in")], idempotent=False,
    prepare=Prepared(check_password, "bcrypt"),
    limits=SIGN_IN_LIMITS,
)  # fmt: skip
def sign_in(tx: Transaction, ctx: Context, request: SignIn, checked: CheckedPassword) -> Change[SignedIn] | Declined:
    """Sign in with address and password; the answer says whether a code is due."""
    row = account_by_id(tx, checked.account)  # looked for as well where there is none
    if ctx.suspected:
        # looked at and counted like any other, answered as if it were wrong: whoever stuffs learns nothing any more
        details: dict[str, Detail] = {"recognised": list(ctx.suspected), "password_right": checked.right}
        return Declined(WrongCredentials(), object=checked.account, subject=checked.account, details=details)
    if row is None or not checked.right or not hmac.compare_digest(bytes(row.verifier or b""), checked.verifier):
        return Declined(WrongCredentials(), object=checked.account, subject=checked.account)
    if row.state == State.UNVERIFIED:
        return Declined(NotVerified(), object=row.id, subject=row.id)
    if row.state != State.ACTIVE:
        return Declined(WrongCredentials(), object=row.id, subject=row.id)
    if checked.fresh is not None:
        values = {"verifier": checked.fresh}
        tx.connection.execute(update(model.account).where(model.account.c.id == row.id).values(values))
    if has_second_factor(tx.connection, row.id):
        return Change(None, _challenge(tx, ctx, row.id), subject=row.id, details={"step": "password"})
    device, known = _recognise(tx, ctx, row, request.device)
    identifier, token = open_session(tx, ctx, row.id, second_factor=False)
    return Change(
        None, SignedIn(identifier, token=token, device=device), subject=row.id,
        actor=_actor(row, identifier, ctx, False),
        details={"step": "done", "rehashed": checked.fresh is not None, "known_browser": known},
    )  # fmt: skip


@operation(
    "identity.sign_in_code", by=[Public("the challenge proves that the password was right")], idempotent=False,
    limits=[Limit(60, 900, "address")],
)  # fmt: skip
def sign_in_code(tx: Transaction, ctx: Context, request: SignInCode) -> Change[SignedIn] | Declined:
    """Finish signing in with a code of the second factor; a code works once, wrong ones are counted."""
    row = tx.connection.execute(
        select(model.challenge).where(model.challenge.c.digest == digest(request.challenge)).with_for_update()
    ).one_or_none()
    if row is None or row.used_at is not None or row.expires_at <= ctx.now or row.tries >= TRIES:
        return Declined(ChallengeEnded(), subject=row.account if row else "", object=row.id if row else "")
    if _wrong_codes(tx, ctx, row.account) >= WRONG_CODES_AN_HOUR:
        # whoever gets here has the password: what they began ends, also the sign-ins that have not failed yet
        end_challenges(tx, ctx, row.account)
        return Declined(TooManyCodes(), object=row.id, subject=row.account)
    mine = model.challenge.c.id == row.id
    how = codes.use_code(tx, ctx, row.account, request.code)
    if how is None:
        tx.connection.execute(update(model.challenge).where(mine).values(tries=row.tries + 1))
        if _wrong_codes(tx, ctx, row.account) == WRONG_CODES_AN_HOUR:
            tx.outbox.add(SendLetter(letter="identity.codes_refused", account=row.account))
        return Declined(WrongCode(fields={"code": WrongCode.message}), object=row.id, subject=row.account)
    tx.connection.execute(update(model.challenge).where(mine).values(used_at=ctx.now))
    account = account_by_id(tx, row.account)
    if account is None or account.state != State.ACTIVE:
        return Declined(ChallengeEnded(), object=row.id, subject=row.account)
    device, known = _recognise(tx, ctx, account, request.device)
    identifier, token = open_session(tx, ctx, row.account, second_factor=True)
    return Change(
        None, SignedIn(identifier, token=token, device=device), subject=row.account,
        details={"by": how, "known_browser": known},
        actor=_actor(account, identifier, ctx, True),
    )  # fmt: skip


@operation("identity.sign_out", by=OWN)
def sign_out(tx: Transaction, ctx: Context, request: SignOut) -> Change[Ended]:
    """End the session that asks."""
    mine = getattr(ctx.actor, "session", "")
    ended = end_sessions(tx, ctx, ctx.actor.id, "signed out", model.session.c.id == mine)
    return Change(None, Ended(ended), object=mine)


@operation("identity.touch_session", by=[SystemOnly("the edge notes that a session is in use")])
def touch_session(tx: Transaction, ctx: Context, request: TouchSession) -> Change[Ended]:
    """Note that a session is in use, so that it does not end for inactivity."""
    use_session(tx, ctx, request.id)
    return Change(None, Ended(0), object=request.id)


@operation(
    "identity.confirm_it_is_me", by=OWN, idempotent=False, prepare=Prepared(check_own_password, "bcrypt"),
    limits=[Limit(10, 900, "actor")],
)  # fmt: skip
def confirm_it_is_me(
    tx: Transaction, ctx: Context, request: ConfirmItIsMe, checked: CheckedPassword
) -> Change[SignedIn] | Declined:
    """Prove oneself again before something sensitive; the session gets a new token."""
    row = account_by_id(tx, ctx.actor.id)
    if row is None or not checked.right or not hmac.compare_digest(bytes(row.verifier or b""), checked.verifier):
        return Declined(
            WrongCredentials("The password is not right.", fields={"password": "The password is not right."})
        )
    factor = has_second_factor(tx.connection, ctx.actor.id)
    if factor and codes.use_code(tx, ctx, ctx.actor.id, request.code) is None:
        return Declined(WrongCode(fields={"code": WrongCode.message}))
    session = getattr(ctx.actor, "session", "")
    token = renew_session(tx, ctx, session, second_factor=factor)
    return Change(None, SignedIn(session, token=token))


def _recognise(tx: Transaction, ctx: Context, row: Any, device: str) -> tuple[str, bool]:
    """The browser's cookie and whether the account knew it; a letter tells of one that it did not know."""
    email = open_row(tx, model.account, row)["email"]
    if device_of(tx.keys, email, device):
        return device, True
    used = select(model.session.c.id).where(model.session.c.account == row.id).limit(1)
    if tx.connection.execute(used).first() is not None:
        tx.outbox.add(SendLetter(letter="identity.new_device", account=row.id))
    return new_device(tx.keys, ctx.random, email), False


def _wrong_codes(tx: Transaction, ctx: Context, account: str) -> int:
    """Wrong codes of the account's sign-ins begun within the last hour."""
    begun = model.challenge.c.expires_at > ctx.now + rules().code - timedelta(hours=1)
    total = select(func.coalesce(func.sum(model.challenge.c.tries), 0))
    return int(tx.connection.execute(total.where(model.challenge.c.account == account, begun)).scalar_one())


def _challenge(tx: Transaction, ctx: Context, account: str) -> SignedIn:
    token, identifier = new_token(ctx.random), ctx.ids.new("chl")
    values = {
        "id": identifier, "account": account, "digest": digest(token), "expires_at": ctx.now + rules().code, "tries": 0,
    }  # fmt: skip
    tx.connection.execute(model.challenge.insert().values(values))
    return SignedIn(identifier, challenge=token)


def _check(pepper: bytes, password: str, account: str, verifier: bytes) -> CheckedPassword:
    right = passwords.matches(pepper, password, verifier) and bool(account)
    cost, wanted = passwords.cost_of(verifier), rules().cost
    fresh = passwords.make_verifier(pepper, password, wanted) if right and cost < wanted else None
    if fresh is None:
        # an older, cheaper verifier must not tell that the account exists
        passwords.waste(cost, wanted)
    return CheckedPassword(account, verifier, right, fresh)


def _decoy(pepper: bytes) -> bytes:
    """A verifier of the present work factor that no password opens, so that unknown addresses cost the same."""
    cost = rules().cost
    if cost not in _decoys:
        _decoys[cost] = passwords.make_verifier(pepper, "no account has this password", cost)
    return _decoys[cost]


def _actor(row: object, session: str, ctx: Context, factor: bool) -> Actor:
    identifier, kind = str(row.id), str(row.kind)  # type: ignore[attr-defined]  # a row of identity_account
    if kind == model.Kind.TEAM:
        return TeamMember(identifier, session, ctx.now, frozenset(), factor)
    return Subscriber(identifier, session, ctx.now, factor)
