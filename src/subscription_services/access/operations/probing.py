"""What the live check of elevation needs: a task of the service's own, for its probe account and one harmless look."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from subscription_services.access import accounts, row_codes
from subscription_services.access.errors import NotATeamMember
from subscription_services.access.task_model import TaskEnd, task
from subscription_services.access.tasks import About, Task, change_row, holder_of, one, open_task_row
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.operations import Change, SystemOnly, operation
from subscription_services.kernel.transaction import Transaction
from subscription_services.storage.rows import insert_row

from .people import Id
from .tasks import OneTask, task_rules

LENT = task_rules.name
"""The rules by which tasks are granted: every role may read them, and they name nobody but who made them."""
FOR = timedelta(minutes=5)
_WHY = "live checks ask for a task, use it and lose it as people do"


class LendToProbe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: Id


@operation("access.lend_to_probe", by=[SystemOnly(_WHY)])
def lend_to_probe(tx: Transaction, ctx: Context, request: LendToProbe) -> Change[Task]:
    """Lend a probe account one look for some minutes. No account of a person is lent anything by this."""
    if not accounts.is_probe(tx, request.account):
        raise NotATeamMember()
    values: dict[str, Any] = {
        "id": ctx.ids.new("tsk"), "account": request.account, "about_kind": About.OTHER.value, "about": "",
        "role": Role.AUDITOR.value, "operations": msgspec.json.encode([LENT]).decode(), "asked_at": ctx.now,
        "ends_at": ctx.now + FOR, "granted_at": ctx.now, "granted_by": ctx.actor.id,
    }  # fmt: skip
    tx.keys.ensure_subject(request.account)
    mac = row_codes.code_of(tx.keys, task.name, row_codes.TASK, values)
    insert_row(tx, task, {**values, "title": "Live check", "mac": mac})
    return Change(None, one(tx, ctx, values["id"]), subject=request.account, details={"operations": [LENT]})


@operation("access.take_from_probe", by=[SystemOnly(_WHY)], subject=holder_of)
def take_from_probe(tx: Transaction, ctx: Context, request: OneTask) -> Change[Task]:
    """End a task of a probe account, as somebody who decides about tasks would."""
    row = open_task_row(tx, ctx, request.id)
    if not accounts.is_probe(tx, row.account):
        raise NotATeamMember()
    change_row(tx, row, {"ended_at": ctx.now, "ended_by": ctx.actor.id, "outcome": TaskEnd.REVOKED})
    return Change(None, one(tx, ctx, row.id), subject=row.account)


OPERATIONS = (lend_to_probe, take_from_probe)
