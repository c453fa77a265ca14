"""Signing in and out, and proving oneself again."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
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
    SignOnRequired,
    TooManyCodes,
    WrongCode,
    WrongCredentials,
)
from subscription_services.identity.fields import Code, Device, Earlier, Email, Id, Secret, Token
from subscription_services.identity.known import FREE, QUIET, SIGN_IN_LIMITS, WAITS, device_of, made_before, new_device
from subscription_services.identity.model import State
from subscription_services.identity.queries import account_by_email, account_by_id, has_second_factor, ways_of
from subscription_services.identity.recoveries import found_a_factor
from subscription_services.identity.sessions import (
    end_challenges,
    end_sessions,
    hold_account,
    open_session,
    renew_session,
    replace_session,
    use_session,
)
from subscription_services.identity.sign_on import sign_on_required
from subscription_services.identity.tokens import digest, new_token
from subscription_services.kernel.actors import Actor, Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.events import Detail
from subscription_services.kernel.operations import (
    Change,
    Declined,
    GrowingLimit,
    Limit,
    Prepared,
    Public,
    SystemOnly,
    operation,
)
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import Reading, Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage import open_row

TRIES = 5
WRONG_CODES_AN_HOUR = 20
"""Over all sign-ins of an account; only somebody who has the password can use them up."""
OWN = (Subscriber.own, TeamMember.own)


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device` is what an earlier sign-in of this browser answered, if it kept it; the session of the token in
    `replaces`, which it had until now, ends."""

    email: Email
    password: Secret
    device: Device = ""
    replaces: Earlier = ""


class SignInCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`challenge` comes from the answer to the password; `code` is a TOTP or recovery code."""

    challenge: Token
    code: Code
    device: Device = ""
    replaces: Earlier = ""


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
    """Either `token` (a session) or `challenge` (a second factor is due). Both are secrets, shown once.

    `device` marks this browser as known to the account; it opens nothing by itself. `ways` are the second factors
    that the account has besides recovery codes: code, passkey."""

    id: str
    token: str = ""
    challenge: str = ""
    device: str = ""
    ways: tuple[str, ...] = ()


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


def _session(keys: Keys, ctx: Context, request: ConfirmItIsMe) -> str:
    """Whoever came by a session guesses no faster in it than at the door."""
    return str(getattr(ctx.actor, "session", ""))


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
    row = hold_account(tx, checked.account)  # looked for as well where there is none
    if ctx.suspected:
        # looked at and counted like any other, answered as if it were wrong: whoever stuffs learns nothing any more
        facts: dict[str, Detail] = {"recognised": list(ctx.suspected), "password_right": checked.right}
        return Declined(WrongCredentials(), object=checked.account, subject=checked.account, details=facts)
    if row is None or not checked.right or not hmac.compare_digest(bytes(row.verifier or b""), checked.verifier):
        return Declined(WrongCredentials(), object=checked.account, subject=checked.account)
    if row.state == State.UNVERIFIED:
        return Declined(NotVerified(), object=row.id, subject=row.id)
    if row.state != State.ACTIVE:
        return Declined(WrongCredentials(), object=row.id, subject=row.id)
    if row.kind == model.Kind.TEAM and sign_on_required() and ctx.origin.channel != "terminal":
        # whoever sits at the machine could turn the setting off as well
        return Declined(SignOnRequired(), object=row.id, subject=row.id)
    if checked.fresh is not None:
        values = {"verifier": checked.fresh}
        tx.connection.execute(update(model.account).where(model.account.c.id == row.id).values(values))
    if ways := ways_of(tx.connection, row.id):
        return Change(None, challenge_for(tx, ctx, row.id, ways), subject=row.id, details={"step": "password"})
    details: dict[str, Detail] = {"step": "done", "rehashed": checked.fresh is not None}
    return open_for(tx, ctx, row, request.device, request.replaces, second_factor=False, details=details)


@operation(
    "identity.sign_in_code", by=[Public("the challenge proves that the password was right")], idempotent=False,
    limits=[Limit(60, 900, "address")],
)  # fmt: skip
def sign_in_code(tx: Transaction, ctx: Context, request: SignInCode) -> Change[SignedIn] | Declined:
    """Finish signing in with a code of the second factor; a code works once, wrong ones are counted."""
    row = waiting_sign_in(tx, ctx, request.challenge)
    if isinstance(row, Declined):
        return row
    how = codes.use_code(tx, ctx, row.account, request.code)
    if how is None:
        return count_wrong(tx, ctx, row, WrongCode(fields={"code": WrongCode.message}))
    return finish_sign_in(tx, ctx, row, request.device, request.replaces, how)


def waiting_sign_in(tx: Transaction, ctx: Context, challenge: str) -> Any:
    """The locked row of a sign-in whose password was right, or Declined where it ended or others failed too often."""
    wanted = select(model.challenge).where(model.challenge.c.digest == digest(challenge))
    begun = tx.connection.execute(wanted).one_or_none()
    if begun is not None:
        hold_account(tx, begun.account)
    row = tx.connection.execute(wanted.with_for_update()).one_or_none()
    if row is None or row.used_at is not None or row.expires_at <= ctx.now or row.tries >= TRIES:
        return Declined(ChallengeEnded(), subject=row.account if row else "", object=row.id if row else "")
    if _wrong_codes(tx, ctx, row.account) >= WRONG_CODES_AN_HOUR:
        # whoever gets here has the password: what they began ends, also the sign-ins that have not failed yet
        end_challenges(tx, ctx, row.account)
        return Declined(TooManyCodes(), object=row.id, subject=row.account)
    return row


def count_wrong(tx: Transaction, ctx: Context, row: Any, error: DomainError) -> Declined:
    """One wrong try of the second factor more; at the last one a letter warns the owner."""
    values = {"tries": row.tries + 1}
    tx.connection.execute(update(model.challenge).where(model.challenge.c.id == row.id).values(values))
    if _wrong_codes(tx, ctx, row.account) == WRONG_CODES_AN_HOUR:
        tx.outbox.add(SendLetter(letter="identity.codes_refused", account=row.account))
    return Declined(error, object=row.id, subject=row.account)


def finish_sign_in(
    tx: Transaction, ctx: Context, row: Any, device: str, replaces: str, how: str
) -> Change[SignedIn] | Declined:  # fmt: skip
    """Open the session of a sign-in whose second factor was right."""
    used = update(model.challenge).where(model.challenge.c.id == row.id)
    tx.connection.execute(used.values(used_at=ctx.now))
    account = account_by_id(tx, row.account)
    if account is None or account.state != State.ACTIVE:
        return Declined(ChallengeEnded(), object=row.id, subject=row.account)
    return open_for(tx, ctx, account, device, replaces, second_factor=True, details={"by": how})


def open_for(
    tx: Transaction, ctx: Context, row: Any, device: str, replaces: str, *, second_factor: bool,
    details: Mapping[str, Detail],
) -> Change[SignedIn]:  # fmt: skip
    """A session for the account in `row` in place of the one that this browser had, and the browser known from now
    on."""
    if second_factor:
        found_a_factor(tx, ctx, row.id)
    replaced = replace_session(tx, ctx, replaces)
    identifier, token = open_session(tx, ctx, row.id, second_factor=second_factor)
    device, known = _recognise(tx, ctx, row, device, identifier)
    return Change(
        None, SignedIn(identifier, token=token, device=device), subject=row.id,
        details={**details, "known_browser": known, "replaced": replaced},
        actor=_actor(row, identifier, ctx, second_factor),
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
    limits=[Limit(10, 900, "actor"), GrowingLimit(FREE, WAITS, QUIET, "session", _session)],
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
    if factor:
        found_a_factor(tx, ctx, ctx.actor.id)
    token = renew_session(tx, ctx, session, second_factor=factor)
    return Change(None, SignedIn(session, token=token))


def _recognise(tx: Transaction, ctx: Context, row: Any, device: str, session: str) -> tuple[str, bool]:
    """The browser's cookie and whether the account knew it; a letter tells of one that it did not know.

    Who signed in before the password was replaced may be why it was: they are known no more."""
    email = open_row(tx, model.account, row)["email"]
    nonce = device_of(tx.keys, email, device)
    if nonce and not made_before(nonce, row.password_at):
        return device, True
    others = (model.session.c.account == row.id, model.session.c.id != session)
    if tx.connection.execute(select(model.session.c.id).where(*others).limit(1)).first() is not None:
        tx.outbox.add(SendLetter(letter="identity.new_device", account=row.id, values={"session": session}))
    return new_device(tx.keys, ctx.random, email, now=ctx.now), False


def _wrong_codes(tx: Transaction, ctx: Context, account: str) -> int:
    """Wrong codes of the account's sign-ins begun within the last hour."""
    begun = model.challenge.c.expires_at > ctx.now + rules().code - timedelta(hours=1)
    total = select(func.coalesce(func.sum(model.challenge.c.tries), 0))
    return int(tx.connection.execute(total.where(model.challenge.c.account == account, begun)).scalar_one())


def challenge_for(tx: Transaction, ctx: Context, account: str, ways: tuple[str, ...]) -> SignedIn:
    token, identifier = new_token(ctx.random), ctx.ids.new("chl")
    values = {
        "id": identifier, "account": account, "digest": digest(token), "expires_at": ctx.now + rules().code, "tries": 0,
    }  # fmt: skip
    tx.connection.execute(model.challenge.insert().values(values))
    return SignedIn(identifier, challenge=token, ways=ways)


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
