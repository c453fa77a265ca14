"""What deciding costs a request, with ten, a thousand and a hundred thousand grants in the store, against the same
request with nothing decided; and one decision against Cedar's engine.

Requests are those of a team member: a read and a change through perform(), and a read over the API through the whole
application with its edge (called as the web server calls it). The baseline is the same code in the same run with the
decision taken out: nothing about roles, tasks and limits is read, everything is allowed; who asks is found out in both.
Counted is processor time of the whole process, so that other programs on the machine disturb little; what it waits for
the disk is not in it, which makes the decision look dearer than it is.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from msgspec.structs import replace
from sqlalchemy import func, insert, select, update

from bench.measure import Ratio, compare, from_pairs, rate
from subscription_services import access, front
from subscription_services.access import authority
from subscription_services.access.model import grant
from subscription_services.identity.model import session
from subscription_services.identity.tokens import digest
from subscription_services.kernel import authorise
from subscription_services.kernel import perform as performing
from subscription_services.kernel.actors import Role, Standing, TeamMember
from subscription_services.kernel.authorise import permit
from subscription_services.kernel.context import Context
from subscription_services.kernel.operations import Change, Operation, Seen, operation
from subscription_services.kernel.perform import perform
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.testing import World, prepared_template
from subscription_services.testing.people import AGES
from tests.storage.sample import Nothing, Number, sample

SIZES = (10, 1_000, 100_000)
COUNT = 200
ROUNDS = 25
CALLERS = 16
TOKEN = "a token of the bench"
DECISIONS = 20_000


@operation("kernel.bench_keep", by=[Role.SUPPORT])
def keep(tx: Transaction, ctx: Context, request: Number) -> Change[Number]:
    """Keep a number."""
    identifier = ctx.ids.new("num")
    tx.connection.execute(insert(sample), {"id": identifier, "number": request.number})
    return Change(None, Number(request.number, identifier))


@operation("kernel.bench_look", by=[Role.SUPPORT])
def look(tx: ReadTransaction, ctx: Context, request: Nothing) -> Seen[int]:
    """Look at one number."""
    return Seen(int(tx.connection.execute(select(func.max(sample.c.id))).scalar() is not None))


def run() -> list[Ratio]:
    """SQLCipher; the hot path is the same statements on PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
        prepared_template(Path(folder))
        with World.open(Path(folder), more=(keep, look)) as world:
            sample.metadata.create_all(world.house.store.write_engine)
            member = world.team(Role.SUPPORT)
            hold = update(session).where(session.c.id == member.session).values(digest=digest(TOKEN))
            world.write(lambda connection: connection.execute(hold))
            found, laid, flat = [], 0, dict[str, list[float]]()
            for size in SIZES:
                _lay(world, laid, size)
                laid = size
                for name, work in _requests(world, member).items():
                    ratio = _against_nothing(world, f"{name}, {size:,} grants", work)
                    flat.setdefault(name, []).append(ratio.spread[1])
                    found.append(ratio)
            return [*found, *(_flat(name, costs) for name, costs in flat.items()), *_decisions(world, member)]


def _requests(world: World, member: TeamMember) -> dict[str, Callable[[], Awaitable[Any]]]:
    kernel, application = world.house.kernel, front.application(world.house)
    return {
        "read": lambda: perform(kernel, look, member, Nothing()),
        "change": lambda: perform(kernel, keep, member, Number(1)),
        "read over the API": lambda: _call(application, "/api/kernel.bench_look"),
    }


async def _call(application: Any, path: str) -> None:
    """As the web server calls it."""
    headers = [(b"host", b"localhost:8443"), (b"authorization", f"Bearer {TOKEN}".encode()), (b"user-agent", b"bench")]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "https",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.9", 4711), "server": ("localhost", 8443), "state": {},
    }  # fmt: skip
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    await application(scope, receive, send)
    if status != 200:
        raise AssertionError(f"{path} answered {status}")


def _against_nothing(world: World, what: str, one: Callable[[], Awaitable[Any]]) -> Ratio:
    def ours(count: int) -> None:
        world.run(_together(one, count))

    def theirs(count: int) -> None:
        with undecided():
            world.run(_together(one, count))

    for warm in (ours, theirs):
        warm(COUNT)
    pairs = []
    for number in range(ROUNDS):  # either first in turn
        sides = [ours, theirs] if number % 2 else [theirs, ours]
        rates = {side: rate(side, COUNT, time.process_time) for side in sides}
        pairs.append((rates[ours], rates[theirs]))
    return from_pairs(f"decided {what}", "the same request, nothing decided", pairs, 0.95)


async def _together(one: Callable[[], Awaitable[Any]], count: int) -> None:
    numbers = iter(range(count))

    async def caller() -> None:
        for _ in numbers:
            await one()

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


@contextmanager
def undecided() -> Iterator[None]:
    """No decision anywhere on the way of a request; possible in a benchmark only, by taking the functions away."""
    everything = Standing(frozenset(Role), second_factor=True)
    hollow = SimpleNamespace(**vars(authorise))
    hollow.claimed_standing = lambda ctx: everything
    hollow.permit = lambda operation, ctx, standing: False
    hollow.check_needs = lambda operation, ctx, standing: None
    hollow.check_subject = lambda operation, tx, ctx, request, own_only: ""
    hollow.leaning_on = lambda operation, ctx, standing: ()
    hollow.check_task = lambda tasks, touched: {}
    hollow.use_approvals = lambda *_: {}
    with (
        mock.patch.object(performing, "authorise", hollow),
        mock.patch.object(authority, "powers_of", lambda *_, **held: everything),
    ):
        yield


