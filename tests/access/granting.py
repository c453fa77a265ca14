"""Operations of a house for tests of approvals and tasks, and a passkey made of software."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from subscription_services.access import claims_of
from subscription_services.identity.sessions import open_session
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Role, ServiceAccount, System, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.needs import ApprovalsNeeded, OpenTask, approvals
from subscription_services.kernel.operations import Change, Prepared, Seen, operation
from subscription_services.kernel.personal import ColleagueEmail
from subscription_services.kernel.transaction import BoundOutbox, Reading, ReadTransaction, Transaction
from subscription_services.mail import SendLetter
from subscription_services.testing import World
from subscription_services.testing.people import sign_up_team_member

house = MetaData()
thing = Table("access_test_thing", house, Column("id", String(48), primary_key=True), Column("version", Integer))
run = Table("access_test_run", house, Column("id", Integer, primary_key=True), Column("number", Integer))
BOOM = "boom"


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    id: str = "thing"
    email: ColleagueEmail = ""
    note: str = ""


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: str


def version_of(tx: ReadTransaction, ctx: Context, request: Release) -> bytes:
    found = tx.connection.execute(select(thing.c.version).where(thing.c.id == request.id)).scalar()
    return str(found).encode()


OWNERS = [Role.SECURITY, Role.ADMINISTRATOR, ServiceAccount.scoped]


@operation("access.test_release", by=OWNERS, needs=[approvals(1)], concerns=version_of)
def release(tx: Transaction, ctx: Context, request: Release) -> Change[Release]:
    """Release something, which takes somebody else."""
    tx.connection.execute(insert(run), {"number": request.number})
    if request.note == BOOM and tx.connection.execute(select(thing).where(thing.c.id == BOOM)).first() is None:
        raise RuntimeError("the power went out")
    return Change(None, request, object="release")


@operation("access.test_two", by=[Role.SECURITY], needs=[approvals(2, (Role.ADMINISTRATOR, Role.SECURITY))])
def two(tx: Transaction, ctx: Context, request: Release) -> Change[Release]:
    """Something that takes two others."""
    return Change(None, request)


@operation("access.test_none", by=[Role.SECURITY], needs=[ApprovalsNeeded(0)])
def none(tx: Transaction, ctx: Context, request: Release) -> Change[Release]:
    """Something whose policy asks for nobody."""
    return Change(None, request)


@operation("access.test_twice", by=[Role.SECURITY], needs=[approvals(1), approvals(1)])
def twice(tx: Transaction, ctx: Context, request: Release) -> Change[Release]:
    """Something with two policies."""
    return Change(None, request)


@operation("access.test_power", by=[Role.SECURITY], needs=[approvals(1)])
def power(tx: Transaction, ctx: Context, request: About) -> Change[About]:
    """Something that gives somebody power."""
    return Change(None, request, subject=request.account)


@dataclass
class Gate:
    """What is done while a request is under way, before its transaction."""

    meanwhile: list[str] = field(default_factory=list)
    hook: object = None


GATE = Gate()


def _pass(reading: Reading, ctx: Context, request: About) -> None:
    if callable(GATE.hook):
        GATE.hook()


@operation("access.test_lent", by=[Role.BILLING], prepare=Prepared(_pass))
def lent(tx: Transaction, ctx: Context, request: About, passed: None) -> Change[About]:
    """Something of billing, about a person."""
    return Change(None, request, subject=request.account)


@operation("access.test_look", by=[Role.BILLING])
def look(tx: ReadTransaction, ctx: Context, request: About) -> Seen[About]:
    """A look of billing at a person."""
    return Seen(request, subject=request.account)


@operation("access.test_gated", by=[Role.BILLING], needs=[OpenTask("access.test_gated")])
def gated(tx: Transaction, ctx: Context, request: About) -> Change[About]:
    """Something of billing that needs a task even for who holds the role."""
    return Change(None, request)


OPERATIONS = (release, two, none, twice, power, lent, look, gated)


def furnish(world: World) -> None:
    """The tables of these operations."""
    house.create_all(world.house.store.write_engine)
    world.write(lambda connection: connection.execute(insert(thing), {"id": "thing", "version": 1}))


def runs(world: World) -> int:
    """How often something was released."""
    with world.house.store.reading() as connection:
        return len(connection.execute(select(run)).all())


def letters(house: World, name: str) -> list[SendLetter]:
    """The letters of this name that wait to be sent, or were."""
    with house.house.store.reading() as connection:
        rows = connection.execute(job.select().where(job.c.kind == "mail.send")).all()
    found = [msgspec.json.decode(row.payload, type=SendLetter) for row in rows]
    return [item for item in found if item.letter == name]


def with_tasks(world: World, member: TeamMember) -> TeamMember:
    """The member as the edge would make them now, with what their tasks lend."""
    keys = world.house.ring.for_caller("access")
    with world.house.store.reading() as connection:
        claims = claims_of(connection, keys, member.id, world.clock())
    return replace(member, roles=claims.roles, tasks=claims.tasks)


def signed_in_again(house: World, member: TeamMember) -> dict[str, Any]:
    """A new session, since a day has gone by."""
    ctx = house.house.kernel.context(System("testing"))

    def lay(connection: Any) -> str:
        outbox = BoundOutbox(connection, house.house.outbox, ctx.now)
        tx = Transaction(connection, house.house.ring.for_caller("identity"), outbox)
        return open_session(tx, ctx, member.id, second_factor=True)[0]

    return {"session": house.write(lay), "signed_in_at": house.clock()}


def people_with(house: World, email: str, *roles: Role) -> TeamMember:
    return sign_up_team_member(house, email, frozenset(roles))
