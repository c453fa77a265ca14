"""Who an invoice is made out to, and where letters about it go."""

from __future__ import annotations

from subscription_services import identity
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.transaction import ReadTransaction

from .queries import details_of


def account_of(tx: ReadTransaction, account: str) -> identity.AccountFacts:
    """The account with its name and e-mail address. Raises NotFound, SubjectErased."""
    for facts in identity.accounts(tx, [account]):
        return facts
    raise NotFound()


def buyer_of(tx: ReadTransaction, account: str) -> str:
    """Name, address and e-mail in lines: what accounting keeps even after the account is erased."""
    facts = account_of(tx, account)
    return "\n".join(part for part in (details_of(tx, account) or facts.name, facts.email) if part)
