"""Reviews against a small model of them: who holds what at each instant, whatever happened before and whether or not
the job ever ran."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from subscription_services.access.model import grant
from subscription_services.access.review_facts import Facts
from subscription_services.access.review_model import Decision, decision, item, review
from subscription_services.access.review_policy import Scope
from subscription_services.access.review_queries import ReviewItem, one_review
from subscription_services.kernel.actors import Role
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.testing import World

from .reviewed import ROLES, Office, office

GRACE, AGAIN = timedelta(days=14), timedelta(days=5)
PERIODS = {Scope.ELEVATED: timedelta(days=30), Scope.STANDARD: timedelta(days=90)}
DECIDES = {Role.ADMINISTRATOR, Role.SECURITY}
WEIGHTS = {"wait": 4, "next": 4, "tend": 2, "keep": 12, "revoke": 1, "decoy": 5, "fooled": 4}
WAITS = (1, 1, 2, 4, 6, 15)


@dataclass
class Held:
    role: Role
    end: datetime
    order: int
    ended: bool = False

    @property
    def scope(self) -> Scope:
        return Scope.STANDARD if self.role is Role.SUPPORT else Scope.ELEVATED


@dataclass
class Open:
    """A review: until when, what it set the ends to, what was kept, and how many decoys are left."""

    scope: Scope
    opened: datetime
    due: datetime
    first_due: datetime
    asked: dict[str, datetime]
    decoys: int
    kept: dict[str, datetime] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)


@dataclass
class Model:
    """What ought to be true, in as few words as possible."""

    now: datetime
    held: dict[str, Held]
    open: dict[Scope, Open] = field(default_factory=dict)

    def counts(self, name: str) -> bool:
        mine = self.held[name]
        return not mine.ended and (mine.end > self.now or self.last_resort() == name)

    def last_resort(self) -> str | None:
        bosses = {n: h for n, h in self.held.items() if h.role is Role.ADMINISTRATOR and not h.ended}
        if not bosses or any(h.end > self.now for h in bosses.values()):
            return None
        return max(bosses, key=lambda n: (bosses[n].end, -bosses[n].order))

    def others_stay(self, name: str) -> bool:
        """Whether there is an administrator for good besides this one."""
        bosses = {n for n, h in self.held.items() if h.role is Role.ADMINISTRATOR and not h.ended}
        fresh = {n for n in bosses if self.held[n].end > self.now}
        return bool((fresh or bosses) - {name})

    def reviewers(self) -> set[str]:
        return {name for name in self.held if self.counts(name) and self.held[name].role in DECIDES}

    def may_decide(self, who: str, found: Open | None) -> bool:
        return found is not None and self.now < found.due and who in self.reviewers()

    def asks(self, scope: Scope, now: datetime) -> list[str]:
        limit = now + GRACE + PERIODS[scope] * 2 / 3
        return [n for n, h in self.held.items() if h.scope is scope and self.counts(n) and h.end <= limit]

    def tend(self) -> list[Scope]:
        """Returns what opened; how many decoys there are is read from the real one."""
        for scope in [scope for scope, found in self.open.items() if found.due <= self.now]:
            del self.open[scope]
        for name, mine in self.held.items():
            needed = mine.role is Role.ADMINISTRATOR and (not self.others_stay(name) or self.last_resort() == name)
            if not mine.ended and mine.end <= self.now and not needed:
                mine.ended = True
        return [scope for scope in Scope if scope not in self.open and self.is_due(scope)]

    def is_due(self, scope: Scope) -> bool:
        soon = [n for n, h in self.held.items() if h.scope is scope and self.counts(n) and h.end <= self.now + GRACE]
        return bool(soon) and any(who != about for who in self.reviewers() for about in self.asks(scope, self.now))

    def start(self, scope: Scope, decoys: int, voided: Open | None = None) -> None:
        due = self.now + GRACE if voided is None else min(self.now, voided.first_due) + AGAIN
        asked = self.asks(scope, self.now)
        for name in asked:
            self.held[name].end = min(self.held[name].end, due)
        first = due if voided is None else voided.first_due
        self.open[scope] = Open(scope, self.now, due, first, {n: self.held[n].end for n in asked}, decoys)

    def left(self, found: Open) -> int:
        undecided = [n for n in found.asked if n not in found.kept and n not in found.revoked and self.counts(n)]
        return len(undecided) + found.decoys

    def keep(self, found: Open, name: str) -> None:
        self.held[name].end = found.kept[name] = found.opened + PERIODS[found.scope] + GRACE
        self.finish(found)

    def revoke(self, found: Open, name: str) -> None:
        self.held[name].ended = True
        found.revoked.add(name)
        self.finish(found)

    def finish(self, found: Open) -> None:
        if not self.left(found):
            del self.open[found.scope]

    def void(self, found: Open) -> None:
        due = min(self.now, found.first_due) + AGAIN
        for name, end in found.asked.items():
            mine = self.held[name]
            if name not in found.revoked and not mine.ended:
                mine.end = due if mine.end == found.kept.get(name, end) else min(mine.end, due)
        del self.open[found.scope]


@pytest.fixture(scope="module")
def stage(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    data = tmp_path_factory.mktemp("reviews") / "data"
    shutil.copytree(sqlite_template, data)
    with World.open(data) as world:
        yield office(world)


@settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.integers(0, 2**32), st.integers(15, 50))
def test_everybody_holds_exactly_what_the_model_says(stage: Office, seed: int, length: int) -> None:
    model, dice = begun(stage), Random(seed)
    for verb in dice.choices([*WEIGHTS], [*WEIGHTS.values()], k=length):
        asked = [name for found in model.open.values() for name in found.asked]
        if not asked and dice.random() < 0.6:
            verb = "next"  # most of what can go wrong goes wrong while a review is open
        who = dice.choice([*model.reviewers()] * 3 + [*ROLES])
        about = dice.choice(asked * 3 + [*ROLES])
        if verb == "next":  # until a review is due, and the job runs
            soon = [h.end - GRACE for n, h in model.held.items() if model.counts(n) and h.end - GRACE > model.now]
            stage.world.clock.now = min(soon, default=model.now) + timedelta(seconds=dice.randrange(3600))
            model.now = stage.world.clock()
            tend(stage, model)
        elif verb == "wait":
            stage.world.clock.advance(days=dice.choice(WAITS), seconds=dice.randrange(100))
            model.now = stage.world.clock()
        elif verb == "tend":
            tend(stage, model)
        elif verb in ("keep", "revoke"):
            decide(stage, model, who, about, Decision(verb))
        else:
            meet_decoy(stage, model, who, dice.choice([*Scope]), Decision.KEEP if verb == "fooled" else Decision.REVOKE)
        holds = {name: stage.holds(name) for name in ROLES}
        assert holds == {name: {ROLES[name]} if model.counts(name) else set() for name in ROLES}, verb


def tend(stage: Office, model: Model) -> None:
    stage.tend()
    for scope in model.tend():
        model.start(scope, decoys_of(stage, scope))


def begun(stage: Office) -> Model:
    """The same people as if their roles had been given just now, and no review ever."""
    now = stage.world.clock()
    for table in (decision, item, review):
        stage.world.write(lambda c, table=table: c.execute(delete(table)))
    held = {}
    for order, (name, role) in enumerate(ROLES.items()):
        fresh = Held(role, now, order)
        fresh.end = now + PERIODS[fresh.scope] + GRACE
        mine = update(grant).where(grant.c.account == stage.people[name].id)
        # an hour apart, so that it is plain who has been there longest
        since = now - timedelta(hours=len(ROLES) - order)
        values = {"granted_at": since, "ends_at": fresh.end, "ended_at": None, "ended_by": None}
        stage.world.write(lambda c, mine=mine, values=values: c.execute(mine.values(values)))
        held[name] = fresh
    return Model(now, held)


def open_review(stage: Office, scope: Scope) -> str | None:
    """The id of the real one."""
    wanted = select(review.c.id).where(review.c.scope == scope, review.c.closed_at.is_(None))
    with stage.world.house.store.reading() as connection:
        found = connection.execute(wanted).scalar()
    return None if found is None else str(found)


def decoys_of(stage: Office, scope: Scope) -> int:
    found = open_review(stage, scope)
    assert found is not None, "the model has a review where there is none"
    return sum(facts.decoy for facts in stage.facts(found).values())


def items_of(stage: Office, found: str) -> list[tuple[ReviewItem, Facts]]:
    """What is asked, read by somebody who always may: it is not about reading here."""
    keys, facts = stage.world.house.ring.for_caller("access"), stage.facts(found)
    ctx = stage.world.house.kernel.context(stage.people["boss"])
    with stage.world.house.store.reading() as connection:
        page = one_review(ReadTransaction(connection, keys), ctx, found)
    return [(found, facts[found.id]) for found in page.items]


def decide(stage: Office, model: Model, who: str, about: str, wanted: Decision) -> None:
    mine = model.held[about]
    asked, real = model.open.get(mine.scope), open_review(stage, mine.scope)
    if real is None or asked is None:
        assert asked is None or real is not None, "the model has a review where there is none"
        return
    account = stage.people[about].id
    items = [shown for shown, facts in items_of(stage, real) if facts.account == account and not facts.decoy]
    assert bool(items) == (about in asked.asked)
    if not items:
        return
    again = about in asked.kept or about in asked.revoked
    allowed = model.may_decide(who, asked) and who != about and not again and model.counts(about)
    if wanted is Decision.REVOKE and mine.role is Role.ADMINISTRATOR:
        allowed = allowed and model.others_stay(about)
    if agreed(allowed, lambda: stage.decide(who, items[0], wanted)):
        model.now = stage.world.clock()
        (model.keep if wanted is Decision.KEEP else model.revoke)(asked, about)
    model.now = stage.world.clock()


def meet_decoy(stage: Office, model: Model, who: str, scope: Scope, wanted: Decision) -> None:
    asked, real = model.open.get(scope), open_review(stage, scope)
    if asked is None or real is None:
        return
    decoys = [shown for shown, facts in items_of(stage, real) if facts.decoy and shown.decision is None]
    assert len(decoys) == asked.decoys
    if not decoys or stage.world.clock() + timedelta(seconds=3) >= decoys[0].ends_at:
        return
    if agreed(model.may_decide(who, asked), lambda: stage.decide(who, decoys[0], wanted)):
        model.now = stage.world.clock()
        if wanted is Decision.REVOKE:
            asked.decoys -= 1
            model.finish(asked)
        else:
            model.void(asked)
            if model.asks(scope, model.now):
                model.start(scope, decoys_of(stage, scope), asked)
    model.now = stage.world.clock()


def agreed(allowed: bool, act: Any) -> bool:
    """Do it, and hold that it was let exactly when the model lets it."""
    try:
        act()
    except DomainError as error:
        assert not allowed, f"refused with {error.code}: {error.text}"
        return False
    assert allowed, "let, although the model refuses"
    return True
