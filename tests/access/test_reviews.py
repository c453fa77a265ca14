"""Access reviews: opened in time, decided one by one, void where nobody read, and power that ends by time alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.access.errors import (
    Decided,
    LapsedMeanwhile,
    NotIndependent,
    ReviewForged,
    ReviewOver,
    ShownOtherwise,
)
from subscription_services.access.model import grant
from subscription_services.access.operations.people import EndGrant, People
from subscription_services.access.operations.reviews import DecideItem
from subscription_services.access.review_model import Decision, Outcome, decision, item, review
from subscription_services.access.review_policy import Scope
from subscription_services.kernel.actors import Role
from subscription_services.kernel.errors import Refusal, StepUpNeeded
from subscription_services.testing import World

from .reviewed import Office, letters, office

KEEP, REVOKE = Decision.KEEP, Decision.REVOKE


@pytest.fixture
def team(world: World) -> Office:
    return office(world)


def opened(team: Office, days: int = 30, scope: Scope = Scope.ELEVATED) -> str:
    """Time goes by, the job runs, and a review is there. Returns its id."""
    team.world.clock.advance(days=days, seconds=7, microseconds=123457)
    team.tend()
    return team.open(scope).id


def test_nothing_is_asked_before_it_is_time(team: Office) -> None:
    team.world.clock.advance(days=29)
    team.tend()
    assert team.reviews() == []


def test_from_opening_to_the_end_with_what_was_kept_moved_on(team: Office) -> None:
    made = opened(team)
    found = team.open()
    assert (found.due_at - found.opened_at).days == 14
    real = [fact for fact in team.facts(made).values() if not fact.decoy]
    assert {fact.account for fact in real} == {team.people[name].id for name in ("boss", "deputy", "sam")}
    assert found.items > len(real)
    last = team.finish(made)[-1]
    assert (last.left, last.outcome) == (0, Outcome.CLOSED)
    team.world.clock.advance(days=40)  # beyond the end that they had without it
    for name in ("boss", "deputy", "sam"):
        assert team.holds(name) == {Role[{"sam": "SECURITY"}.get(name, "ADMINISTRATOR")]}


def test_a_lapsed_review_leaves_no_access_although_no_job_ever_ran(team: Office) -> None:
    """teleport 63507: a lapsed review leaves access."""
    team.world.clock.advance(days=44, seconds=-1)
    assert team.holds("sam") == {Role.SECURITY}
    team.world.clock.advance(seconds=2)
    assert team.holds("sam") == set()
    with pytest.raises(Refusal):
        team.world.do("access.people", team.now("sam"), People())


def test_what_nobody_decided_lapses_on_the_due_date_and_is_written_down(team: Office) -> None:
    made = opened(team)
    for name in ("boss", "deputy"):
        other = "deputy" if name == "boss" else "boss"
        team.decide(other, team.about(made, name), KEEP)
    team.world.clock.advance(days=14)
    assert team.holds("sam") == set()
    team.tend()
    (over,) = team.reviews()
    assert over.outcome is Outcome.LAPSED
    (event,) = team.world.events("access.end_lapsed_grant")
    assert (event.subject, event.actor) == (team.people["sam"].id, "system:access.reviews")
    assert ("access.grant_lapsed", team.people["sam"].id) in letters(team.world)
    assert team.holds("boss") == team.holds("deputy") == {Role.ADMINISTRATOR}


def test_nobody_decides_about_their_own_and_the_database_agrees(team: Office) -> None:
    made = opened(team)
    mine = team.about(made, "boss")
    assert "your own role" in mine.why_not
    with pytest.raises(NotIndependent):
        team.decide("boss", mine, KEEP)
    row = _rows(team.world, item, mine.id)
    forged = {"item": mine.id, "whose": row.whose, "decision": "revoke", "decided_by": "x", "decider": row.whose,
              "decided_at": team.world.clock(), "shown": bytes(33), "mac": b""}  # fmt: skip
    with pytest.raises(IntegrityError):
        team.world.write(lambda c: c.execute(insert(decision), forged))


def test_each_is_decided_once_as_it_was_shown_by_who_signed_in_lately(team: Office) -> None:
    made = opened(team)
    sam = team.about(made, "sam")
    with pytest.raises(ShownOtherwise):
        team.world.do("access.decide_review_item", team.now("boss"), DecideItem(sam.id, KEEP, "0" * 66))
    team.decide("boss", sam, KEEP)
    with pytest.raises(Decided):
        team.decide("deputy", sam, REVOKE)
    team.now("boss")
    team.world.clock.advance(minutes=16)
    with pytest.raises(StepUpNeeded):
        team.world.do(
            "access.decide_review_item", team.people["boss"], DecideItem(sam.id, KEEP, sam.shown)
        )  # fmt: skip


def test_revoking_ends_it_at_once_with_a_letter(team: Office) -> None:
    made = opened(team)
    team.decide("boss", team.about(made, "sam"), REVOKE)
    assert team.holds("sam") == set()
    assert ("access.grant_revoked", team.people["sam"].id) in letters(team.world)
    ended = team.about(made, "sam")
    assert (ended.decision, ended.decided_by) == (REVOKE, "Tess Team")


def test_what_ended_in_the_meantime_is_not_asked_about(team: Office) -> None:
    made = opened(team)
    sam = team.about(made, "sam")
    held = team.facts(made)[sam.id].object
    team.world.do("access.end_grant", team.now("boss"), EndGrant(held, "moved on"))
    assert team.about(made, "sam").over
    with pytest.raises(LapsedMeanwhile):
        team.decide("boss", sam, KEEP)


def test_keeping_a_decoy_makes_the_review_void_and_another_begins(team: Office) -> None:
    made = opened(team)
    first_due = team.open().due_at
    team.decide("boss", team.about(made, "sam"), KEEP)
    done = team.decide("deputy", team.decoy(made), KEEP)
    assert (done.outcome, bool(done.again)) == (Outcome.VOIDED, True)
    again = team.open()
    assert (again.id, again.replaces) == (done.again, made)
    assert again.due_at < first_due
    ends = {row.account: row.ends_at for row in _all(team.world, select(grant).where(grant.c.ended_at.is_(None)))}
    assert ends[team.people["sam"].id] == again.due_at  # what was kept is not
    assert {who for what, who in letters(team.world) if what == "access.review_void"} == {
        team.people[name].id for name in ("boss", "deputy", "sam")
    }
    with pytest.raises(ReviewOver):
        team.decide("boss", team.about(made, "deputy"), KEEP)
    team.finish(again.id)
    assert team.holds("sam") == {Role.SECURITY}


def test_a_void_review_leaves_time_to_answer(team: Office) -> None:
    """Somebody who keeps a decoy in the last hour does not take everybody's roles with it."""
    made = opened(team)
    ends = update(grant).where(grant.c.account == team.people["sam"].id)
    soon = team.world.clock() + timedelta(days=13, hours=23)
    team.world.write(lambda c: c.execute(ends.values(ends_at=soon)))  # a move to another task brought it forward
    first_due = team.open().due_at
    team.world.clock.now = first_due - timedelta(hours=20)
    team.decide("boss", team.decoy(made), KEEP)
    team.world.clock.now = first_due + timedelta(days=1)
    assert team.holds("deputy") == {Role.ADMINISTRATOR}
    assert team.holds("sam") == set()


