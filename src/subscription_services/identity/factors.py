"""Taking every second factor from an account, in one place."""

from __future__ import annotations

from sqlalchemy import delete

from subscription_services.kernel.transaction import Transaction

from . import model

TABLES = (model.recovery_code, model.totp)
"""Every table that holds a second factor; what is added here goes with the others."""


def remove_factors(tx: Transaction, account: str) -> None:
    """Remove every second factor of the account: keys of apps and recovery codes."""
    for table in TABLES:
        tx.connection.execute(delete(table).where(table.c.account == account))
