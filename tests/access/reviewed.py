"""A team whose roles stand as the operations make them, and its reviews, for tests of those."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import select, update

from subscription_services.access import roles_of
from subscription_services.access.model import grant
from subscription_services.access.operations.reviews import DecidedItem, DecideItem, ListReviews, OneReview
from subscription_services.access.review_facts import Facts, items_of
from subscription_services.access.review_jobs import TendReviews, tend_reviews
from subscription_services.access.review_model import Decision
from subscription_services.access.review_policy import Scope, stands_until
from subscription_services.access.review_queries import Review, ReviewItem
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.mail.letters import JOB_KIND
from subscription_services.testing import World
from subscription_services.testing.people import sign_up_team_member

from .granting import signed_in_again

NAMES = {"boss": "Grace Hopper", "deputy": "Alan Turing", "sam": "Sam Sentry", "clerk": "Carl Clerk"}
ROLES = {"boss": Role.ADMINISTRATOR, "deputy": Role.ADMINISTRATOR, "sam": Role.SECURITY, "clerk": Role.SUPPORT}


@dataclass
class Office:
    """People by their names, each with one role that ends as if it had been given today."""

    world: World
    people: dict[str, TeamMember] = field(default_factory=dict)

    def join(self, name: str, *roles: Role) -> TeamMember:
        member = sign_up_team_member(self.world, f"{name}@example.org", frozenset(roles))
        for role in roles:
            mine = update(grant).where(grant.c.account == member.id, grant.c.role == role)
            boss = self.people["boss"].id if self.people else "system:testing"
            self._write(mine.values(ends_at=stands_until(role, self.world.clock()), granted_by=boss))
        self.people[name] = member
        return member

    def confirm(self, *roles: Role) -> None:
        """Everybody's grants of these roles stand as if they had been confirmed just now."""
        for role in roles:
            until = {"ends_at": stands_until(role, self.world.clock())}
            self.world.write(
                lambda c, role=role, until=until: c.execute(update(grant).where(grant.c.role == role), until)
            )

    def _write(self, statement: Any) -> None:
        self.world.write(lambda connection: connection.execute(statement))

    def now(self, name: str) -> TeamMember:
        """The person, signed in just now."""
        member = self.people[name] = replace(self.people[name], **signed_in_again(self.world, self.people[name]))
        return member

    def holds(self, name: str) -> set[Role]:
        with self.world.house.store.reading() as connection:
            return set(roles_of(connection, self.people[name].id, self.world.clock()))

    def tend(self) -> None:
        self.world.run(tend_reviews(self.world.house.kernel, TendReviews()))

    def reviews(self, name: str = "boss") -> list[Review]:
        found: list[Review] = self.world.do("access.reviews", self.now(name), ListReviews()).reviews
        return found

    def open(self, scope: Scope = Scope.ELEVATED, name: str = "boss") -> Review:
        (found,) = [item for item in self.reviews(name) if item.scope is scope and item.closed_at is None]
        return found

    def items(self, review: str, name: str = "boss") -> list[ReviewItem]:
        found: list[ReviewItem] = self.world.do("access.review", self.now(name), OneReview(review)).items
        return found

    def facts(self, review: str) -> dict[str, Facts]:
        """What each item is about, decoys included: only a test knows."""
        keys = self.world.house.ring.for_caller("access")
        with self.world.house.store.reading() as connection:
            return {row.id: facts for row, facts in items_of(ReadTransaction(connection, keys), review)}

    def decide(self, name: str, item: ReviewItem, decision: Decision) -> DecidedItem:
        self.world.clock.advance(seconds=3)  # nobody reads faster
        answer: DecidedItem = self.world.do(
            "access.decide_review_item", self.now(name), DecideItem(item.id, decision, item.shown)
        )
        return answer

    def about(self, review: str, name: str) -> ReviewItem:
        """The item about somebody's role."""
        facts = self.facts(review)
        wanted = self.people[name].id
        return next(i for i in self.items(review) if facts[i.id].account == wanted and not facts[i.id].decoy)

    def decoy(self, review: str, *, but: str = "") -> ReviewItem:
        facts = self.facts(review)
        return next(i for i in self.items(review) if facts[i.id].decoy and i.decision is None and i.id != but)

    def finish(self, review: str, revoke: tuple[str, ...] = ()) -> list[DecidedItem]:
        """Everybody decides what they may: decoys go, real ones stay, but for those whose holders are named."""
        facts, done = self.facts(review), []
        gone = {self.people[name].id for name in revoke}
        for item in self.items(review):
            fact = facts[item.id]
            decision = Decision.REVOKE if fact.decoy or fact.account in gone else Decision.KEEP
            for name in self.people:
                if not self.holds(name) & {Role.ADMINISTRATOR, Role.SECURITY}:
                    continue
                mine = next(i for i in self.items(review, name) if i.id == item.id)
                if not mine.why_not and mine.decision is None:
                    done.append(self.decide(name, mine, decision))
                    break
        return done


def office(world: World, *names: str) -> Office:
    made = Office(world)
    for name in names or tuple(ROLES):
        made.join(name, ROLES[name])
    return made


def letters(world: World) -> list[tuple[str, str]]:
    """Letters that wait or were sent: which, to whom."""
    with world.house.store.reading() as connection:
        rows = connection.execute(select(job.c.payload).where(job.c.kind == JOB_KIND)).all()
    found: list[dict[str, Any]] = [msgspec.json.decode(row.payload) for row in rows]
    return [(str(item["letter"]), str(item["account"])) for item in found]
