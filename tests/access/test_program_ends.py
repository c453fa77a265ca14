"""Deleting what gave a program its power ends what its tokens can do at once: under way, and on every node.

Elsewhere the credential lived on (teleport 15356, 10650)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.access import model
from subscription_services.access.errors import HandedOver, NotATeamMember, ServiceAccountEnded
from subscription_services.access.independence import hands_of
from subscription_services.access.operations.leavers import DeactivateLeaver
from subscription_services.access.operations.service_accounts import (
    CreateServiceAccount,
    EndServiceAccount,
    HandOverServiceAccount,
    IssueToken,
    NarrowToken,
    RevokeToken,
    RotateToken,
)
from subscription_services.access.programs import resolve_token
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Role, ServiceAccount, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import DomainError, NotFound, Refusal
from subscription_services.kernel.operations import Change, Prepared, operation
from subscription_services.kernel.perform import perform
from subscription_services.kernel.transaction import Reading, ReadTransaction, Transaction
from subscription_services.testing import World

from .test_tasks import until_somebody_waits

SLOW = "access.slow_for_programs"


class Slow(msgspec.Struct, frozen=True):
    pass


class Done(msgspec.Struct, frozen=True):
    id: str = ""


MEANWHILE: list[Callable[[], Any]] = []
RAN: list[str] = []


def _meanwhile(reading: Reading, ctx: Context, request: Slow) -> None:
    for happening in MEANWHILE:
        happening()


@operation(SLOW, by=[ServiceAccount.scoped], prepare=Prepared(_meanwhile))
def slow(tx: Transaction, ctx: Context, request: Slow, nothing: None) -> Change[Done]:
    """Takes its time before the transaction."""
    RAN.append(ctx.actor.id)
    return Change(None, Done())


@pytest.fixture
def nodes(place: tuple[Path, str]) -> Iterator[tuple[World, World]]:
    """Two nodes on one store."""
    with World.open(*place, more=(slow,)) as one, World.open(*place, more=(slow,)) as other:
        other.clock.now = one.clock.now
        MEANWHILE.clear()
        RAN.clear()
        yield one, other


def program(world: World, owner: TeamMember, boss: TeamMember) -> ServiceAccount:
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Export", owner.id)).id
    text = world.do("access.issue_token", boss, IssueToken(account, [SLOW, "access.audit_log"], 90)).text
    with world.house.store.reading() as connection:
        return resolve_token(connection, text, world.clock)


def leave(world: World, boss: TeamMember, who: TeamMember) -> Any:
    return world.do("access.deactivate_leaver", boss, DeactivateLeaver(who.id, "left"))


WAYS: dict[str, Callable[[World, TeamMember, TeamMember, ServiceAccount], Any]] = {
    "end": lambda w, boss, owner, it: w.do("access.end_service_account", boss, EndServiceAccount(it.id)),
    "owner leaves": lambda w, boss, owner, it: leave(w, boss, owner),
    "narrow": lambda w, boss, owner, it: w.do("access.narrow_token", boss, NarrowToken(it.token, [SLOW])),
    "revoke": lambda w, boss, owner, it: w.do("access.revoke_token", boss, RevokeToken(it.token)),
    "rotate": lambda w, boss, owner, it: w.do("access.rotate_token", boss, RotateToken(it.token, overlap_hours=0)),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_under_way_fails_and_the_other_node_knows_before_its_next_request(
    nodes: tuple[World, World], way: str
) -> None:
    here, there = nodes
    boss, owner = here.team(Role.ADMINISTRATOR), here.team(Role.SUPPORT)
    it = program(here, owner, boss)
    here.do(SLOW, it, Slow())
    assert [it.id] == RAN
    MEANWHILE.append(lambda: WAYS[way](there, boss, owner, it))
    with pytest.raises(Refusal):
        here.do(SLOW, it, Slow())
    MEANWHILE.clear()
    for node in nodes:
        with pytest.raises(Refusal):
            node.do(SLOW, it, Slow())
    assert [it.id] == RAN
    assert here.events(SLOW)[-1].outcome == "refused"


@pytest.mark.postgres
def test_on_postgres_a_transaction_that_waits_for_the_narrowing_fails(
    postgres: Any, postgres_template: Path, tmp_path: Path
) -> None:
    """It is written and not committed yet: what arrives meanwhile waits for it, and is refused."""
    import shutil

    data = tmp_path / "data"
    shutil.copytree(postgres_template, data)
    MEANWHILE.clear()
    with World.open(data, postgres.create("narrowing", "template_house"), more=(slow,)) as house:
        boss = house.team(Role.ADMINISTRATOR)
        it = program(house, boss, boss)
        engine = house.house.store.write_engine
        RAN.clear()

        async def race() -> Any:
            with engine.connect() as connection, connection.begin():
                narrowed = update(model.token).where(model.token.c.id == it.token)
                connection.execute(narrowed.values(revoked_at=house.clock(), mac=b""))
                under_way = asyncio.ensure_future(perform(house.house.kernel, slow, it, Slow()))
                await asyncio.to_thread(until_somebody_waits, engine)
                assert not under_way.done()
            return (await asyncio.gather(under_way, return_exceptions=True))[0]

        assert isinstance(house.run(race()), DomainError)
        assert RAN == []


def test_a_missing_end_is_refused_by_the_database(world: World) -> None:
    """A null expiry read as never here and as 1970 there (Infisical 7123)."""
    boss = world.team(Role.ADMINISTRATOR)
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id
    world.do("access.issue_token", boss, IssueToken(account, ["access.audit_log"]))
    for table in (model.token, model.service_account):
        for value in (None, 0):
            with pytest.raises(IntegrityError):
                world.write(lambda c, table=table, value=value: c.exec_driver_sql(
                    f"UPDATE {table.name} SET expires_at = {'NULL' if value is None else value}"))  # fmt: skip


def test_a_program_handed_over_before_its_owner_leaves_lives_on_and_both_are_told(world: World) -> None:
    boss, owner, heir = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT), world.team(Role.OPERATIONS)
    kept = world.do("access.create_service_account", boss, CreateServiceAccount("Kept", owner.id)).id
    lost = world.do("access.create_service_account", boss, CreateServiceAccount("Lost", owner.id)).id
    token = world.do("access.issue_token", boss, IssueToken(kept, ["access.audit_log"])).text
    after = world.do("access.hand_over_service_account", boss, HandOverServiceAccount(kept, heir.id))
    assert (after.owner, after.owner_name) == (heir.id, "Tess Team")
    event = world.events("access.hand_over_service_account")[-1]
    assert (event.object, event.details["from"], event.details["to"]) == (kept, owner.id, heir.id)
    with world.house.store.reading() as connection:
        waiting = [msgspec.json.decode(row) for row in connection.execute(select(job.c.payload)).scalars()]
    told = [item["account"] for item in waiting if item.get("letter") == "access.handed_over"]
    assert sorted(told) == sorted([owner.id, heir.id])
    left = world.do("access.deactivate_leaver", boss, DeactivateLeaver(owner.id, "left"))
    assert left.service_accounts == [lost]
    with world.house.store.reading() as connection:
        assert resolve_token(connection, token, world.clock).id == kept
        tx = ReadTransaction(connection, world.house.ring.for_caller("access"))
        # who handed it over may still run it, and does not decide what it asks for
        assert {owner.id, heir.id, boss.id} <= hands_of(tx, kept)


def test_nobody_hands_over_to_whom_is_not_there_or_what_has_ended(world: World) -> None:
    boss, gone = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id
    world.do("access.deactivate_leaver", boss, DeactivateLeaver(gone.id, "left"))
    for owner, error in ((gone.id, NotATeamMember), (world.subscriber().id, NotATeamMember), (boss.id, HandedOver)):
        with pytest.raises(error):
            world.do("access.hand_over_service_account", boss, HandOverServiceAccount(account, owner))
    with pytest.raises(NotFound):
        world.do("access.hand_over_service_account", boss, HandOverServiceAccount("svc_none", boss.id))
    world.do("access.end_service_account", boss, EndServiceAccount(account))
    with pytest.raises(ServiceAccountEnded):
        world.do("access.hand_over_service_account", boss, HandOverServiceAccount(account, world.team().id))
