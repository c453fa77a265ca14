"""Who an invoice is made out to, and where letters about it go."""

from __future__ import annotations

from subscription_services import identity
from subscription_services.kernel.errors import SubjectErased
from subscription_services.kernel.transaction import ReadTransaction

from .queries import details_of


def contact_of(tx: ReadTransaction, account: str) -> tuple[str, str] | None:
    """E-mail address and name of an account; None once it is closed or erased."""
    try:
        return identity.contact_of(tx, account)
    except SubjectErased:
        return None


def buyer_of(tx: ReadTransaction, account: str) -> str:
    """Name, address and e-mail in lines: what accounting keeps even after the account is erased."""
    email, name = contact_of(tx, account) or ("", "")
    return "\n".join(part for part in (details_of(tx, account) or name, email) if part)
