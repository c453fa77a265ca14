"""Decoys: nothing that a reviewer, or somebody who reads the database, can look at tells them from what is real."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import func, select

from subscription_services.access import claims_of
from subscription_services.access.model import grant, service_account
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken
from subscription_services.access.review_decoys import shuffled
from subscription_services.access.review_facts import LENGTH, items_of, whose
from subscription_services.access.review_model import Decision, decision, item
from subscription_services.access.review_policy import Scope, stands_until
from subscription_services.access.review_queries import ReviewItem
from subscription_services.kernel.actors import Role
from subscription_services.kernel.ids import PATTERN
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.testing import World

from .reviewed import Office, office


@pytest.fixture
def team(world: World) -> Office:
    """People and programs, some of whom did something."""
    made = office(world)
    world.clock.advance(days=3, microseconds=654321)
    made.join("ida", Role.AUDITOR)
    for number in range(4):
        boss = made.now("boss")
        account = world.do("access.create_service_account", boss, CreateServiceAccount(f"Program {number}", boss.id)).id
        if number % 2:
            world.do("access.issue_token", boss, IssueToken(account, ["access.audit_log"]))
    return made


def opened(team: Office, scope: Scope) -> str:
    """A review of this kind."""
    team.world.clock.advance(days=87, seconds=3, microseconds=123457)
    team.confirm(Role.ADMINISTRATOR, Role.SECURITY)
    if scope is Scope.ELEVATED:
        team.world.clock.advance(days=31)
    team.tend()
    return team.open(scope).id


def shape(found: ReviewItem) -> tuple[object, ...]:
    """What there is to see of an item besides what it says."""
    known = msgspec.to_builtins(found, enc_hook=str)
    lengths = tuple((name, type(value).__name__, bool(value) or None) for name, value in sorted(known.items())
                    if name not in ("used", "scopes", "last_used_at", "why_not"))  # fmt: skip
    return found.kind, lengths, len(found.shown), PATTERN.fullmatch(found.id) is not None, found.id[:4]


@pytest.mark.parametrize("scope", Scope)
def test_a_decoy_has_the_shape_of_what_is_real(team: Office, scope: Scope) -> None:
    made = opened(team, scope)
    facts, due = team.facts(made), team.open(scope).due_at
    for name in ("boss", "sam"):
        shown = team.items(made, name)
        decoys = [found for found in shown if facts[found.id].decoy]
        real = {shape(found) for found in shown if not facts[found.id].decoy}
        assert decoys
        for found in decoys:
            assert shape(found) in real
            until = stands_until(Role(found.role) if found.role else None, found.since)
            assert found.ends_at in {due, until, *(other.ends_at for other in shown if not facts[other.id].decoy)}
        text = msgspec.json.encode(shown, enc_hook=str).decode()
        assert "decoy" not in text
        for fact in facts.values():
            assert fact.object not in text
            assert fact.account not in text


def test_the_order_says_nothing(team: Office) -> None:
    """Over many reviews a decoy is as often in the first half as in the second."""
    firsts = sum(shuffled(range(10), team.world.house.kernel.random)[0] < 5 for _ in range(400))
    assert 120 < firsts < 280


@pytest.mark.parametrize("scope", Scope)
def test_the_database_does_not_say_which_ones(team: Office, scope: Scope) -> None:
    made = opened(team, scope)
    with team.world.house.store.reading() as connection:
        rows = connection.execute(select(item).where(item.c.review == made)).all()
        known = {row.account for row in connection.execute(select(grant.c.account))}
        assert connection.execute(select(func.count()).select_from(decision)).scalar() == 0
    keys = team.world.house.ring.for_caller("access")
    assert len({len(bytes(row.facts)) for row in rows}) == 1  # all as long
    assert len(bytes(rows[0].facts)) > LENGTH
    assert len({bytes(row.whose) for row in rows}) == len(rows)  # one person has another code in each
    plain = b"".join(bytes(value) for row in rows for value in (row.facts, row.whose, row.mac))
    for text in (b"decoy", b"example.org", *(account.encode() for account in known)):
        assert text not in plain
    # who has the key finds out, so what is compared above is what it means
    facts = team.facts(made)
    assert all(bytes(row.whose) == whose(keys, row.id, facts[row.id].account) for row in rows)


@pytest.mark.parametrize("scope", Scope)
def test_nothing_that_a_decoy_names_exists_or_has_power(team: Office, scope: Scope) -> None:
    world = team.world
    made = opened(team, scope)
    keys = world.house.ring.for_caller("access")
    with world.house.store.reading() as connection:
        found = items_of(ReadTransaction(connection, keys), made)
        decoys = [facts for _, facts in found if facts.decoy]
        ids = [facts.object for facts in decoys]
        assert connection.execute(select(grant).where(grant.c.id.in_(ids))).all() == []
        assert connection.execute(select(service_account).where(service_account.c.id.in_(ids))).all() == []
        people = [facts.account for facts in decoys if facts.role]
        assert all(not claims_of(connection, keys, account, world.clock()).roles for account in people)
        assert connection.execute(select(grant).where(grant.c.account.in_(people))).all() == []


def test_the_log_says_the_same_of_both(team: Office) -> None:
    made = opened(team, Scope.ELEVATED)
    facts = team.facts(made)
    team.decide("boss", team.decoy(made), Decision.REVOKE)
    team.decide("boss", team.about(made, "sam"), Decision.REVOKE)
    one, other = team.world.events("access.decide_review_item")
    assert facts[str(one.details["item"])].decoy != facts[str(other.details["item"])].decoy
    for name in ("object", "object_kind", "subject", "outcome", "actor_kind"):
        assert getattr(one, name) == getattr(other, name), name
    assert {name: type(value) for name, value in one.details.items()} == {
        name: type(value) for name, value in other.details.items()
    }
    assert [len(str(value)) for value in one.details.values()] == [len(str(value)) for value in other.details.values()]
