"""The log as auditors read it: searched page by page, and every look at it is in it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from subscription_services.kernel.actors import Role, ServiceAccount
from subscription_services.kernel.context import Context
from subscription_services.kernel.events import Detail, Event, Outcome
from subscription_services.kernel.operations import Seen, operation
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.ledger import queries as ledger

# ids and names of operations only: what is searched for is recorded, and an address must not get into the log that way
Text = Annotated[str, Meta(max_length=120, pattern=r"^[A-Za-z0-9_.:-]*$")]


class SearchLog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Empty fields do not matter. `since` is included, `until` is not; `after` is the `next` of the page before.

    `action` is the name of an operation, or of a room with a dot at its end.
    """

    actor: Text = ""
    subject: Text = ""
    action: Text = ""
    object: Text = ""
    outcome: Outcome | None = None
    correlation: Text = ""
    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None
    after: Text = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class LogEntry(msgspec.Struct, frozen=True):
    """An event without its sealed personal fields; `log_index` is its place in the signed tree, once it has one."""

    id: str
    at: datetime
    action: str
    outcome: Outcome
    reason: str
    actor_kind: str
    actor: str
    session: str
    object_kind: str
    object: str
    subject: str
    count: int
    details: dict[str, Detail]
    correlation: str
    log_index: int | None


class LogPage(msgspec.Struct, frozen=True):
    """Newest first; `next` leads to older entries, null at the end."""

    entries: list[LogEntry]
    next: str | None


@operation("access.audit_log", by=[Role.AUDITOR, Role.SECURITY, Role.ADMINISTRATOR, ServiceAccount.scoped])
def audit_log(tx: ReadTransaction, ctx: Context, request: SearchLog) -> Seen[LogPage]:
    """Search the log by actor, person concerned, operation, object, outcome, time and correlation."""
    wanted = ledger.Search(
        actor=request.actor, subject=request.subject, action=request.action, object=request.object,
        outcome=request.outcome.value if request.outcome else "", correlation=request.correlation,
        since=request.since, until=request.until,
    )  # fmt: skip
    page = ledger.search(tx.connection, wanted, after=request.after or None, limit=request.limit)
    answer = LogPage([_entry(found.event, found.log_index) for found in page.found], page.next)
    return Seen(answer, subject=request.subject, details=_asked(request))


def _asked(request: SearchLog) -> dict[str, Detail]:
    """What was searched for, which is what a reader of readers asks first. Ids and names of operations only."""
    asked = msgspec.to_builtins(request)
    return {name: value for name, value in asked.items() if name not in ("limit", "after") and value}


def _entry(event: Event, log_index: int | None) -> LogEntry:
    return LogEntry(
        id=event.id, at=event.at, action=event.action, outcome=event.outcome, reason=event.reason,
        actor_kind=event.actor_kind, actor=event.actor, session=event.session, object_kind=event.object_kind,
        object=event.object, subject=event.subject, count=event.count, details=dict(event.details),
        correlation=event.correlation, log_index=log_index,
    )  # fmt: skip
