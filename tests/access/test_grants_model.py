"""Approvals and tasks against a small model of them: who may do what at each instant, whatever happened before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import insert, update

from subscription_services.access.model import grant
from subscription_services.access.operations.approvals import Approve, OneRequest, RefuseApproval
from subscription_services.access.operations.tasks import AskTask, EndTask, OneTask
from subscription_services.access.tasks import About
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.errors import DomainError
from subscription_services.testing import World, approving
from subscription_services.testing.approving import ask, give_role

from .granting import OPERATIONS, Release, furnish, people_with, signed_in_again, thing, with_tasks
from .granting import About as Person

RELEASE = "access.test_release"
ROLES = {"ann": {Role.SECURITY}, "alias": {Role.SECURITY}, "bob": {Role.SECURITY}, "boss": {Role.ADMINISTRATOR},
         "bill": {Role.BILLING}, "clerk": {Role.SUPPORT}}  # fmt: skip
DECIDES = {"ann", "alias", "bob", "boss"}
DEPENDENT = {("ann", "alias"), ("alias", "ann"), ("boss", "bob")}
"""(who asks, who decides): two mailboxes of one person; bob got his role from the boss."""
WEIGHTS = {"ask": 5, "run": 6, "approve": 8, "refuse": 1, "withdraw": 1, "lend": 4, "grant": 6, "use": 5, "revoke": 1,
           "close": 1, "tick": 2, "row": 1}  # fmt: skip
DECIDING = {"ann": 6, "bob": 6, "boss": 6, "alias": 2, "bill": 1, "clerk": 1}
LENDING = {"clerk": 6, "boss": 4, "ann": 4, "bill": 1}
TICKS = (1, 20, 61, 13 * 60)


def drawn(seed: int, length: int) -> list[tuple[str, str, int]]:
    """Steps that meet each other often enough to mean something; lists that hypothesis draws seldom do."""
    dice = Random(seed)
    found = []
    for verb in dice.choices([*WEIGHTS], [*WEIGHTS.values()], k=length):
        people = LENDING if verb in ("lend", "use", "close") else DECIDING
        who = dice.choices([*people], [*people.values()])[0]
        number = dice.choice(TICKS) if verb == "tick" else dice.randrange(2)
        found.append((verb, who, number))
    return found


@dataclass
class Asked:
    id: str
    by: str
    number: int
    version: int
    ends: datetime
    approved: set[str] = field(default_factory=set)
    over: bool = False


@dataclass
class Lent:
    id: str
    to: str
    ends: datetime
    granted: bool = False
    over: bool = False


@dataclass
class Model:
    """What ought to be true, in as few words as possible."""

    now: datetime
    version: int = 1
    asked: list[Asked] = field(default_factory=list)
    tasks: list[Lent] = field(default_factory=list)

    def live(self, item: Asked | Lent) -> bool:
        return not item.over and self.now < item.ends

    def independent(self, by: str, other: str) -> bool:
        return by != other and (by, other) not in DEPENDENT

    def may_ask(self, who: str, number: int) -> bool:
        same = [i for i in self.asked if (i.by, i.number, i.version) == (who, number, self.version) and self.live(i)]
        return who in DECIDES and not same

    def may_approve(self, who: str, item: Asked) -> bool:
        return (
            who in DECIDES and self.live(item) and item.version == self.version
            and self.independent(item.by, who) and who not in item.approved
        )  # fmt: skip

    def usable(self, who: str, number: int) -> list[Asked]:
        return [
            item for item in self.asked
            if (item.by, item.number, item.version) == (who, number, self.version) and self.live(item) and item.approved
        ]  # fmt: skip

    def may_use(self, who: str) -> bool:
        return who == "bill" or any(item.to == who and item.granted and self.live(item) for item in self.tasks)

    def may_grant(self, who: str, item: Lent) -> bool:
        return who in DECIDES and self.live(item) and not item.granted and self.independent(item.to, who)


@dataclass
class Stage:
    """The real house with the same people, for all examples."""

    world: World
    people: dict[str, TeamMember]
    plays: int = 0


@pytest.fixture(scope="module")
def stage(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    data = tmp_path_factory.mktemp("model") / "data"
    shutil.copytree(sqlite_template, data)
    with World.open(data, more=OPERATIONS, SUBS_ACCESS_TASK_LONGEST_MINUTES="60") as world:
        furnish(world)
        people = {
            name: people_with(world, "ann+more@example.org" if name == "alias" else f"{name}@example.org", *roles)
            for name, roles in ROLES.items()
        }
        give_role(world, people["boss"], people["bob"].id, Role.OPERATIONS)
        far = {"ends_at": world.clock() + timedelta(days=3650), "moved_at": None, "ends_before": None}
        world.write(lambda c: c.execute(update(grant).values(far)))  # the model knows of no role that lapses
        yield Stage(world, people)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.integers(15, 60))
def test_the_house_allows_exactly_what_the_model_allows(stage: Stage, seed: int, length: int) -> None:
    stage.plays += 1
    world = stage.world
    world.clock.advance(days=2)  # whatever an earlier example left is over
    sign_in(stage)
    world.write(lambda c: c.execute(insert(thing), {"id": f"thing{stage.plays}", "version": 1}))
    model = Model(world.clock())
    for verb, who, number in drawn(seed, length):
        play(stage, model, verb, who, number)


def newest(items: list[Any], back: int) -> Any:
    """The newest item, or one a little older."""
    return items[max(-1 - back, -len(items))]


def sign_in(stage: Stage) -> None:
    for name, member in stage.people.items():
        stage.people[name] = replace(member, **signed_in_again(stage.world, member))


def play(stage: Stage, model: Model, verb: str, who: str, number: int) -> None:
    """One step in both, and the same outcome."""
    world, me = stage.world, with_tasks(stage.world, stage.people[who])
    request = Release(number, f"thing{stage.plays}")
    if verb == "tick":
        world.clock.advance(minutes=number)
        model.now = world.clock()
        sign_in(stage)
    elif verb == "row":
        model.version += 1
        world.write(lambda c: c.execute(update(thing).where(thing.c.id == request.id).values(version=model.version)))
    elif verb == "ask":
        made = agreed(model.may_ask(who, number), lambda: ask(world, me, RELEASE, request))
        if made:
            model.asked.append(Asked(made.id, who, number, model.version, model.now + timedelta(hours=24)))
    elif verb == "run":
        if model.asked and number == 0:  # whoever asked last, mostly; nobody else may
            who, request = model.asked[-1].by, Release(model.asked[-1].number, f"thing{stage.plays}")
            me, number = with_tasks(world, stage.people[who]), request.number
        usable = model.usable(who, number)
        if agreed(bool(usable), lambda: world.do(RELEASE, me, request)):
            usable[0].over = True
    elif verb == "lend":
        wanted = AskTask("Case", About.OTHER, "", Role.BILLING, 60)
        made = agreed(True, lambda: world.do("access.ask_task", me, wanted))
        model.tasks.append(Lent(made.id, who, model.now + timedelta(minutes=60)))
    elif verb == "use":
        agreed(model.may_use(who), lambda: world.do("access.test_lent", me, Person("acc_x")))
    elif verb in ("approve", "refuse", "withdraw"):
        decide(world, model, verb, who, me, newest(model.asked, number) if model.asked else None)
    else:
        lend(world, model, verb, who, me, newest(model.tasks, number) if model.tasks else None)


def decide(world: World, model: Model, verb: str, who: str, me: TeamMember, item: Asked | None) -> None:
    if item is None:
        return
    if verb == "approve":
        if agreed(model.may_approve(who, item), lambda: approve(world, me, item)):
            item.approved.add(who)
    elif verb == "refuse":
        allowed = who in DECIDES and model.live(item) and who != item.by
        refusal = RefuseApproval(item.id, "not today")
        item.over |= bool(agreed(allowed, lambda: world.do("access.refuse_approval", me, refusal)))
    else:
        allowed = who == item.by and model.live(item)
        item.over |= bool(agreed(allowed, lambda: world.do("access.withdraw_request", me, OneRequest(item.id))))


def approve(world: World, me: TeamMember, item: Asked) -> Any:
    """As the page does it, signed; with nothing that fits for who may not see the words."""
    try:
        sent = approving.read(world, me, item.id)
    except DomainError:
        sent = Approve(item.id, "0" * 64)
    return world.do("access.approve", me, sent)


def lend(world: World, model: Model, verb: str, who: str, me: TeamMember, item: Lent | None) -> None:
    if item is None:
        return
    if verb == "grant":
        allowed = model.may_grant(who, item)
        item.granted |= bool(agreed(allowed, lambda: world.do("access.grant_task", me, OneTask(item.id))))
    elif verb == "revoke":
        allowed = who in DECIDES and model.live(item)
        item.over |= bool(agreed(allowed, lambda: world.do("access.revoke_task", me, EndTask(item.id, "enough"))))
    else:
        allowed = who == item.to and model.live(item)
        item.over |= bool(agreed(allowed, lambda: world.do("access.close_task", me, OneTask(item.id))))


def agreed(allowed: bool, act: Any) -> Any:
    """Do it, and hold that it was let exactly when the model lets it. Returns the answer, None for a refusal."""
    try:
        answer: msgspec.Struct = act()
    except DomainError as error:
        assert not allowed, f"refused with {error.code}: {error.text}"
        return None
    assert allowed, "let, although the model refuses"
    return answer
