"""What can they do and why, who can do this and why: the explanation is what perform() really does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from subscription_services.access.authority import powers_of
from subscription_services.access.explanations import WhatCan, WhoCan
from subscription_services.access.history import history_of
from subscription_services.access.operations.explaining import AskWhatCan, AskWhoCan
from subscription_services.access.operations.people import EndGrant
from subscription_services.access.operations.role_limits import NarrowRole, WidenRole
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken, RevokeToken
from subscription_services.access.operations.tasks import AskTask, OneTask
from subscription_services.access.programs import resolve_token
from subscription_services.access.tasks import About
from subscription_services.kernel.actors import Actor, Role, ServiceAccount, Subscriber, TeamMember
from subscription_services.kernel.authorise import By
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Conflict, Invalid, NotFound, NotSignedIn, Refusal
from subscription_services.kernel.operations import Change, Operation, Public, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.testing import World
from subscription_services.testing.approving import approved, give_role
from subscription_services.testing.people import sign_in_subscriber

from .granting import OPERATIONS, furnish, people_with, signed_in_again, with_tasks


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


def probe(name: str, *by: Any) -> Operation:
    @operation(f"access.probe_{name}", by=by)
    def run(tx: ReadTransaction, ctx: Context, request: Nothing) -> Seen[Nothing]:
        """Something to try."""
        return Seen(request)

    return run


@operation("access.probe_change", by=[Role.SUPPORT, ServiceAccount.scoped])
def changing(tx: Transaction, ctx: Context, request: Nothing) -> Change[Nothing]:
    """Something that changes."""
    return Change(None, request)


PROBES = (
    changing,
    probe("billing", Role.BILLING),
    probe("own", Role.SUPPORT, TeamMember.own),
    probe("several", Role.SUPPORT, Role.BILLING, Role.OPERATIONS),
    probe("subscriber", Subscriber.own, Role.SUPPORT),
    probe("scoped", ServiceAccount.scoped, Role.OPERATIONS),
    probe("public", Public("a probe"), Role.BILLING),
    probe("system", SystemOnly("a probe"), Role.OPERATIONS),
)
NAMES = [item.name for item in PROBES]
CUSTOMER = "carol@example.org"
LENT = [Role.SUPPORT, Role.BILLING, Role.OPERATIONS]


@dataclass
class Stage:
    world: World
    boss: TeamMember
    watcher: TeamMember
    people: list[TeamMember]
    customer: Subscriber
    program: str
    tokens: list[tuple[str, str]] = field(default_factory=list)
    tasks: list[tuple[int, str]] = field(default_factory=list)
    taken: list[tuple[Role, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def stage(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    data = tmp_path_factory.mktemp("explain") / "data"
    shutil.copytree(sqlite_template, data)
    with World.open(data, more=(*OPERATIONS, *PROBES)) as world:
        furnish(world)
        boss, watcher = world.team(Role.ADMINISTRATOR), world.team(Role.SECURITY)
        people = [people_with(world, f"p{number}@example.org") for number in range(3)]
        program = world.do("access.create_service_account", boss, CreateServiceAccount("Export", people[0].id)).id
        yield Stage(world, boss, watcher, people, world.subscriber(CUSTOMER), program)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.integers(4, 14))
def test_the_explanation_is_what_perform_does(stage: Stage, seed: int, steps: int) -> None:
    dice = Random(seed)
    for _ in range(steps):
        step(stage, dice)
    world, now = stage.world, stage.world.clock()
    for member in stage.people:
        me = with_tasks(world, member)
        found: WhatCan = world.do("access.what_can", stage.watcher, AskWhatCan(member.id))
        assert {item.operation for item in found.operations} & set(NAMES) == done(world, me)
        assert found == replace(world.do("access.what_can", me, AskWhatCan()), at=found.at)  # one's own is the same
        ids = {reason.id for reason in found.reasons}
        assert all(set(item.by) <= ids and item.by for item in found.operations)
        with world.house.store.reading() as connection:
            tx = ReadTransaction(connection, world.house.ring.for_caller("access"))
            then = history_of(tx, member.id).at(now)
            powers = powers_of(connection, tx.keys, member.id, now)
        assert (powers.roles, powers.withheld) == (then.roles, then.withheld)
        assert set(powers.elevations) == set(then.elevations)
    able = {name: {m.id for m in stage.people if name in reasons_beside_own(stage, m)} for name in NAMES}
    for name in NAMES:
        who: WhoCan = world.do("access.who_can", stage.watcher, AskWhoCan(name))
        assert {item.account for item in who.people} & {m.id for m in stage.people} == able[name]
        assert bool(who.programs) == any(
            name in done(world, actor) for actor in programs(stage) if name in actor.scopes
        )
    found = world.do("access.what_can", stage.watcher, AskWhatCan(stage.program))
    by_tokens = set().union(*(done(world, actor) for actor in programs(stage)), {"access.probe_public"})
    assert {item.operation for item in found.operations} & set(NAMES) | {"access.probe_public"} == by_tokens
    found = world.do("access.what_can", stage.watcher, AskWhatCan(stage.customer.id))
    assert {item.operation for item in found.operations} & set(NAMES) == done(world, stage.customer)


def reasons_beside_own(stage: Stage, member: TeamMember) -> set[str]:
    """What the person can do by role or task, by the same answer about the person."""
    found: WhatCan = stage.world.do("access.what_can", stage.watcher, AskWhatCan(member.id))
    held = {reason.id for reason in found.reasons if reason.by in (By.ROLE, By.TASK)}
    return {item.operation for item in found.operations if held & set(item.by)}


def done(world: World, actor: Actor) -> set[str]:
    """The probes that perform() lets them do, really tried."""
    found = set()
    for name in NAMES:
        try:
            world.do(name, actor, Nothing())
        except (Refusal, NotSignedIn):
            continue
        found.add(name)
    return found


def programs(stage: Stage) -> list[ServiceAccount]:
    """The program with each of its tokens that counts."""
    found = []
    for _, text in stage.tokens:
        try:
            with stage.world.house.store.reading() as connection:
                found.append(resolve_token(connection, text, stage.world.clock))
        except NotSignedIn:
            continue
    return found


def step(stage: Stage, dice: Random) -> None:
    """Something that changes what somebody may do; what cannot be is refused, which changes nothing."""
    world, boss = stage.world, stage.boss
    number = dice.randrange(len(stage.people))
    member = stage.people[number]
    role, name = dice.choice(LENT), dice.choice(NAMES)
    try:
        match dice.choice(
            ["grant", "grant", "end", "task", "task", "close", "narrow", "widen", "token", "revoke", "tick"]
        ):
            case "grant":
                days = dice.choice([None, 1])
                give_role(world, boss, member.id, role, "a case", days)
            case "end":
                found: WhatCan = world.do("access.what_can", boss, AskWhatCan(member.id))
                held = [reason.id for reason in found.reasons if reason.by is By.ROLE]
                world.do("access.end_grant", boss, EndGrant(dice.choice([*held, "grt_none"]), "no more"))
            case "task":
                only = dice.choice([[], [name]])
                asked = world.do("access.ask_task", member, AskTask("A case", About.OTHER, "", role, 30, only))
                stage.tasks.append((number, asked.id))
                world.do("access.grant_task", stage.watcher, OneTask(asked.id))
            case "close" if stage.tasks:
                holder, task = dice.choice(stage.tasks)
                world.do("access.close_task", stage.people[holder], OneTask(task))
            case "narrow":
                world.do("access.narrow_role", boss, NarrowRole(role, [name], "a case"))
                stage.taken.append((role, name))
            case "widen" if stage.taken:
                request = WidenRole(stage.taken[-1][0], [stage.taken[-1][1]], "a case")
                approved(world, boss, "access.widen_role", request)
                world.do("access.widen_role", boss, request)
                stage.taken.pop()
            case "token":
                issued = world.do("access.issue_token", boss, IssueToken(stage.program, [name], 1))
                stage.tokens.append((issued.token.id, issued.text))
            case "revoke" if stage.tokens:
                world.do("access.revoke_token", boss, RevokeToken(dice.choice(stage.tokens)[0]))
            case "tick":
                world.clock.advance(minutes=dice.choice([5, 40, 25 * 60]))
                renew(stage)
    except (Conflict, Invalid, NotFound):
        return


def renew(stage: Stage) -> None:
    """Everybody signs in again, since a day may have gone by."""
    world = stage.world
    stage.boss, stage.watcher, *stage.people = [
        replace(member, **signed_in_again(world, member)) for member in (stage.boss, stage.watcher, *stage.people)
    ]
    stage.customer = sign_in_subscriber(world, CUSTOMER)


def test_each_reason_says_who_when_why_until_when_and_where_the_log_has_it(house: World) -> None:
    boss, member = house.team(Role.ADMINISTRATOR), house.team()
    grant = give_role(house, boss, member.id, Role.SUPPORT, "helps subscribers", 7)
    asked = house.do(
        "access.ask_task", member, AskTask("Case 7", About.SUBSCRIBER, f"acc_{'0' * 32}", Role.BILLING, 60)
    )
    house.do("access.grant_task", house.team(Role.SECURITY), OneTask(asked.id))
    found: WhatCan = house.do("access.what_can", boss, AskWhatCan(member.id))
    role, task = found.reasons[:2]
    assert (role.id, role.role, role.given_by_name, role.why) == (
        grant.id,
        Role.SUPPORT,
        "Tess Team",
        "helps subscribers",
    )
    assert role.until == house.clock() + timedelta(days=7)
    assert house.do("access.log_entry", boss, entry(role.entry)).entry.action == "access.grant_role"
    assert (task.id, task.why, task.about) == (asked.id, "Case 7", f"acc_{'0' * 32}")
    assert house.do("access.log_entry", boss, entry(task.entry)).entry.action == "access.grant_task"
    (refund,) = [item for item in found.operations if item.operation == "billing.refund"]
    assert refund.by == [asked.id]
    assert {need.kind for need in refund.needs} >= {"second-factor"}
    laid = house.do("access.what_can", boss, AskWhatCan(boss.id)).reasons[0]
    assert laid.entry == ""  # a row that no operation wrote: the page says that the log knows nothing of it


def entry(identifier: str) -> Any:
    from subscription_services.access.operations.log import ReadEntry

    return ReadEntry(identifier)


def test_a_task_about_somebody_does_not_count_for_somebody_else(house: World) -> None:
    watcher, member, one, other = house.team(Role.SECURITY), house.team(), house.subscriber(), house.subscriber()
    asked = house.do("access.ask_task", member, AskTask("Case 7", About.SUBSCRIBER, one.id, Role.BILLING, 60))
    house.do("access.grant_task", watcher, OneTask(asked.id))
    for about, there in (("", True), (one.id, True), (other.id, False)):
        found: WhoCan = house.do("access.who_can", watcher, AskWhoCan("access.test_lent", about))
        assert (member.id in {item.account for item in found.people}) is there


def test_who_could_approve_and_nobody(house: World) -> None:
    boss, watcher = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY)
    found: WhoCan = house.do("access.who_can", watcher, AskWhoCan("access.test_two"))
    assert {item.account for item in found.approvers} == {boss.id, watcher.id}
    assert [(need.kind, need.number) for need in found.needs][-1] == ("approvals", 2)
    nobody: WhoCan = house.do("access.who_can", watcher, AskWhoCan("access.test_lent"))
    assert (nobody.people, nobody.programs, nobody.own, nobody.public) == ([], [], [], "")
    house.do("access.narrow_role", boss, NarrowRole(Role.SECURITY, ["access.approve"], "administrators approve"))
    assert {item.account for item in house.do("access.who_can", boss, AskWhoCan("access.test_two")).approvers} == {
        boss.id
    }


def test_the_past_is_answered_by_the_times_of_what_was_granted(house: World) -> None:
    boss, member = house.team(Role.ADMINISTRATOR), house.team()
    before = house.clock()
    house.clock.advance(minutes=1)
    grant = give_role(house, boss, member.id, Role.BILLING, "a case")
    held = house.clock()
    house.clock.advance(minutes=1)
    house.do("access.end_grant", boss, EndGrant(grant.id, "no more"))

    def at(moment: Any) -> set[str]:
        found: WhatCan = house.do("access.what_can", boss, AskWhatCan(member.id, moment))
        return {item.operation for item in found.operations}

    assert "access.test_lent" in at(held)
    assert "access.test_lent" not in at(before) | at(None)
    with pytest.raises(Invalid):
        at(house.clock() + timedelta(days=1))


def test_the_explanation_of_somebody_else_is_not_found(house: World) -> None:
    boss, member, other, customer = (
        house.team(Role.ADMINISTRATOR),
        house.team(Role.SUPPORT),
        house.team(),
        house.subscriber(),
    )
    program = house.do("access.create_service_account", boss, CreateServiceAccount("Export", other.id)).id
    for actor in (member, customer):
        for whose in (other.id, program, "acc_none", "svc_none"):
            with pytest.raises(NotFound):
                house.do("access.what_can", actor, AskWhatCan(whose))
        assert house.do("access.what_can", actor, AskWhatCan(actor.id)).account == actor.id
    assert house.do("access.what_can", other, AskWhatCan(program)).name == "Export"  # who answers for it
    with pytest.raises(Refusal):
        house.do("access.who_can", member, AskWhoCan("access.people"))
