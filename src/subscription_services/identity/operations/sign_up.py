"""From an address to an account: sign up, prove the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Row, select, update

from subscription_services.identity import model, passwords
from subscription_services.identity.addresses import kept_for
from subscription_services.identity.breaches import FOUND, look_up
from subscription_services.identity.configured import rules
from subscription_services.identity.errors import (
    AddressTaken,
    LinkExpired,
    LinkInvalid,
    LinkUsed,
    NotTheBeginner,
    WeakPassword,
)
from subscription_services.identity.fields import Device, Email, Id, Name, Secret, Token, clean_email, clean_name
from subscription_services.identity.known import BEGUN, LETTERS_AN_HOUR, device_of, new_device
from subscription_services.identity.model import Kind, Purpose, State
from subscription_services.identity.queries import account_by_email, account_by_id, email_index
from subscription_services.identity.sessions import end_challenges, end_factors, end_sessions
from subscription_services.identity.tokens import digest, new_token
from subscription_services.kernel.context import Context
from subscription_services.kernel.events import Detail
from subscription_services.kernel.operations import Change, Declined, Limit, Prepared, Public, SystemOnly, operation
from subscription_services.kernel.transaction import Reading, ReadTransaction, Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage import insert_row, open_row, update_row

NOBODY = "nobody"
"""Stands for the account when there is none: the same row is written, and the letter is sent to nobody."""
STRANGERS = "somebody without an account has to be able to get one"


class SignUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email
    name: Name
    password: Secret


class ResendVerification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email


class VerifyAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`token` is what stands behind the equals sign of the link in the letter.

    `browser` is what beginning the account answered; whoever lacks it proves with the password that they began it."""

    token: Token
    browser: Device = ""
    password: Annotated[str, Meta(max_length=1024)] = ""


class IssueLink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: Id
    purpose: Purpose


class CreateProbe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email
    name: Name
    password: Secret
    team: bool = False


class Accepted(msgspec.Struct, frozen=True):
    """The same whether or not there is an account: what happens next stands in a letter.

    `browser` marks the browser that began an account, for the link in the letter."""

    next: str = "A letter is on its way to this address."
    browser: str = ""


class Verified(msgspec.Struct, frozen=True):
    id: str


class IssuedLink(msgspec.Struct, frozen=True):
    """`token` is shown once, to the letter that carries it."""

    id: str
    token: str


@dataclass(frozen=True, slots=True)
class HashedPassword:
    verifier: bytes
    looked: Mapping[str, Detail]


@dataclass(frozen=True, slots=True)
class Beginner:
    """`same` when the account was begun by whoever asks; `verifier` is the one in force when that was found."""

    account: str
    verifier: bytes
    same: bool


def hash_password(reading: Reading, ctx: Context, request: SignUp | CreateProbe) -> HashedPassword:
    """Refuse a weak password; hash a good one, in the pool of bcrypt. Raises WeakPassword, BadAddress."""
    email = clean_email(request.email)
    looked = check_strength(request.password, request.name, email, ask=isinstance(request, SignUp))
    with reading() as tx:
        pepper = tx.keys.secret("identity.password", 48)
    return HashedPassword(passwords.make_verifier(pepper, request.password, rules().cost), looked)


def check_strength(password: str, *known: str, field: str = "password", ask: bool = True) -> dict[str, Detail]:
    """What the event should say of the look among breached passwords. Raises WeakPassword, the reason beside the field.

    For `prepare` only: it may ask over the network, where the operator switched that on."""
    reason, url = passwords.weakness(password, *known), rules().breach_range_url if ask else ""
    strength, found = passwords.strength(password, *known), look_up(url, password) if url and not reason else ""
    if found == FOUND:
        strength = passwords.Strength(0, ())
        reason = "This password is on a public list of stolen ones. Choose another, and change it wherever you use it."
    if reason:
        raise WeakPassword(reason, fields={field: reason}, strength=strength)
    return {"breach_list": found} if found else {}