def test_void_reviews_cannot_carry_roles_on_for_ever(team: Office) -> None:
    made = opened(team)
    first_due = team.open().due_at
    while team.world.clock() < first_due:
        assert team.holds("sam") == {Role.SECURITY}
        made = team.decide("boss", team.decoy(made), KEEP).again
        team.world.clock.advance(days=3)
    team.world.clock.now = first_due + timedelta(days=5)
    assert team.holds("sam") == set()


def test_revoking_a_decoy_does_nothing_but_count(team: Office) -> None:
    made = opened(team)
    before = _all(team.world, select(grant))
    done = team.decide("boss", team.decoy(made), REVOKE)
    assert done.outcome is None
    assert _all(team.world, select(grant)) == before


def test_a_forged_row_is_noticed(team: Office) -> None:
    made = opened(team)
    sam = team.about(made, "sam")
    team.world.write(lambda c: c.execute(update(review).values(due_at=team.world.clock() + timedelta(days=99))))
    with pytest.raises(ReviewForged):
        team.decide("boss", sam, KEEP)


def test_reminders_come_closer_and_reach_whom_it_hits(team: Office) -> None:
    opened(team)
    for days in (7, 6):
        team.world.clock.advance(days=days)
        team.tend()
        team.tend()  # once each
    due = [who for what, who in letters(team.world) if what == "access.review_due"]
    assert len(due) == 2 * 3
    assert ("access.grant_lapses", team.people["sam"].id) in letters(team.world)
    assert [event.details["days"] for event in team.world.events("access.remind_reviewers")] == [7, 1]


def test_no_operation_decides_about_several_at_once(world: World) -> None:
    about = [op for op in world.house.kernel.registry if "review_item" in op.name and op.changes and not op.internal]
    assert [op.name for op in about] == ["access.decide_review_item"]
    fields = DecideItem.__struct_fields__
    assert fields == ("id", "decision", "shown")
    assert all(DecideItem.__annotations__[name] for name in fields)
    assert "list" not in str(DecideItem.__annotations__).lower()


def _rows(world: World, table: Table, identifier: str) -> Any:
    return _all(world, select(table).where(table.c.id == identifier))[0]


def _all(world: World, statement: Any) -> Any:
    with world.house.store.reading() as connection:
        return connection.execute(statement).all()
