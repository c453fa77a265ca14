"""Who decides in a review: administrators and security, each about others."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select

from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.kernel.words import words

from . import accounts
from .independence import can_decide, mailbox
from .model import token
from .review_facts import Facts, Kind
from .review_policy import REVIEWERS


def reviewers(tx: ReadTransaction, now: datetime) -> list[accounts.Account]:
    """Everybody who decides in reviews now."""
    return [person for person in accounts.team(tx) if can_decide(tx, REVIEWERS, person, now)]


def objection(tx: ReadTransaction, facts: Facts, me: accounts.Account) -> str:
    """Why `me` may not decide about this; nothing when they may.

    Unlike with approvals, whom somebody appointed may decide about them: in a small team everybody was appointed by one
    person, whose own role would lapse otherwise, and taking power away is no favour to return."""
    hands = {facts.account}
    if facts.kind is Kind.PROGRAM:
        issued = select(token.c.issued_by).where(token.c.service_account == facts.object)
        hands |= {facts.granted_by, *tx.connection.execute(issued).scalars()}
    if me.id in hands:
        if facts.kind is Kind.PERSON:
            return words("This is your own role: somebody else has to decide about it.")
        return words("You own this program, made it, or gave it a token: somebody else has to decide about it.")
    if mailbox(me.email) in {mailbox(person.email) for person in accounts.people(tx, sorted(hands))}:
        return words("Your account and that of this person have the same mailbox.")
    return ""


def somebody_can(tx: ReadTransaction, items: Collection[Facts], now: datetime) -> bool:
    """Whether there is anybody who may decide at least one of these."""
    able = reviewers(tx, now)
    return any(not objection(tx, facts, person) for facts in items for person in able)
