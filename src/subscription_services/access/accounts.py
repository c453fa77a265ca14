"""What this room asks of identity, in one place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from subscription_services import identity
from subscription_services.kernel.context import Context
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.mail import SendLetter


class SessionFacts(msgspec.Struct, frozen=True):
    account: str
    team: bool
    signed_in_at: datetime
    second_factor: bool


@dataclass(frozen=True, slots=True)
class Account:
    """An account as this room shows it; `open` means that its owner may sign in."""

    id: str
    email: str
    name: str
    state: str
    team: bool
    second_factor: bool
    created_at: datetime

    @property
    def open(self) -> bool:
        return self.state not in ("closed", "erased")


def session_facts(connection: Connection, session: str, now: datetime) -> SessionFacts | None:
    """What identity knows of a session, or None when it or its account has ended."""
    facts = identity.session_facts(connection, session, now)
    if facts is None:
        return None
    return SessionFacts(facts.account, facts.kind == "team", facts.signed_in_at, facts.second_factor)


def active_accounts(connection: Connection, ids: Collection[str]) -> frozenset[str]:
    """Those of these accounts whose owners can sign in."""
    return identity.active_accounts(connection, ids)


def create(tx: Transaction, ctx: Context, email: str, name: str) -> str:
    """A new account of the team; its owner enrols by a link. Raises Conflict when the address is taken."""
    return identity.create_team_account(tx, ctx, email, name)


def enrolment_token(tx: Transaction, ctx: Context, account: str) -> str:
    """The secret of an enrolment link."""
    return identity.enrolment_token(tx, ctx, account)


def send_enrolment(tx: Transaction, account: str) -> None:
    """Write the enrolment letter after the commit."""
    tx.outbox.add(SendLetter(letter="identity.enrolment", account=account))


def close(tx: Transaction, ctx: Context, account: str) -> int | None:
    """Close an account of the team with every way to sign in; how many sessions ended, None when it was not open."""
    return identity.close_team_account(tx, ctx, account)


def rename(tx: Transaction, account: str, name: str) -> None:
    """Call the person otherwise."""
    identity.rename_account(tx, account, name)


def is_probe(tx: ReadTransaction, account: str) -> bool:
    """Whether it is an account of live checks, which no person holds."""
    return identity.is_probe(tx, account)


def people(tx: ReadTransaction, ids: Collection[str]) -> list[Account]:
    """Accounts by id; unknown and erased ones are left out."""
    return [_account(item) for item in identity.accounts(tx, ids)] if ids else []


def team(tx: ReadTransaction) -> list[Account]:
    """Every account of the team that is not erased."""
    return [_account(item) for item in identity.team_accounts(tx)]


def last_seen(tx: ReadTransaction, ids: Collection[str]) -> dict[str, datetime]:
    """When each of them was last used; who never was is left out."""
    return identity.last_seen(tx, ids) if ids else {}


def _account(item: identity.AccountFacts) -> Account:
    return Account(item.id, item.email, item.name, item.state, item.kind == "team", item.second_factor, item.created_at)