@operation(
    "identity.sign_up", by=[Public(STRANGERS)], prepare=Prepared(hash_password, "bcrypt"),
    limits=[Limit(20, 3600, "address"), LETTERS_AN_HOUR, Limit(2000, 3600, "all")],
)  # fmt: skip
def sign_up(tx: Transaction, ctx: Context, request: SignUp, hashed: HashedPassword) -> Change[Accepted]:
    """Begin an account; the answer is the same when the address has one, whose owner gets a letter that says so."""
    address = clean_email(request.email)
    found = account_by_email(tx, address)
    answer = Accepted(browser=new_device(tx.keys, ctx.random, address, BEGUN))
    if (kept := kept_for(tx, ctx, address)) is not None and found is None:
        # somebody may still take this address back
        tx.outbox.add(SendLetter(letter="identity.address_kept", account=kept.account, values={"change": kept.id}))
        facts = {"known": True, **hashed.looked}
        return Change(None, answer, object=kept.account, subject=kept.account, details=facts)
    # the same statements, seals and keys for any address, so that neither time nor load tells which it is: where the
    # address has an account, nothing is inserted (and a key stays unused); where that was proved, nothing is updated
    fresh = add_account(
        tx, ctx, request.email, request.name, Kind.SUBSCRIBER, State.UNVERIFIED, hashed.verifier, if_free=True
    )
    identifier = fresh if found is None else str(found.id)
    known = found is not None and found.state != State.UNVERIFIED
    # nobody has proved this address yet: the newest attempt counts and earlier links end
    unproved = fresh if known else identifier
    changes = {"name": clean_name(request.name) or address, "verifier": hashed.verifier}
    update_row(tx, model.account, {"id": unproved}, changes, model.account.c.state == State.UNVERIFIED)
    end_links(tx, ctx, unproved, Purpose.VERIFY)
    letter = "identity.already_registered" if known else "identity.verify_address"
    tx.outbox.add(SendLetter(letter=letter, account=identifier))
    details: dict[str, Detail] = {"known": True} if known else {}
    return Change(None, answer, object=identifier, subject=identifier, details={**details, **hashed.looked})


@operation(
    "identity.resend_verification", by=[Public(STRANGERS)],
    limits=[Limit(20, 3600, "address"), LETTERS_AN_HOUR],
)  # fmt: skip
def resend_verification(tx: Transaction, ctx: Context, request: ResendVerification) -> Change[Accepted]:
    """Send a new link to an address that is not verified yet; the answer is the same for any address."""
    return write_to(tx, request.email, State.UNVERIFIED, "identity.verify_address")


def check_beginner(reading: Reading, ctx: Context, request: VerifyAddress) -> Beginner:
    """Whether it is the browser, or the person, that began the account; a link that does not work is nobody's.

    What is wrong with the link is said later: who pressed twice gets the answer of the first time.
    """
    with reading() as tx:
        try:
            row = account_by_id(tx, look_at_link(tx, ctx, request.token, Purpose.VERIFY))
        except (LinkInvalid, LinkUsed, LinkExpired):
            row = None
        if row is None:
            return Beginner("", b"", False)
        email = str(open_row(tx, model.account, row)["email"])
        pepper = tx.keys.secret("identity.password", 48)
        same = bool(device_of(tx.keys, email, request.browser, BEGUN))
    verifier = bytes(row.verifier or b"")
    if not same and request.password:
        same = passwords.matches(pepper, request.password, verifier)
    return Beginner(str(row.id), verifier, same)


@operation(
    "identity.verify_address", by=[Public("the link proves who may")], prepare=Prepared(check_beginner, "bcrypt"),
    limits=[Limit(60, 3600, "address"), Limit(10, 3600, "link", key=lambda keys, ctx, request: request.token)],
)  # fmt: skip
def verify_address(
    tx: Transaction, ctx: Context, request: VerifyAddress, beginner: Beginner
) -> Change[Verified] | Declined:  # fmt: skip
    """Prove an address with the link of the letter; works once, and only for whoever chose the password.

    Anybody can begin an account with an address of somebody else; its owner must not finish it for them.
    """
    identifier = look_at_link(tx, ctx, request.token, Purpose.VERIFY)
    row = account_by_id(tx, identifier)
    stored = bytes(row.verifier or b"") if row is not None else b""
    if not beginner.same or (beginner.account, beginner.verifier) != (identifier, stored):
        error = NotTheBeginner(fields={"password": NotTheBeginner.message})
        return Declined(error, object=identifier, subject=identifier)
    use_link(tx, ctx, request.token, Purpose.VERIFY)
    values = {"state": State.ACTIVE, "verified_at": ctx.now}
    proved = update(model.account).where(model.account.c.id == identifier, model.account.c.state == State.UNVERIFIED)
    if tx.connection.execute(proved.values(values)).rowcount != 1:
        raise LinkUsed()
    end_links(tx, ctx, identifier, Purpose.VERIFY)
    return Change(None, Verified(identifier), subject=identifier)


@operation("identity.issue_link", by=[SystemOnly("letters mint their link when they are sent")], idempotent=False)
def issue_link(tx: Transaction, ctx: Context, request: IssueLink) -> Change[IssuedLink]:
    """Mint the link of a letter; only its digest is kept."""
    identifier, token = add_link(tx, ctx, request.account, request.purpose)
    return Change(
        None, IssuedLink(identifier, token), subject=request.account, details={"purpose": request.purpose.value}
    )  # fmt: skip


