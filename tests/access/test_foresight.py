"""Tightening with foresight: what it says would be refused is what is refused once it is really done."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscription_services.access import foresight as looking
from subscription_services.access.errors import LimitRefused
from subscription_services.access.explanations import WhatCan
from subscription_services.access.foresight import Foresight
from subscription_services.access.operations.explaining import AskWhatCan
from subscription_services.access.operations.foresight import Foresee, RoleLoses, TokenLoses
from subscription_services.access.operations.people import EndGrant, People
from subscription_services.access.operations.role_limits import NarrowRole, ResetLimits
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken
from subscription_services.access.operations.tasks import AskTask, OneTask
from subscription_services.access.programs import resolve_token
from subscription_services.access.tasks import About
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.authorise import By
from subscription_services.kernel.errors import NotFound, Refusal
from subscription_services.testing import World
from subscription_services.testing.approving import approved, give_role

from .granting import OPERATIONS, furnish, with_tasks
from .granting import About as Person
from .test_explaining import LENT, PROBES, Nothing, done

PROBED = {item.name: {rule for rule in item.by if isinstance(rule, Role)} for item in PROBES}


@pytest.fixture(scope="module")
def stage(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("foresee") / "data"
    shutil.copytree(sqlite_template, data)
    with World.open(data, more=(*OPERATIONS, *PROBES)) as world:
        furnish(world)
        yield world


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_what_is_foreseen_is_what_perform_refuses_afterwards(stage: World, seed: int) -> None:
    stage.clock.advance(days=2)
    boss = stage.team(Role.ADMINISTRATOR)
    try:
        compare(stage, Random(seed), boss)
    finally:
        back = ResetLimits("for the next example")
        approved(stage, boss, "access.reset_role_limits", back)
        stage.do("access.reset_role_limits", boss, back)


def compare(world: World, dice: Random, boss: TeamMember) -> None:
    watcher = world.team(Role.SECURITY)
    people = [world.team(*dice.sample(LENT, dice.randrange(3))) for _ in range(3)]
    for member in people:
        if dice.random() < 0.4:
            only = dice.choice([[], dice.sample(sorted(PROBED), 2)])
            lend(world, watcher, member, dice.choice(LENT), only)
    did = [(member, name) for member in people for name in sorted(done(world, with_tasks(world, member)))]
    for member, name in dice.choices(did, k=6):
        world.do(name, with_tasks(world, member), Nothing())
        did.append((member, name))
    request = narrower(world, dice, boss, people)
    found: Foresight = world.do("access.foresee", watcher, request)
    for change in request.roles:
        world.do("access.narrow_role", boss, NarrowRole(change.role, change.operations, "as foreseen"))
    for grant in request.grants:
        world.do("access.end_grant", boss, EndGrant(grant, "as foreseen"))
    refused: Counter[tuple[str, str]] = Counter()
    for member, name in did:
        try:
            world.do(name, with_tasks(world, member), Nothing())
        except Refusal:
            refused[member.id, name] += 1
    assert found.whole
    ours = {member.id for member in people}  # others of earlier examples hold these roles as well
    rows = [row for row in found.rows if row.actor in ours and row.operation in PROBED]
    assert {(row.actor, row.operation): row.refused for row in rows if row.refused} == refused


def lend(world: World, granter: TeamMember, member: TeamMember, role: Role, only: list[str]) -> None:
    only = [name for name in only if role in PROBED[name]]
    asked = world.do("access.ask_task", member, AskTask("A case", About.OTHER, "", role, 60, only))
    world.do("access.grant_task", granter, OneTask(asked.id))


def narrower(world: World, dice: Random, boss: TeamMember, people: list[TeamMember]) -> Foresee:
    role = dice.choice(LENT)
    names = [name for name, roles in PROBED.items() if role in roles]
    found: WhatCan = world.do("access.what_can", boss, AskWhatCan(dice.choice(people).id))
    grants = [reason.id for reason in found.reasons if reason.by is By.ROLE][: dice.randrange(2)]
    return Foresee(grants, [RoleLoses(role, dice.sample(names, dice.randrange(1, len(names))))])


def test_what_is_left_by_another_way_is_said_and_what_nobody_used(house: World) -> None:
    watcher, clerk, both = house.team(Role.SECURITY), house.team(Role.BILLING), house.team(Role.SECURITY, Role.AUDITOR)
    for _ in range(3):
        house.do("access.test_look", clerk, Person("acc_x"))
    house.do("access.people", both, People())
    request = Foresee([], [RoleLoses(Role.BILLING, ["access.test_look", "access.test_lent"]),
                           RoleLoses(Role.SECURITY, ["access.people"])])  # fmt: skip
    found: Foresight = house.do("access.foresee", watcher, request)
    rows = {(row.actor, row.operation): row for row in found.rows}
    assert rows[clerk.id, "access.test_look"].refused == 3
    assert (rows[both.id, "access.people"].refused, rows[both.id, "access.people"].otherwise) == (0, 1)
    assert rows[both.id, "access.people"].by == ["role:auditor"]
    assert found.unused == ["access.test_lent"]


def test_each_use_is_held_against_what_was_held_at_its_time(house: World) -> None:
    """A role that was given up long ago, or that came later, has nothing to do with a use."""
    boss, watcher, clerk = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY), house.team(Role.OPERATIONS)
    held = give_role(house, boss, clerk.id, Role.BILLING, "a case")
    house.do("access.test_look", with_tasks(house, clerk), Person("acc_x"))
    house.clock.advance(minutes=1)
    house.do("access.end_grant", boss, EndGrant(held.id, "over"))
    watched = Foresee([], [RoleLoses(Role.BILLING, ["access.test_look"])], days=1)
    assert [row.refused for row in house.do("access.foresee", watcher, watched).rows] == [1]
    assert [row.refused for row in house.do("access.foresee", watcher, Foresee([held.id], days=1)).rows] == [1]
    other = give_role(house, boss, clerk.id, Role.BILLING, "again")
    assert house.do("access.foresee", watcher, Foresee([other.id], days=1)).rows == []


def test_a_token_with_fewer_scopes_and_what_would_take_somebody_else(house: World) -> None:
    boss, watcher = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY)
    account = house.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id
    issued = house.do("access.issue_token", boss, IssueToken(account, ["access.role_limits", "access.audit_log"]))
    with house.house.store.reading() as connection:
        program = resolve_token(connection, issued.text, house.clock)
    house.do("access.role_limits", program, house.house.kernel.registry.get("access.role_limits").request())  # type: ignore[union-attr]
    loses = Foresee(tokens=[TokenLoses(issued.token.id, ["access.role_limits", "access.audit_log"])])
    found: Foresight = house.do("access.foresee", watcher, loses)
    assert [(row.actor, row.name, row.refused) for row in found.rows] == [(account, "Export", 1)]
    assert found.unused == ["access.audit_log"]
    house.do("access.issue_token", boss, IssueToken(account, ["access.role_limits"]))
    assert [(row.refused, row.otherwise) for row in house.do("access.foresee", watcher, loses).rows] == [(0, 1)]
    asks = Foresee(approvals=["access.issue_token", "access.test_release"])
    assert [(row.actor, row.asking) for row in house.do("access.foresee", watcher, asks).rows] == [(boss.id, 2)]


def test_what_was_not_looked_at_is_said(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher, clerk = house.team(Role.SECURITY), house.team(Role.BILLING)
    house.clock.advance(minutes=1)  # looks are newer than signing in
    for _ in range(5):
        house.do("access.test_look", clerk, Person("acc_x"))
    monkeypatch.setattr(looking, "LOOKED_AT", 3)
    found: Foresight = house.do("access.foresee", watcher, Foresee([], [RoleLoses(Role.BILLING, ["access.test_look"])]))
    assert (found.whole, found.looked_at, found.rows[0].refused) == (False, 3, 3)


def test_nonsense_is_refused_and_others_see_nothing(house: World) -> None:
    watcher = house.team(Role.SECURITY)
    for request in (
        Foresee(),
        Foresee([], [RoleLoses(Role.BILLING, ["access.people"])]),
        Foresee(approvals=["a.none"]),
    ):
        with pytest.raises(LimitRefused):
            house.do("access.foresee", watcher, request)
    for missing in (Foresee(["grt_none"]), Foresee(tokens=[TokenLoses("tok_none", ["access.people"])])):
        with pytest.raises(NotFound):
            house.do("access.foresee", watcher, missing)
    with pytest.raises(Refusal):
        house.do("access.foresee", house.team(Role.BILLING), Foresee())