def _flat(name: str, costs: list[float]) -> Ratio:
    """How the part of a request that is left grows from the smallest store to the largest."""
    ratio = costs[-1] / costs[0]
    what, baseline = f"{name}: {SIZES[-1]:,} grants", f"{SIZES[0]} grants (shares of a request, not rates)"
    return Ratio(what, costs[-1], baseline, costs[0], (ratio, ratio, ratio), 0.97)


def _decisions(world: World, member: TeamMember) -> list[Ratio]:
    """One decision of ours (nothing remembered) against Cedar with policies, entities and request made beforehand."""
    try:
        import cedarpy
    except ImportError:
        print("cedarpy is not installed: its rows are left out")
        return []
    registry = world.house.kernel.registry
    ctx = world.house.kernel.context(member)
    keys = world.house.ring.for_caller("access")
    decider, now = access.HouseAuthority(keys), world.clock()
    with world.house.store.reading() as connection:
        standing = decider.standing(connection, member, now)
        policies = cedarpy.PolicySet.from_str(_policies(registry))
        entities = json.dumps(_entities(member.id, standing))
        parsed = cedarpy.Entities.from_json_str(entities)
        request = {
            "principal": f'User::"{member.id}"', "action": f'Action::"{look.name}"', "resource": 'House::"this"',
            "context": {"second_factor": True},
        }  # fmt: skip
        _same(cedarpy, policies, parsed, request, registry, replace(ctx), standing)

        def decide(count: int) -> None:
            for _ in range(count):
                permit(look, ctx, standing)

        def decide_from_the_store(count: int) -> None:
            for _ in range(count):
                permit(look, ctx, decider.standing(connection, member, now))

        def cedar(count: int) -> None:
            for _ in range(count):
                cedarpy.is_authorized(request, policies, parsed)

        def cedar_from_its_entities(count: int) -> None:
            for _ in range(count):
                cedarpy.is_authorized(request, policies, entities)

        return [
            compare("one decision, roles at hand", decide, "cedarpy, all of it parsed", cedar, count=DECISIONS, goal=1),
            compare(
                "one decision, session, roles, tasks and limits read from the store", decide_from_the_store,
                "cedarpy, the person's roles given as JSON", cedar_from_its_entities, count=DECISIONS // 10, goal=0.5,
            ),
        ]  # fmt: skip


def _policies(registry: Any) -> str:
    """The same rules: what a role may with a second factor, a team member for themselves, and anybody."""
    lines = []
    for role in Role:
        names = [f'Action::"{item.name}"' for item in registry if role in item.by]
        lines.append(
            f'permit(principal in Role::"{role.value}", action in [{", ".join(names)}], resource)'
            " when { context.second_factor };"
        )
    own = [f'Action::"{item.name}"' for item in registry if TeamMember.own in item.by]
    lines.append(f'permit(principal in Kind::"team", action in [{", ".join(own)}], resource);')
    public = [f'Action::"{item.name}"' for item in registry if item.public]
    lines.append(f"permit(principal, action in [{', '.join(public)}], resource);")
    return "\n".join(lines)


def _entities(account: str, standing: Standing) -> list[dict[str, Any]]:
    parents = [{"type": "Role", "id": role.value} for role in standing.roles] + [{"type": "Kind", "id": "team"}]
    return [{"uid": {"type": "User", "id": account}, "attrs": {}, "parents": parents}]


def _same(
    cedarpy: Any, policies: Any, entities: Any, request: dict[str, Any], registry: Any, ctx: Context, standing: Standing
) -> None:
    """Raises AssertionError unless both decide the same of every operation."""
    for item in registry:
        asked = {**request, "action": f'Action::"{item.name}"'}
        theirs = bool(cedarpy.is_authorized(asked, policies, entities).allowed)
        if theirs != _allows(item, ctx, standing):
            raise AssertionError(f"{item.name}: Cedar says {theirs}")


def _allows(item: Operation, ctx: Context, standing: Standing) -> bool:
    return next(authorise.ways(item, ctx.actor, standing), None) is not None


def _lay(world: World, first: int, end: int) -> None:
    """Grants of others, half of them ended."""
    now, roles = world.clock(), [role.value for role in Role]
    rows = [
        {
            "id": f"grt_{number:032x}", "account": f"acc_{number // 6:032x}", "role": roles[number % 6],
            "granted_by": "system:bench", "granted_at": now, "reason": b"bench",
            "standing": True, "ends_at": now + AGES,
            "ended_at": now if number % 2 else None, "ended_by": "system:bench" if number % 2 else None,
        }
        for number in range(first, end)
    ]  # fmt: skip
    for start in range(0, len(rows), 10_000):
        chunk = rows[start : start + 10_000]
        world.write(lambda connection, chunk=chunk: connection.execute(insert(grant), chunk))