@operation(
    "identity.create_probe", by=[SystemOnly("live checks need an account of their own")],
    prepare=Prepared(hash_password, "bcrypt"), idempotent=False,
)  # fmt: skip
def create_probe(tx: Transaction, ctx: Context, request: CreateProbe, hashed: HashedPassword) -> Change[Verified]:
    """Make an account for live checks, or give it a new password: same rules, marked, out of figures, no letters."""
    kind = Kind.TEAM if request.team else Kind.SUBSCRIBER
    found = account_by_email(tx, clean_email(request.email))
    if found is not None:
        return _renew_probe(tx, ctx, found, kind, hashed)
    identifier = add_account(
        tx, ctx, request.email, request.name, kind, State.ACTIVE, hashed.verifier, probe=True
    )  # fmt: skip
    return Change(None, Verified(identifier), subject=identifier)


def _renew_probe(
    tx: Transaction, ctx: Context, found: Row[Any], kind: Kind, hashed: HashedPassword
) -> Change[Verified]:
    """The probe as if it were new. Raises AddressTaken where a person has this address."""
    if not found.probe or found.kind != kind:
        raise AddressTaken()
    tx.connection.execute(update(model.account).where(model.account.c.id == found.id).values(verifier=hashed.verifier))
    end_sessions(tx, ctx, found.id, "probe renewed")
    end_challenges(tx, ctx, found.id)
    end_factors(tx, found.id)
    return Change(None, Verified(found.id), subject=found.id)


def write_to(tx: Transaction, email: str, state: State, letter: str) -> Change[Accepted]:
    """Send the letter if the address has an account in that state; answer and work are the same if not."""
    found = account_by_email(tx, clean_email(email))
    identifier = str(found.id) if found is not None and found.state == state else ""
    tx.outbox.add(SendLetter(letter=letter, account=identifier or NOBODY))
    return Change(None, Accepted(), object=identifier, subject=identifier, by_stranger=True)


def add_account(
    tx: Transaction, ctx: Context, email: str, name: str, kind: Kind, state: State, verifier: bytes | None,
    *, probe: bool = False, if_free: bool = False,
) -> str:  # fmt: skip
    """Insert an account with a key of its own; `if_free` only where the address is. Returns its id.

    Raises BadAddress."""
    identifier = ctx.ids.new("acc")
    address = clean_email(email)
    tx.keys.ensure_subject(identifier)
    insert_row(
        tx, model.account,
        {
            "id": identifier, "kind": kind, "state": state, "email": address, "name": clean_name(name) or address,
            "email_index": email_index(tx.keys, address), "verifier": verifier, "probe": probe,
            "created_at": ctx.now, "verified_at": ctx.now if state == State.ACTIVE else None,
        },
        unless="email_index" if if_free else "",
    )  # fmt: skip
    return identifier


def add_link(tx: Transaction, ctx: Context, account: str, purpose: Purpose) -> tuple[str, str]:
    """A link for one use; returns its id and its token."""
    token, identifier = new_token(ctx.random), ctx.ids.new("lnk")
    values = {
        "id": identifier, "account": account, "purpose": purpose, "digest": digest(token),
        "expires_at": ctx.now + (rules().reset if purpose in (Purpose.RESET, Purpose.UNLOCK) else rules().link),
    }  # fmt: skip
    tx.connection.execute(model.link.insert().values(values))
    return identifier, token


def end_links(tx: Transaction, ctx: Context, account: str, purpose: Purpose) -> None:
    """The account's unused links of this purpose end."""
    tx.connection.execute(
        update(model.link)
        .where(model.link.c.account == account, model.link.c.purpose == purpose, model.link.c.used_at.is_(None))
        .values(used_at=ctx.now)
    )


def look_at_link(tx: ReadTransaction, ctx: Context, token: str, purpose: Purpose) -> str:
    """The account of a link that would work now. Raises LinkInvalid, LinkUsed, LinkExpired."""
    row = tx.connection.execute(select(model.link).where(model.link.c.digest == digest(token))).one_or_none()
    if row is None or row.purpose != purpose:
        raise LinkInvalid()
    if row.used_at is not None:
        raise LinkUsed()
    if row.expires_at <= ctx.now:
        raise LinkExpired()
    return str(row.account)


def use_link(tx: Transaction, ctx: Context, token: str, purpose: Purpose) -> str:
    """Use up a link; of two uses at once one fails. Returns its account."""
    account = look_at_link(tx, ctx, token, purpose)
    taken = update(model.link).where(model.link.c.digest == digest(token), model.link.c.used_at.is_(None))
    if tx.connection.execute(taken.values(used_at=ctx.now)).rowcount != 1:
        raise LinkUsed()
    return account
