"""Who may do what at each instant, against a model: roles, tasks, broken glass, leavers, sessions, programs, time.

Every actor claims everything: what is let hangs on what stands in the store at that moment alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from subscription_services.access import resolve_token
from subscription_services.access.glass import BREAKERS
from subscription_services.access.glass_model import GlassVerdict
from subscription_services.access.operations.approvals import ListRequests
from subscription_services.access.operations.glass import BreakGlass, CloseGlassReview, SealGlass
from subscription_services.access.operations.leavers import DeactivateLeaver
from subscription_services.access.operations.log import SearchLog
from subscription_services.access.operations.people import EndGrant, GrantRole, MyPermissions, People
from subscription_services.access.operations.service_accounts import (
    CreateServiceAccount,
    EndServiceAccount,
    IssueToken,
    RevokeToken,
    RotateToken,
)
from subscription_services.access.operations.tasks import AskTask, EndTask, ListTasks, OneTask
from subscription_services.access.tasks import About
from subscription_services.identity.operations.devices import EndSession
from subscription_services.kernel.actors import Actor, Role, ServiceAccount, TeamMember
from subscription_services.testing import World, approving
from subscription_services.testing.approving import approve, ask

from .granting import OPERATIONS, furnish, people_with, signed_in_again
from .granting import About as Person
from .test_grants_model import agreed

READS: dict[str, tuple[Any, frozenset[Role]]] = {
    "access.test_look": (Person("acc_x"), frozenset({Role.BILLING})),
    "access.test_lent": (Person("acc_x"), frozenset({Role.BILLING})),
    "access.people": (People(), frozenset({Role.ADMINISTRATOR, Role.AUDITOR, Role.SECURITY})),
    "access.task_rules": (ListTasks(), frozenset(Role)),
}
OWN = "access.my_permissions"
SCOPES = ("access.audit_log", "access.approval_requests")
GIVEN = (Role.BILLING, Role.SECURITY, Role.OPERATIONS, Role.AUDITOR)
LENT = {Role.BILLING: ("access.test_look", "access.test_lent"), Role.SECURITY: ("access.people",)}
WEIGHTS = {
    "role": 6, "end_role": 3, "ask": 6, "grant": 6, "close": 2, "revoke": 2, "break": 5, "review": 3, "leave": 1,
    "tick": 5, "end_session": 2, "sign_in": 3, "issue": 3, "rotate": 2, "revoke_token": 2, "end_program": 1,
}  # fmt: skip
TICKS = (1, 20, 61, 13 * 60, 25 * 60)
EVERYTHING = {"roles": frozenset(Role), "tasks": frozenset(READS), "second_factor": True}


@dataclass
class Grant:
    id: str
    to: str
    role: Role
    ends: datetime | None
    over: bool = False


@dataclass
class Lent:
    id: str
    to: str
    operations: frozenset[str]
    ends: datetime
    granted: bool = False
    over: bool = False
    glass: str = ""
    reviewed: bool = False


@dataclass
class Token:
    id: str
    actor: ServiceAccount
    scopes: frozenset[str]
    ends: datetime
    over: bool = False


@dataclass
class Model:
    """What ought to be true, in as few words as possible."""

    now: datetime
    grants: list[Grant] = field(default_factory=list)
    lent: list[Lent] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    signed_out: set[str] = field(default_factory=set)
    program_over: bool = False

    def live(self, item: Any) -> bool:
        return not item.over and (item.ends is None or self.now < item.ends)

    def roles(self, who: str) -> set[Role]:
        return {item.role for item in self.grants if item.to == who and self.live(item)}

    def move(self, who: str, ends: datetime | None) -> None:
        """Who gets another role for long keeps the ones before for two weeks: nobody confirms them here."""
        lapses = self.now + timedelta(days=14)
        for item in self.grants:
            if item.to == who and self.live(item) and (ends is None or ends > lapses):
                item.ends = lapses if item.ends is None else min(item.ends, lapses)

    def here(self, who: str) -> bool:
        return who not in self.left and who not in self.signed_out

    def may(self, who: str, name: str) -> bool:
        if not self.here(who):
            return False
        lent = {
            op for item in self.lent if item.to == who and item.granted and self.live(item) for op in item.operations
        }
        return name == OWN or bool(self.roles(who) & READS[name][1]) or name in lent

    def may_break(self, who: str) -> bool:
        waiting = any(item.to == who and item.glass and not item.reviewed for item in self.lent)
        return self.here(who) and bool(self.roles(who) & set(BREAKERS)) and not waiting

    def may_use(self, token: Token, name: str) -> bool:
        return not self.program_over and self.live(token) and name in token.scopes


@dataclass
class Stage:
    """The real house; `boss`, `guard` and `deputy` stay, the others come anew with each example."""

    world: World
    boss: TeamMember
    guard: TeamMember
    deputy: TeamMember
    plays: int = 0
    people: dict[str, TeamMember] = field(default_factory=dict)
    program: str = ""


@pytest.fixture(scope="module")
def stage(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    data = tmp_path_factory.mktemp("standing") / "data"
    shutil.copytree(sqlite_template, data)
    with World.open(data, more=OPERATIONS, SUBS_ACCESS_TASK_LONGEST_MINUTES="60") as world:
        furnish(world)
        boss = people_with(world, "boss@example.org", Role.ADMINISTRATOR)
        guard = people_with(world, "guard@example.org", Role.SECURITY)
        yield Stage(world, boss, guard, people_with(world, "deputy@example.org", Role.ADMINISTRATOR))


@settings(max_examples=7, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.integers(20, 40))
def test_the_house_lets_exactly_what_the_model_lets(stage: Stage, seed: int, length: int) -> None:
    dice, world = Random(seed), stage.world
    stage.plays += 1
    world.clock.advance(days=2)
    sign_in(stage, Model(world.clock()))
    names = ("ada", "ben", "cleo")
    stage.people = {
        name: replace(people_with(world, f"{name}{stage.plays}@example.org"), **EVERYTHING) for name in names
    }
    wanted = CreateServiceAccount(f"Program {stage.plays}", stage.people["ada"].id)
    stage.program = world.do("access.create_service_account", stage.boss, wanted).id
    model = Model(world.clock())
    for verb in dice.choices([*WEIGHTS], [*WEIGHTS.values()], k=length):
        play(stage, model, verb, dice.choice(names), dice)
        for who in names:
            name = dice.choice([*READS, OWN])
            request = MyPermissions() if name == OWN else READS[name][0]
            agreed(model.may(who, name), lambda w=who, n=name, r=request: world.do(n, stage.people[w], r))
        if model.tokens:
            token, name = dice.choice(model.tokens), dice.choice(SCOPES)
            agreed(model.may_use(token, name), lambda t=token, n=name: use(world, t.actor, n))


def give(stage: Stage, wanted: GrantRole) -> Any:
    approve(stage.world, stage.deputy, ask(stage.world, stage.boss, "access.grant_role", wanted).id)
    return stage.world.do("access.grant_role", stage.boss, wanted)


def use(world: World, program: Actor, name: str) -> Any:
    return world.do(name, program, SearchLog(limit=1) if name == SCOPES[0] else ListRequests())


def sign_in(stage: Stage, model: Model) -> None:
    """New sessions for who has one, since time went by."""
    stage.boss = replace(stage.boss, **signed_in_again(stage.world, stage.boss))
    stage.guard = replace(stage.guard, **signed_in_again(stage.world, stage.guard))
    stage.deputy = replace(stage.deputy, **signed_in_again(stage.world, stage.deputy))
    for name, member in stage.people.items():
        if model.here(name):
            stage.people[name] = replace(member, **signed_in_again(stage.world, member))


def some(dice: Random, items: list[Any]) -> Any:
    """Mostly one of the newest."""
    return items[-min(len(items), dice.randint(1, 3))] if items else None


def play(stage: Stage, model: Model, verb: str, who: str, dice: Random) -> None:
    """One step in both, and the same outcome."""
    world, me, boss, guard = stage.world, stage.people[who], stage.boss, stage.guard
    if verb == "tick":
        world.clock.advance(minutes=dice.choice(TICKS))
        model.now = world.clock()
        sign_in(stage, model)
    elif verb == "role":
        role, days = dice.choice(GIVEN), dice.choice((None, 1, 1, 30))
        held = role in model.roles(who)
        wanted = GrantRole(me.id, role, "for the model", days)
        made = agreed(who not in model.left and not held, lambda: give(stage, wanted))
        if made:
            ends = None if days is None else model.now + timedelta(days=days)
            model.move(who, ends)
            model.grants.append(Grant(made.id, who, role, ends))
    elif verb == "end_role" and model.grants:
        item = some(dice, model.grants)
        # one whose time is up may still be marked as ended
        if model.live(item):
            item.over = bool(agreed(True, lambda: world.do("access.end_grant", boss, EndGrant(item.id, "enough"))))
    elif verb == "leave":
        if agreed(
            who not in model.left, lambda: world.do("access.deactivate_leaver", boss, DeactivateLeaver(me.id, "left"))
        ):
            leave(model, who)
    elif verb == "end_session":
        if agreed(model.here(who), lambda: world.do("identity.end_session", me, EndSession(me.session))):
            model.signed_out.add(who)
    elif verb == "sign_in" and who not in model.left:
        model.signed_out.discard(who)
        stage.people[who] = replace(me, **signed_in_again(world, me))
    elif verb == "break":
        break_glass(stage, model, who, dice)
    elif verb == "review":
        for item in [item for item in model.lent if item.glass][-1:]:
            allowed = not item.reviewed and not model.live(item)
            close = CloseGlassReview(item.glass, GlassVerdict.RIGHT, "Nothing but what was needed.")
            item.reviewed |= bool(agreed(allowed, lambda i=close: world.do("access.close_glass_review", guard, i)))
    elif verb in ("ask", "grant", "close", "revoke"):
        lend(stage, model, verb, who, dice)
    else:
        programs(stage, model, verb, dice)


def leave(model: Model, who: str) -> None:
    model.left.add(who)
    mine: list[Grant | Lent] = [*model.grants, *model.lent]
    for item in mine:
        item.over |= item.to == who
    model.program_over |= who == "ada"


def break_glass(stage: Stage, model: Model, who: str, dice: Random) -> None:
    """With a code that was sealed for it, by two."""
    world, me, boss, guard = stage.world, stage.people[who], stage.boss, stage.guard
    if not model.may_break(who):
        request = BreakGlass("aaaa-bbbb-cccc", "Nobody answers at all", About.OTHER, "", Role.BILLING, 30)
        agreed(False, lambda: world.do("access.break_glass", me, request))
        return
    asked = approving.ask(world, boss, "access.seal_glass", SealGlass())
    approving.approve(world, guard, asked.id)
    world.clock.advance(seconds=1)
    model.now = world.clock()
    code = world.do("access.seal_glass", boss, SealGlass()).code
    role, minutes = dice.choice([*LENT]), dice.choice((5, 30, 60))
    request = BreakGlass(code, "Nobody answers at all", About.OTHER, "", role, minutes)
    made = agreed(True, lambda: world.do("access.break_glass", me, request))
    ends = model.now + timedelta(minutes=minutes)
    model.lent.append(Lent(made.task.id, who, lends(role), ends, granted=True, glass=made.id))


def lends(role: Role) -> frozenset[str]:
    """What the whole role lends of what is looked at here."""
    return frozenset(name for name, (_, roles) in READS.items() if role in roles)


def lend(stage: Stage, model: Model, verb: str, who: str, dice: Random) -> None:
    world, me, guard = stage.world, stage.people[who], stage.guard
    if verb == "ask":
        role, minutes = dice.choice([*LENT]), dice.choice((20, 60))
        only = sorted(dice.sample(LENT[role], 1)) if dice.random() < 0.5 else []
        wanted = AskTask("Case", About.OTHER, "", role, minutes, only)
        made = agreed(model.here(who), lambda: world.do("access.ask_task", me, wanted))
        if made:
            ends = model.now + timedelta(minutes=minutes)
            model.lent.append(Lent(made.id, who, frozenset(only) or lends(role), ends))
        return
    item = some(dice, model.lent)
    if item is None:
        return
    if verb == "grant":
        allowed = model.live(item) and not item.granted
        item.granted |= bool(agreed(allowed, lambda: world.do("access.grant_task", guard, OneTask(item.id))))
    elif verb == "revoke":
        item.over |= bool(
            agreed(model.live(item), lambda: world.do("access.revoke_task", guard, EndTask(item.id, "enough")))
        )
    else:
        allowed = model.live(item) and item.to == who and model.here(who)
        item.over |= bool(agreed(allowed, lambda: world.do("access.close_task", me, OneTask(item.id))))


def programs(stage: Stage, model: Model, verb: str, dice: Random) -> None:
    world, boss = stage.world, stage.boss
    item = some(dice, model.tokens)
    if verb == "issue":
        scopes = sorted(dice.sample(SCOPES, dice.randint(1, 2)))
        wanted = IssueToken(stage.program, scopes, 1)
        add_token(stage, model, agreed(not model.program_over, lambda: world.do("access.issue_token", boss, wanted)))
    elif verb == "rotate" and item is not None:
        hours = dice.choice((0, 1))
        allowed = not model.program_over and model.live(item)
        made = agreed(allowed, lambda: world.do("access.rotate_token", boss, RotateToken(item.id, overlap_hours=hours)))
        if made:
            add_token(stage, model, made)
            item.ends = min(item.ends, model.now + timedelta(hours=hours))
    elif verb == "revoke_token" and item is not None:
        if not item.over and not model.program_over and model.live(item):
            agreed(True, lambda: world.do("access.revoke_token", boss, RevokeToken(item.id)))
            item.over = True
    elif verb == "end_program":
        over = agreed(
            not model.program_over,
            lambda: world.do("access.end_service_account", boss, EndServiceAccount(stage.program)),
        )
        model.program_over |= bool(over)


def add_token(stage: Stage, model: Model, made: Any) -> None:
    """The token as the edge finds it; it goes on claiming every operation."""
    if made is None:
        return
    with stage.world.house.store.reading() as connection:
        actor = resolve_token(connection, made.text, stage.world.clock)
    claimed = replace(actor, scopes=frozenset(SCOPES))
    model.tokens.append(Token(made.token.id, claimed, frozenset(made.token.scopes), made.token.expires_at))
