"""`subs database`: what has to be done in PostgreSQL itself, by whoever administers it."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from subscription_services.kernel.errors import Invalid

database_cli = typer.Typer(no_args_is_help=True, help="What is done in PostgreSQL itself.")
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
APPROVAL = "access_approval"
INSERTS = ("jobs_job", "ledger_event", "ledger_writer", "kernel_idempotency")
"""Where the transaction of an approval writes beside the approval itself: letters, its event, the answer."""
UPDATES = {
    "ledger_writer": "counter, mac",
    "identity_passkey": "sign_count, backed_up, last_used_at",
    # what only lets it hold a row until its commit: a row with another code is one that nobody believes
    "access_approval_request": "mac",
    "access_task": "mac",
}


@database_cli.command("approvals-role")
def approvals_role(
    application: Annotated[str, typer.Option(help="The role in SUBS_DATABASE.")] = "subs",
    approvals: Annotated[str, typer.Option(help="The role that alone may write approvals.")] = "subs_approvals",
) -> None:
    """Print the SQL that lets one role alone write approvals. A superuser runs it in the service's database, once.

    Make the role first (CREATE ROLE ... LOGIN PASSWORD ...), migrate first, and put its URL into
    SUBS_APPROVALS_DATABASE. The service's role must be neither superuser nor owner of the database. Run it again after
    an update: it can be repeated.
    """
    print("\n".join(statements(application, approvals)))


def statements(application: str, approvals: str) -> list[str]:
    """The SQL for these roles. Raises Invalid for a name that would need quoting."""
    for name in (application, approvals):
        if not NAME.fullmatch(name):
            raise Invalid(f"{name!r} is not a plain name of a role.")
    return [
        "BEGIN;",
        # owned by neither: an owner could always give itself everything again
        f"ALTER TABLE {APPROVAL} OWNER TO CURRENT_USER;",
        f"REVOKE ALL ON {APPROVAL} FROM PUBLIC, {application}, {approvals};",
        # REFERENCES for the foreign key of what voids an approval
        f"GRANT SELECT, REFERENCES ON {APPROVAL} TO {application};",
        f"GRANT USAGE ON SCHEMA public TO {approvals};",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {approvals};",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {application} IN SCHEMA public GRANT SELECT ON TABLES TO {approvals};",
        f"GRANT INSERT ON {APPROVAL} TO {approvals};",
        *(f"GRANT INSERT ON {table} TO {approvals};" for table in INSERTS),
        *(f"GRANT UPDATE ({columns}) ON {table} TO {approvals};" for table, columns in UPDATES.items()),
        "COMMIT;",
    ]
