"""What the log remembers where a row says otherwise: with the database an old row can be put back, code and all."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from subscription_services.ledger import queries as ledger

_TASK_ENDS = ("access.close_task", "access.revoke_task", "access.refuse_task")
_RENAMED_OR_LEFT = "access.scim_update_user"
_LEAVING = ("access.deactivate_leaver", "access.scim_delete_user", _RENAMED_OR_LEFT)


def task_ended(connection: Connection, task: str, since: datetime) -> bool:
    """Whether somebody ended this task."""
    found = ledger.search(connection, ledger.Search(object=task, outcome="success", since=since), limit=100).found
    return any(item.event.action in _TASK_ENDS for item in found)


def has_left(connection: Connection, account: str, since: datetime) -> bool:
    """Whether this person was deactivated since then, by whichever door."""
    for action in _LEAVING:
        wanted = ledger.Search(action=action, object=account, outcome="success", since=since)
        for item in ledger.search(connection, wanted, limit=100).found:
            if action != _RENAMED_OR_LEFT or item.event.details.get("deactivated"):
                return True
    return False
