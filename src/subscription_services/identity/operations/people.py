"""What the team does with accounts: find one, join by an enrolment link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import update

from subscription_services.identity import model, passwords
from subscription_services.identity.addresses import kept_for
from subscription_services.identity.configured import rules
from subscription_services.identity.errors import AddressTaken, LinkUsed, SignOnRequired
from subscription_services.identity.fields import Secret, Token, clean_email
from subscription_services.identity.model import Kind, Purpose, State
from subscription_services.identity.queries import AccountFacts, account_by_email, account_by_id, accounts
from subscription_services.identity.sessions import open_session
from subscription_services.identity.sign_on import sign_on_required
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.events import Detail
from subscription_services.kernel.operations import Change, Limit, Prepared, Public, Seen, operation
from subscription_services.kernel.personal import mask_emails
from subscription_services.kernel.transaction import Reading, ReadTransaction, Transaction
from subscription_services.storage import open_row

from .sign_in import SignedIn
from .sign_up import add_account, add_link, check_strength, end_links, look_at_link, use_link


class FindPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`who` is an e-mail address or an account id; `reason` stands in the log."""

    who: Annotated[str, Meta(min_length=3, max_length=254)]
    reason: Annotated[str, Meta(min_length=3, max_length=300)]


class Enrol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: Token
    password: Secret


@dataclass(frozen=True, slots=True)
class EnrolledPassword:
    account: str
    verifier: bytes
    looked: Mapping[str, Detail]


# whoever tries addresses until one fits what they saw masked is stopped soon, and stands in the log
@operation(
    "identity.find_person", by=[Role.SUPPORT, Role.SECURITY, Role.ADMINISTRATOR], limits=[Limit(60, 3600, "actor")]
)
def find_person(tx: ReadTransaction, ctx: Context, request: FindPerson) -> Seen[AccountFacts]:
    """Find an account by its address or id; whose it is and why one looked stands in the log first."""
    who = request.who.strip()
    row = account_by_email(tx, who) if "@" in who else account_by_id(tx, who)
    found = accounts(tx, [str(row.id)]) if row is not None else []
    if not found:
        raise NotFound("There is no account with this address or id.")
    return Seen(found[0], object=found[0].id, subject=found[0].id, details={"reason": mask_emails(request.reason)})


def hash_enrolment(reading: Reading, ctx: Context, request: Enrol) -> EnrolledPassword:
    """Look at the link, then hash the password in the pool of bcrypt. Raises LinkInvalid, WeakPassword."""
    if sign_on_required():
        raise SignOnRequired()
    with reading() as tx:
        account = look_at_link(tx, ctx, request.token, Purpose.ENROL)
        row = account_by_id(tx, account)
        if row is None:
            raise NotFound()
        opened = open_row(tx, model.account, row)
        pepper = tx.keys.secret("identity.password", 48)
    looked = check_strength(request.password, opened["name"], opened["email"])
    return EnrolledPassword(account, passwords.make_verifier(pepper, request.password, rules().cost), looked)


@operation(
    "identity.enrol", by=[Public("the enrolment link proves who may")], idempotent=False,
    prepare=Prepared(hash_enrolment, "bcrypt"), limits=[Limit(30, 3600, "address")],
)  # fmt: skip
def enrol(tx: Transaction, ctx: Context, request: Enrol, made: EnrolledPassword) -> Change[SignedIn]:
    """Join the team: set a password with the link of the letter; two-factor sign-in has to follow."""
    identifier = use_link(tx, ctx, request.token, Purpose.ENROL)
    joined = update(model.account).where(model.account.c.id == identifier, model.account.c.state == State.INVITED)
    values = {"state": State.ACTIVE, "verifier": made.verifier, "verified_at": ctx.now}
    if tx.connection.execute(joined.values(values)).rowcount != 1:
        raise LinkUsed()
    end_links(tx, ctx, identifier, Purpose.ENROL)
    session, token = open_session(tx, ctx, identifier, second_factor=False)
    actor = TeamMember(identifier, session, ctx.now, frozenset(), False)
    return Change(None, SignedIn(session, token=token), subject=identifier, actor=actor, details=made.looked)


def create_team_account(tx: Transaction, ctx: Context, email: str, name: str) -> str:
    """A new account of the team; its owner enrols by a link. Raises AddressTaken, BadAddress."""
    address = clean_email(email)
    if account_by_email(tx, address) is not None or kept_for(tx, ctx, address) is not None:
        raise AddressTaken(fields={"email": AddressTaken.message})
    return add_account(tx, ctx, email, name, Kind.TEAM, State.INVITED, None)


def enrolment_token(tx: Transaction, ctx: Context, account: str) -> str:
    """The secret of an enrolment link; earlier ones end."""
    end_links(tx, ctx, account, Purpose.ENROL)
    return add_link(tx, ctx, account, Purpose.ENROL)[1]
