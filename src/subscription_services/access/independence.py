"""Who is independent of whom: nobody decides what they ask for themselves, under whatever name."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from subscription_services.kernel.actors import Role
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.kernel.words import words
from subscription_services.ledger import queries as ledger

from . import accounts, catalogue
from .authority import roles_of
from .model import grant, service_account, token

INVITATIONS = ("access.invite", "access.scim_create_user")
"""Operations that make an account for somebody else."""


def hands_of(tx: ReadTransaction, requester: str) -> frozenset[str]:
    """Everybody who is or moves `requester`: of a program also its owner and those before, by the log, its maker, and
    who issued its tokens."""
    owner = select(service_account.c.owner, service_account.c.created_by).where(service_account.c.id == requester)
    issuers = select(token.c.issued_by).where(token.c.service_account == requester)
    found = {requester, *tx.connection.execute(issuers).scalars()}
    for row in tx.connection.execute(owner):
        found |= {row.owner, row.created_by}
    return frozenset(found) | _owners_before(tx, requester)


def owners_of(tx: ReadTransaction, requester: str) -> list[str]:
    """The person themselves, or who answers for the program: with them ends what they asked for."""
    owner = select(service_account.c.owner).where(service_account.c.id == requester)
    return [requester, *tx.connection.execute(owner).scalars()]


def why_not(tx: ReadTransaction, requester: str, other: accounts.Account, named: Collection[str] = ()) -> str:
    """Why `other` may not decide what `requester` asks for; nothing when they may. `named`: ids in what is asked."""
    hands = hands_of(tx, requester)
    if other.id in hands:
        return words("This is your own request, or that of a program of yours.")
    if other.id in named or _owns(tx, other.id, named):
        return words("This is about you: somebody else has to decide it.")
    boxes = {mailbox(person.email) for person in accounts.people(tx, sorted(hands))}
    if mailbox(other.email) in boxes:
        return words("Your account and that of the person who asks have the same mailbox.")
    appointed = select(grant.c.id).where(grant.c.account == other.id, grant.c.granted_by.in_(hands)).limit(1)
    if tx.connection.execute(appointed).first() is not None or _invited(tx, hands, other.id):
        return words("The person who asks invited you or gave you a role.")
    if _handled(tx, hands, other.id):
        return words("The person who asks changed how you sign in.")
    return ""


def eligible(
    tx: ReadTransaction, roles: Collection[Role], requester: str, named: Collection[str], now: datetime
) -> list[accounts.Account]:
    """Everybody who may decide: an open account with second factor, such a role of their own, and independent."""
    return [
        person
        for person in accounts.team(tx)
        if can_decide(tx, roles, person, now) and not why_not(tx, requester, person, named)
    ]


def can_decide(tx: ReadTransaction, roles: Collection[Role], person: accounts.Account, now: datetime) -> bool:
    """Whether this person holds one of the roles themselves now; what a task lends does not count."""
    if not person.team or person.state != "active" or not person.second_factor:
        return False
    return bool(roles_of(tx.connection, person.id, now) & set(roles))


def mailbox(address: str) -> str:
    """An address without what only labels it: case, and the detail after a plus (RFC 5233)."""
    local, _, domain = address.strip().casefold().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def ids_in(value: Any) -> Iterator[str]:
    """Every text within plain values, where an id may stand."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from ids_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from ids_in(item)


def _owners_before(tx: ReadTransaction, program: str) -> frozenset[str]:
    """Who handed the program over may still run it."""
    if not program.startswith("svc_"):
        return frozenset()
    wanted = ledger.Search(action="access.hand_over_service_account", object=program, outcome="success")
    found = ledger.search(tx.connection, wanted, limit=ledger.LARGEST_PAGE).found
    return frozenset(str(item.event.details.get("from", "")) for item in found)


def _owns(tx: ReadTransaction, account: str, named: Collection[str]) -> bool:
    """Whether what is asked for is about a program of theirs, or a token or grant of theirs."""
    ids = [item for item in named if item.startswith(("svc_", "tok_", "grt_"))]
    if not ids:
        return False
    programs = select(service_account.c.id).where(
        service_account.c.owner == account,
        or_(
            service_account.c.id.in_(ids),
            service_account.c.id.in_(select(token.c.service_account).where(token.c.id.in_(ids))),
        ),
    )
    grants = select(grant.c.id).where(grant.c.account == account, grant.c.id.in_(ids))
    return any(tx.connection.execute(found.limit(1)).first() is not None for found in (programs, grants))


def _invited(tx: ReadTransaction, hands: Collection[str], account: str) -> bool:
    """Whether one of `hands` made the other's account, by what the log says."""
    return any(
        ledger.search(tx.connection, ledger.Search(actor=hand, subject=account, action=name, outcome="success")).found
        for hand in sorted(hands)
        for name in INVITATIONS
    )


def _handled(tx: ReadTransaction, hands: Collection[str], account: str) -> bool:
    """Whether one of `hands` changed the other's account (made it, reset how they sign in), by what the log says."""
    for hand in sorted(hands):
        wanted, after = ledger.Search(actor=hand, subject=account, action="identity.", outcome="success"), None
        while True:
            page = ledger.search(tx.connection, wanted, after=after, limit=ledger.LARGEST_PAGE)
            for item in page.found:
                operation = catalogue.named(item.event.action)
                if operation is not None and operation.changes:
                    return True
            if page.next is None:
                break
            after = page.next
    return False
