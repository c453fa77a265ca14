"""What the log says of tasks and approvals, held against what is stored. Each check says what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, func, or_, select

from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.events import Event
from subscription_services.kernel.needs import ApprovalsNeeded
from subscription_services.kernel.operations import Registry
from subscription_services.kernel.settings import HouseSettings
from subscription_services.ledger import queries as ledger

from .approval_model import End, Way, approval
from .approval_model import request as asked
from .duties import lacking
from .elevation_probe import lent_access_ends
from .glass_checks import glass_is_reviewed
from .settings import LONG_ENOUGH, in_force
from .task_model import task

PERIOD = timedelta(days=30)
EVERY = timedelta(hours=1)


def grant_checks() -> list[Check]:
    """Of tasks and of approvals."""
    return [
        Check(
            "access.elevation",
            "A probe of the service's own is lent one look for minutes, uses it in two sessions and loses it when "
            "it is closed or taken back: both must be refused at once. For every task of the last 30 days that has "
            "ended, the log is searched for anything that was done under "
            "it after its end: there must be nothing. Every time that the glass was broken must stand with its code, "
            "and its review be closed in time, by what the log says.",
            _tasks_end,
            EVERY,
        ),
        Check(
            "access.duties",
            "Everything of the last 30 days that takes several people is looked up in the log: each must name a "
            "request for approval of its own, approved by as many others as its policy names, or one that waited "
            "because there was nobody else. Outside a sandbox such a wait must be at least an hour. On PostgreSQL it "
            "is said whether the application's own database role could write approvals.",
            _several_agreed,
            EVERY,
        ),
    ]


async def _tasks_end(doors: Doors) -> Finding:
    now, keys = doors.kernel.clock(), doors.kernel.keys.for_caller("access")

    def look(connection: Connection) -> Finding:
        ended, reviewed = tasks_end(connection, now), glass_is_reviewed(connection, keys, now)
        if Verdict.BROKEN in (ended.verdict, reviewed.verdict):
            return ended if ended.verdict is Verdict.BROKEN else reviewed
        return Finding(ended.verdict, ended.says, {**ended.evidence, **reviewed.evidence})

    stored = await doors.kernel.store.read(look)
    if stored.verdict is not Verdict.KEPT:
        return stored
    probed = await lent_access_ends(doors)
    return Finding(probed.verdict, probed.says, {**stored.evidence, **probed.evidence})


async def _several_agreed(doors: Doors) -> Finding:
    kernel = doors.kernel
    if forgotten := lacking(kernel.registry):
        return Finding(Verdict.BROKEN, "Something that takes several people asks nobody.", {"operation": forgotten[0]})
    if not doors.settings.of(HouseSettings).sandbox and in_force().alone_seconds < LONG_ENOUGH:
        says = "Where there is nobody to ask, what takes several people waits too short for anybody to stop it."
        return Finding(Verdict.BROKEN, says, {"seconds": in_force().alone_seconds})

    def look(connection: Connection) -> Finding:
        found = several_agreed(connection, kernel.registry, kernel.clock())
        return Finding(found.verdict, found.says, {**found.evidence, "written_by": written_by(connection)})

    return await kernel.store.read(look)


def written_by(connection: Connection) -> str:
    """Who can write approvals, by what the database itself says."""
    if connection.dialect.name != "postgresql":
        return "the service, whose process alone has the key of the store"
    may = select(func.has_table_privilege(approval.name, "INSERT, UPDATE, DELETE"))
    return "the service's database role" if connection.execute(may).scalar_one() else "a database role of its own"


def tasks_end(connection: Connection, now: datetime) -> Finding:
    """Nothing was done under a task after its end."""
    over = select(task).where(
        task.c.granted_at.is_not(None), task.c.asked_at > now - PERIOD,
        or_(task.c.ended_at.is_not(None), task.c.ends_at <= now),
    )  # fmt: skip
    rows = connection.execute(over).all()
    for row in rows:
        end = row.ends_at if row.ended_at is None else min(row.ended_at, row.ends_at)
        # an event has the moment of its request, which may be that of the end itself
        wanted = ledger.Search(actor=row.account, since=end + timedelta(microseconds=1), outcome="success")
        if any(event.details.get("task") == row.id for event in _events(connection, wanted)):
            return Finding(Verdict.BROKEN, "Something was done under a task after its end.", {"task": row.id})
    return Finding(Verdict.KEPT, "Nothing was done under a task after its end.", {"tasks": len(rows)})


def several_agreed(connection: Connection, registry: Registry, now: datetime) -> Finding:
    """Whatever takes several people was agreed to by them, each time anew."""
    used: set[str] = set()
    runs = 0
    for item in registry:
        if not any(isinstance(need, ApprovalsNeeded) for need in item.needs):
            continue
        for event in _events(connection, ledger.Search(action=item.name, outcome="success", since=now - PERIOD)):
            runs += 1
            found = str(event.details.get("approval", ""))
            row = connection.execute(select(asked).where(asked.c.id == found)).one_or_none()
            if found in used or row is None or not _agreed(connection, row, event):
                says = "Something that takes several people was done without them."
                return Finding(Verdict.BROKEN, says, {"operation": item.name, "event": event.id})
            used.add(found)
    return Finding(Verdict.KEPT, "Whatever takes several people was agreed to by them.", {"runs": runs})


def _agreed(connection: Connection, row: Row[tuple[object, ...]], event: Event) -> bool:
    request = row._mapping
    if (request["operation"], request["requester"], request["outcome"]) != (event.action, event.actor, End.USED):
        return False
    others = select(func.count()).where(approval.c.request == request["id"], approval.c.approver != event.actor)
    return request["way"] == Way.ALONE or int(connection.execute(others).scalar_one()) >= int(request["needed"])


def _events(connection: Connection, wanted: ledger.Search) -> Iterator[Event]:
    after: str | None = None
    while True:
        page = ledger.search(connection, wanted, after=after, limit=ledger.LARGEST_PAGE)
        yield from (item.event for item in page.found)
        if page.next is None:
            return
        after = page.next
