"""The log as auditors read it: searched page by page, and every look at it is in it."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address
from typing import Annotated

import msgspec
from msgspec import Meta

from subscription_services.kernel.actors import Role, ServiceAccount
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Invalid
from subscription_services.kernel.events import Detail, Event, Outcome
from subscription_services.kernel.operations import Seen, operation
from subscription_services.kernel.personal import FieldKind, NotPersonal, Personal
from subscription_services.kernel.probing import ADDRESS
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.ledger import queries as ledger
from subscription_services.ledger.errors import NotSequenced

# ids and names of operations only: what is searched for is recorded, and an address must not get into the log that way
Text = Annotated[str, Meta(max_length=120, pattern=r"^[A-Za-z0-9_.:-]*$")]
Action = Annotated[str, Meta(max_length=120, pattern=r"^[A-Za-z0-9_.:-]*\*?$")]
READERS = (Role.AUDITOR, Role.SECURITY, Role.ADMINISTRATOR, ServiceAccount.scoped)


class SearchLog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Empty fields do not matter. `since` is included, `until` is not; `after` is the `next` of the page before.

    `action` is the name of an operation, or of a room with a dot at its end, or the beginning of a name with an
    asterisk. `origin` is what `access.find_origin` answers for an address. `without_live_checks` leaves out what the
    service's own checks of its promises tried.
    """

    actor: Text = ""
    subject: Text = ""
    action: Action = ""
    object: Text = ""
    outcome: Outcome | None = None
    origin: Text = ""
    correlation: Text = ""
    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None
    after: Text = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    without_live_checks: bool = False


class LogEntry(msgspec.Struct, frozen=True):
    """An event without its sealed personal fields; `log_index` is its place in the signed tree, once it has one."""

    id: str
    at: datetime
    action: str
    outcome: Outcome
    reason: Annotated[str, NotPersonal("a code of ours, never somebody's words")]
    actor_kind: str
    actor: str
    session: str
    object_kind: str
    object: str
    subject: str
    count: int
    details: Annotated[dict[str, Detail], Personal(FieldKind.TEXT)]
    correlation: str
    origin: str
    log_index: int | None


class ReadEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(max_length=48, pattern=r"^[a-z0-9_]+$")]


class ProvedEntry(msgspec.Struct, frozen=True):
    """`leaf` is the entry exactly as it was hashed. `proof` is C2SP tlog-proof, empty while the entry waits for its
    place in the signed tree, which takes a second."""

    entry: LogEntry
    leaf: str
    proof: str
    tree_size: int


class FindOrigin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    address: Annotated[str, Meta(min_length=2, max_length=64)]


class FoundOrigin(msgspec.Struct, frozen=True):
    """The keyed index of an address: says nothing of it to anybody without the key."""

    origin: str


class LogPage(msgspec.Struct, frozen=True):
    """Newest first; `next` leads to older entries, null at the end."""

    entries: list[LogEntry]
    next: str | None


@operation("access.audit_log", by=READERS)
def audit_log(tx: ReadTransaction, ctx: Context, request: SearchLog) -> Seen[LogPage]:
    """Search the log by actor, person concerned, operation, object, outcome, origin, time and correlation."""
    wanted = ledger.Search(
        actor=request.actor, subject=request.subject, action=request.action, object=request.object,
        outcome=request.outcome.value if request.outcome else "", correlation=request.correlation,
        origin_index=request.origin, since=request.since, until=request.until,
        not_origin=ledger.origin_index(tx.keys, ADDRESS) if request.without_live_checks else "",
    )  # fmt: skip
    page = ledger.search(tx.connection, wanted, after=request.after or None, limit=request.limit)
    answer = LogPage([entry_of(found.event, found.log_index) for found in page.found], page.next)
    return Seen(answer, subject=request.subject, details=_asked(request))


@operation("access.log_entry", by=READERS)
def log_entry(tx: ReadTransaction, ctx: Context, request: ReadEntry) -> Seen[ProvedEntry]:
    """One entry of the log with the proof that the signed tree holds it.

    Raises NotFound."""
    found = ledger.find_event(tx.connection, request.id)
    entry = entry_of(found.event, found.log_index)
    subject = found.event.subject
    try:
        proved = ledger.prove_inclusion(tx.connection, request.id)
    except NotSequenced:
        leaf = ledger.leaf_of(tx.connection, request.id).decode()
        return Seen(ProvedEntry(entry, leaf, "", 0), object=request.id, subject=subject)
    answer = ProvedEntry(entry, proved.entry.decode(), ledger.proof_text(proved).decode(), proved.size)
    return Seen(answer, object=request.id, subject=subject)


@operation("access.find_origin", by=READERS)
def find_origin(tx: ReadTransaction, ctx: Context, request: FindOrigin) -> Seen[FoundOrigin]:
    """The index under which events from an address are found; the log keeps the index alone.

    Raises Invalid."""
    try:
        address = str(ip_address(request.address.strip()))
    except ValueError:
        raise Invalid(fields={"address": "Enter an IP address, such as 192.0.2.7."}) from None
    index = ledger.origin_index(tx.keys, address)
    return Seen(FoundOrigin(index), details={"origin": index})


def _asked(request: SearchLog) -> dict[str, Detail]:
    """What was searched for, which is what a reader of readers asks first. Ids and names of operations only."""
    asked = msgspec.to_builtins(request)
    return {name: value for name, value in asked.items() if name not in ("limit", "after") and value}


def entry_of(event: Event, log_index: int | None) -> LogEntry:
    return LogEntry(
        id=event.id, at=event.at, action=event.action, outcome=event.outcome, reason=event.reason,
        actor_kind=event.actor_kind, actor=event.actor, session=event.session, object_kind=event.object_kind,
        object=event.object, subject=event.subject, count=event.count, details=dict(event.details),
        correlation=event.correlation, origin=event.origin_index, log_index=log_index,
    )  # fmt: skip
