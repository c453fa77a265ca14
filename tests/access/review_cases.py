"""Cases of the operations of access reviews."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from subscription_services.access.model import grant, service_account
from subscription_services.access.operations.review_schedule import OneLapsed, OpenReview, RemindReviewers
from subscription_services.access.operations.reviews import DecideItem, ListReviews, OneReview
from subscription_services.access.operations.service_accounts import CreateServiceAccount
from subscription_services.access.review_model import Decision
from subscription_services.access.review_policy import Scope
from subscription_services.kernel.actors import Role
from subscription_services.ledger.sequencer import sequence
from subscription_services.testing import Case, World
from subscription_services.testing.cases import Act

from .reviewed import Office, office

BY_JOB = "access.reviews"


def _due(world: World) -> Office:
    """Three people of a month ago, whose roles have to be asked about."""
    team = office(world, "boss", "deputy", "sam")
    world.clock.advance(days=30)
    return team


def _opened(world: World) -> tuple[Office, str]:
    team = _due(world)
    world.do("access.open_review", world.system(BY_JOB), OpenReview(Scope.ELEVATED))
    return team, team.open().id


def _over(world: World) -> tuple[Office, str]:
    team, made = _opened(world)
    team.finish(made)
    return team, made


def _decide(world: World, name: str) -> Act:
    team, made = _opened(world)
    item = team.about(made, "sam")
    return team.now(name), DecideItem(item.id, Decision.KEEP, item.shown)


def _at_the_end(world: World, days: int) -> str:
    _, made = _opened(world)
    world.clock.advance(days=days)
    return made


def _lapsed(world: World, role: Role) -> str:
    """A grant whose time is up, of the given role; for an administrator the last one."""
    member = world.team(role)
    if role is not Role.ADMINISTRATOR:
        world.team(Role.ADMINISTRATOR)
    over = update(grant).where(grant.c.account == member.id).values(ends_at=world.clock() + timedelta(minutes=1))
    world.clock.advance(minutes=1)
    world.write(lambda c: c.execute(over))
    with world.house.store.reading() as connection:
        return str(connection.execute(grant.select().where(grant.c.account == member.id)).one().id)


def _lapsed_program(world: World) -> str:
    boss = world.team(Role.ADMINISTRATOR)
    made = world.do("access.create_service_account", boss, CreateServiceAccount("Forgotten", boss.id)).id
    world.write(lambda c: c.execute(update(service_account).values(confirmed_until=world.clock())))
    return str(made)


def _signed(world: World) -> Act:
    team, made = _over(world)
    world.run(sequence(world.house.store, world.house.log, world.clock))
    return team.now("boss"), OneReview(made)


def _as(world: World, role: Role, make: Callable[[World], Any], request: Callable[[Any], Any] = OneReview) -> Act:
    """Somebody who comes once it is made: months may have gone by."""
    made = make(world)
    return world.team(role), request(made)


def _of(world: World) -> str:
    return _opened(world)[1]


REVIEW_CASES = [
    Case("access.reviews", lambda w: (w.team(Role.AUDITOR), ListReviews()), lambda w: (w.team(), ListReviews())),
    Case(
        "access.review",
        lambda w: _as(w, Role.AUDITOR, _of),
        lambda w: _as(w, Role.SUPPORT, _of),
    ),
    Case(
        "access.decide_review_item",
        lambda w: _decide(w, "deputy"),
        lambda w: _as(w, Role.AUDITOR, lambda w: _decide(w, "sam")[1], lambda made: made),
    ),
    Case(
        "access.review_record",
        _signed,
        lambda w: _as(w, Role.SUPPORT, _of),
    ),
    Case(
        "access.open_review",
        lambda w: (_due(w).world.system(BY_JOB), OpenReview(Scope.ELEVATED)),
        lambda w: (_due(w).now("boss"), OpenReview(Scope.ELEVATED)),
    ),
    Case(
        "access.remind_reviewers",
        lambda w: (w.system(BY_JOB), RemindReviewers(_at_the_end(w, 7), 7)),
        lambda w: _as(w, Role.SECURITY, lambda w: _at_the_end(w, 7), lambda made: RemindReviewers(made, 7)),
    ),
    Case(
        "access.close_review",
        lambda w: (w.system(BY_JOB), OneReview(_at_the_end(w, 14))),
        lambda w: (w.system(BY_JOB), OneReview(_at_the_end(w, 13))),
    ),
    Case(
        "access.end_lapsed_grant",
        lambda w: (w.system(BY_JOB), OneLapsed(_lapsed(w, Role.SUPPORT))),
        lambda w: (w.system(BY_JOB), OneLapsed(_lapsed(w, Role.ADMINISTRATOR))),
    ),
    Case(
        "access.end_lapsed_service_account",
        lambda w: (w.system(BY_JOB), OneLapsed(_lapsed_program(w))),
        lambda w: (w.team(Role.SECURITY), OneLapsed(_lapsed_program(w))),
    ),
    Case(
        "access.warn_last_administrator",
        lambda w: (w.system(BY_JOB), OneLapsed(_lapsed(w, Role.ADMINISTRATOR))),
        lambda w: (w.system(BY_JOB), OneLapsed(_lapsed(w, Role.SUPPORT))),
    ),
]
