"""Whether what a transaction reads has to be held until it commits.

The embedded store has one writer at a time: what a transaction that writes has read cannot change beside it. On
PostgreSQL it can, so whatever permission rests on is read with a lock there. Readers hold nothing, on either.
"""

from __future__ import annotations

from sqlalchemy import Connection

HOLDS = "holds_what_it_rests_on"


def holds(connection: Connection) -> bool:
    """Whether others write beside this transaction, which writes as well."""
    return bool(connection.get_execution_options().get(HOLDS))
