"""What takes two people by its kind, and what stands beside it for a reason.

The live check and a test hold the registry to it: an operation whose name says one of these kinds asks for approval, or
its reason stands here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from subscription_services.kernel.needs import ApprovalsNeeded
from subscription_services.kernel.operations import Operation

KINDS = {
    "deployment": re.compile("deploy|release"),
    "data export": re.compile("export|unmask|dump"),
    "restore": re.compile("restore|adopt"),
    "key destruction": re.compile("destroy|discard|root"),
    "role changes": re.compile("role|grant|elevat"),
    "policy changes": re.compile("rule|restrict|polic|hold"),
}
"""By the words in names of operations."""

ALONE = {
    "access.end_deployment": "takes a permit away; only what starts later is kept from it",
    "access.export_log": "addresses and personal fields stay sealed in it: it shows what the page of the log shows",
    "access.delete_log_export": "destroys the copy that was made, never the log",
    "access.record_export_part": "the service itself, for an export that was allowed",
    "access.end_lapsed_grant": "writes down what time has ended already",
    "access.narrow_role": "takes power away; giving it back asks",
    "access.unmask": "one person at a time, by a role whose task needs it, with a reason that this person reads",
    "access.end_grant": "takes power away, and waiting would keep it with who should lose it",
    "access.confirm_role": "keeps what two people gave; itself done by somebody independent of the holder",
    "access.grant_task": "done by somebody independent of the asker: that is the second person; ends by itself",
    "access.end_task_rule": "takes power away",
    "access.agree_to_restore": "is the second person's part of restore_lost_keys",
    "access.restore_lost_keys": "nothing can be served without keys: the second person agrees at the terminal",
    "keys.record_restore": "the service itself, for a restore that was allowed",
    "ledger.adopt": "approvals are looked up in the log, which is what is in doubt then; all of it is verified first",
    "ledger.hold": "keeps more, never less",
    "ledger.release": "only by another person than who placed the hold",
}
"""Changes of these kinds that ask for no approval, and why that is right."""


def kind_of(operation: Operation) -> str:
    """The kind of what takes two people; empty for everything else. Looking is no such kind: nothing changes by it."""
    if not operation.changes:
        return ""
    verb = operation.name.partition(".")[2]
    return next((kind for kind, words in KINDS.items() if words.search(verb)), "")


def lacking(operations: Iterable[Operation]) -> list[str]:
    """Names of operations that should ask for approval by their kind, and do not."""
    return sorted(item.name for item in operations if kind_of(item) and item.name not in ALONE and not _asks(item))


def _asks(operation: Operation) -> bool:
    return any(isinstance(need, ApprovalsNeeded) for need in operation.needs)
