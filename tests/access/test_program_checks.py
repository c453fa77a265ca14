"""The checks of programs and leavers find what is wrong, through the public door where it shows, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from subscription_services import front
from subscription_services.access import checks, model, programs
from subscription_services.access import queries as rows
from subscription_services.access.jobs import KeepUnusedJob, keep_all
from subscription_services.access.operations.leavers import DeactivateLeaver
from subscription_services.access.operations.people import MyPermissions
from subscription_services.access.operations.service_accounts import (
    CreateServiceAccount,
    IssueToken,
    ListServiceAccounts,
)
from subscription_services.access.program_checks import leavers_are_gone, tokens_are_narrow, try_the_door
from subscription_services.identity import model as identity
from subscription_services.kernel.actors import Role, ServiceAccount, TeamMember
from subscription_services.kernel.checks import Finding, Verdict
from subscription_services.kernel.errors import NotSignedIn
from subscription_services.kernel.perform import Kernel
from subscription_services.testing import World

from .granting import signed_in_again
from .proving import ORIGIN


def narrow(world: World) -> Finding:
    with world.house.store.reading() as connection:
        return tokens_are_narrow(connection, world.house.ring.for_caller("access"), world.clock())


def gone(world: World) -> Finding:
    with world.house.store.reading() as connection:
        return leavers_are_gone(connection, world.house.ring.for_caller("access"), world.clock())


def door(world: World) -> Finding:
    async def knock() -> Finding:
        transport = httpx.ASGITransport(front.application(world.house))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            return await try_the_door(client, world.house.kernel, ORIGIN, {})

    found = world.run(knock())
    assert isinstance(found, Finding)
    return found


def program(world: World, boss: TeamMember) -> tuple[str, str]:
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id
    return account, world.do("access.issue_token", boss, IssueToken(account, ["access.audit_log"])).token.id


def write(world: World, statement: Any) -> None:
    world.write(lambda connection: connection.execute(statement))


def test_both_promises_are_checked_as_a_whole() -> None:
    whole = {check.promise for check in checks() if not check.missing}
    assert {"access.least-privilege", "access.leavers"} <= whole


def test_a_forged_wide_or_ownerless_token_is_found(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    account, token = program(world, boss)
    assert (narrow(world).verdict, narrow(world).evidence["tokens"]) == (Verdict.KEPT, 1)
    held = update(model.token).where(model.token.c.id == token)
    write(world, held.values(scopes='["access.deactivate_leaver"]'))
    assert "not one that this service wrote" in narrow(world).says
    write(world, held.values(scopes='["access.audit_log"]'))
    assert narrow(world).verdict is Verdict.KEPT
    owned = update(model.service_account).where(model.service_account.c.id == account)
    write(world, owned.values(expires_at=world.clock() + timedelta(days=1)))
    assert "outlives" in narrow(world).says
    write(world, owned.values(expires_at=world.clock() + timedelta(days=300), owner="acc_nobody"))
    assert "no owner" in narrow(world).says


def test_the_door_is_tried_and_the_canary_is_gone_afterwards_and_never_listed(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    for _ in "ab":
        found = door(world)
        assert (found.verdict, found.evidence) == (Verdict.KEPT, {"refused": 5})
    assert world.do("access.service_accounts", boss, ListServiceAccounts()).accounts == []
    with world.house.store.reading() as connection:
        (token,) = connection.execute(select(model.token)).all()
        (account,) = connection.execute(select(model.service_account)).all()
    assert token.revoked_at is not None
    assert (account.state, account.owner) == ("ended", rows.CANARY)
    assert narrow(world).verdict is Verdict.KEPT


@pytest.mark.parametrize("broken", ["no proof is asked for", "the key is not compared", "proofs work twice"])
def test_a_door_that_lets_a_bound_token_in_is_found(world: World, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    async def believed(kernel: Kernel, shown: Any) -> ServiceAccount:
        actor, _ = await kernel.store.read(lambda c: programs._resolve(c, shown.token, kernel.clock))
        return actor

    async def once(kernel: Kernel, proof: Any) -> None:
        return None

    if broken == "no proof is asked for":
        monkeypatch.setattr("subscription_services.visitors.access.service_account_of", believed)
    elif broken == "the key is not compared":
        monkeypatch.setattr("hmac.compare_digest", lambda one, other: True)
    else:
        monkeypatch.setattr(programs, "_once", once)
    assert door(world).verdict is Verdict.BROKEN


def test_a_door_that_answers_nobody_is_no_proof(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(kernel: Kernel, shown: Any) -> ServiceAccount:
        raise NotSignedIn()

    monkeypatch.setattr("subscription_services.visitors.access.service_account_of", nobody)
    assert door(world).verdict is Verdict.COULD_NOT_CHECK


def test_what_is_left_of_a_leaver_is_found(world: World) -> None:
    boss, leaver = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    program(world, boss)
    world.do("access.create_service_account", boss, CreateServiceAccount("Theirs", leaver.id))
    world.do("access.deactivate_leaver", boss, DeactivateLeaver(leaver.id, "left on Friday"))
    assert (gone(world).verdict, gone(world).evidence["left"]) == (Verdict.KEPT, 1)
    write(world, update(model.grant).where(model.grant.c.account == leaver.id).values(ended_at=None, ended_by=None))
    found = gone(world)
    assert (found.verdict, found.evidence) == (Verdict.BROKEN, {"who": leaver.id})


def test_something_done_after_leaving_is_found(world: World) -> None:
    boss, leaver = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    world.do("access.deactivate_leaver", boss, DeactivateLeaver(leaver.id, "left on Friday"))
    world.clock.advance(minutes=1)
    assert gone(world).verdict is Verdict.KEPT
    write(world, update(identity.account).where(identity.account.c.id == leaver.id).values(
        state="active", email_index=b"back"))  # fmt: skip
    write(world, update(identity.session).where(identity.session.c.account == leaver.id).values(
        ended_at=None, end_reason=None))  # fmt: skip
    world.do("access.my_permissions", leaver, MyPermissions())
    assert gone(world).says == "Something was done by somebody after they left."


def test_what_should_have_ended_is_found_and_the_last_administrator_is_not(world: World) -> None:
    boss, idle = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    world.clock.advance(days=76, hours=23)
    signed_in_again(world, boss)
    assert gone(world).verdict is Verdict.KEPT
    world.clock.advance(hours=2)
    assert gone(world).verdict is Verdict.BROKEN  # nobody was told: the job does not run
    world.run(keep_all(world.house.kernel, KeepUnusedJob()))
    assert gone(world).verdict is Verdict.KEPT
    world.clock.advance(days=12)
    world.run(keep_all(world.house.kernel, KeepUnusedJob()))
    world.clock.advance(days=5)
    signed_in_again(world, boss)
    assert (gone(world).verdict, gone(world).evidence["what"]) == (Verdict.BROKEN, idle.id)
    world.run(keep_all(world.house.kernel, KeepUnusedJob()))
    assert gone(world).verdict is Verdict.KEPT
    world.clock.advance(days=200)
    assert gone(world).verdict is Verdict.KEPT
