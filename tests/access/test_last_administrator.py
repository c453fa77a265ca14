"""What lapses never locks out the last administrator, and that is all that it never does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from subscription_services.access.errors import LastAdministrator
from subscription_services.access.letter_parts import SECURITY_CONTACT
from subscription_services.access.model import grant, service_account, token
from subscription_services.access.operations.leavers import DeactivateLeaver
from subscription_services.access.operations.people import EndGrant, MyPermissions, People
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken
from subscription_services.access.programs import resolve_token
from subscription_services.access.review_checks import LONGEST, reviewed
from subscription_services.access.review_model import Decision
from subscription_services.access.review_policy import Scope
from subscription_services.kernel.actors import Role
from subscription_services.kernel.checks import Verdict
from subscription_services.kernel.errors import NotSignedIn
from subscription_services.testing import World
from subscription_services.testing.approving import give_role, invited

from .reviewed import Office, letters, office

ADMINISTRATOR = {Role.ADMINISTRATOR}


def wait(team: Office, days: int, *, jobs: bool = True) -> None:
    """Days go by, with or without jobs."""
    for _ in range(days):
        team.world.clock.advance(days=1)
        if jobs:
            team.tend()


def found(team: Office) -> Verdict:
    with team.world.house.store.reading() as connection:
        return reviewed(connection, team.world.house.ring.for_caller("access"), team.world.clock()).verdict


def test_the_last_one_still_counts_and_is_warned_once_a_week(world: World) -> None:
    team = office(world, "boss", "clerk")
    wait(team, 44)
    assert team.holds("boss") == ADMINISTRATOR
    warned = [who for what, who in letters(world) if what == "access.last_administrator"]
    assert warned == [team.people["boss"].id, SECURITY_CONTACT] * 2  # from two weeks before on
    everybody = world.do("access.people", team.now("boss"), People()).people
    (person,) = [item for item in everybody if item.id == team.people["boss"].id]
    assert person.grants[0].ends_at <= world.clock()  # and the page says so
    wait(team, 8)
    assert [event.at.day for event in world.events("access.warn_last_administrator")] == [1, 9, 17]
    assert world.events("access.end_lapsed_grant") == []  # nor is it tried every hour


def test_it_needs_no_job(world: World) -> None:
    team = office(world, "boss")
    wait(team, 400, jobs=False)
    assert team.holds("boss") == ADMINISTRATOR
    assert world.do("access.my_permissions", team.now("boss"), MyPermissions()).roles == [Role.ADMINISTRATOR]


def test_of_two_that_nobody_confirmed_one_stays(world: World) -> None:
    team = office(world, "boss")
    world.clock.advance(days=1)
    team.join("deputy", Role.ADMINISTRATOR)
    wait(team, 43, jobs=False)
    assert (team.holds("boss"), team.holds("deputy")) == (set(), ADMINISTRATOR)
    wait(team, 1, jobs=False)
    assert (team.holds("boss"), team.holds("deputy")) == (set(), ADMINISTRATOR)
    team.tend()
    assert (team.holds("boss"), team.holds("deputy")) == (set(), ADMINISTRATOR)


def test_a_deputy_for_some_days_does_not_end_the_last_one_for_good(world: World) -> None:
    team = office(world, "boss")
    team.join("deputy")
    boss = team.now("boss")
    wait(team, 40)
    boss = team.now("boss")
    give_role(world, boss, team.people["deputy"].id, Role.ADMINISTRATOR, "holiday", 10)
    wait(team, 5)
    assert (team.holds("boss"), team.holds("deputy")) == (set(), ADMINISTRATOR)
    wait(team, 6)
    assert (team.holds("boss"), team.holds("deputy")) == (ADMINISTRATOR, set())


def test_the_last_one_cannot_be_revoked_or_leave(world: World) -> None:
    team = office(world, "boss", "sam")
    world.clock.advance(days=30)
    team.tend()
    made = team.open(name="sam").id
    boss = team.about(made, "boss")
    with pytest.raises(LastAdministrator):
        team.decide("sam", boss, Decision.REVOKE)
    held = team.facts(made)[boss.id].object
    wait(team, 15)
    for request in (EndGrant(held, "no more"), DeactivateLeaver(team.people["boss"].id, "no more")):
        operation = "access.end_grant" if isinstance(request, EndGrant) else "access.deactivate_leaver"
        with pytest.raises(LastAdministrator):
            world.do(operation, team.now("boss"), request)


def test_a_second_administrator_in_time_decides_about_the_first(world: World) -> None:
    team = office(world, "boss")
    wait(team, 31)
    assert world.events("access.open_review") == []  # there is nobody who could decide
    assert ("access.last_administrator", team.people["boss"].id) in letters(world)
    team.join("deputy", Role.ADMINISTRATOR)
    team.tend()
    made = team.open(name="deputy").id
    team.decide("deputy", team.about(made, "boss"), Decision.KEEP)
    wait(team, 29)
    assert team.holds("boss") == ADMINISTRATOR


def test_who_was_only_invited_is_no_other_administrator(world: World) -> None:
    team = office(world, "boss")
    wait(team, 43)
    invited(world, team.now("boss"), "new@example.org", Role.ADMINISTRATOR)
    wait(team, 5)
    assert team.holds("boss") == ADMINISTRATOR  # the other one has not come yet, and may never
    assert world.events("access.end_lapsed_grant") == []


def test_an_end_can_be_neither_missing_nor_1970(world: World) -> None:
    """Infisical 7123: a null expiry read as never here and as 1970 there."""
    team = office(world, "boss")
    row = {"account": team.people["boss"].id, "role": "support", "granted_by": "x", "granted_at": world.clock(),
           "standing": True, "reason": b"x"}  # fmt: skip
    for end in ({}, {"ends_at": None}, {"ends_at": world.clock().replace(year=1970)}):
        with pytest.raises(IntegrityError):
            world.write(lambda c, end=end: c.execute(insert(grant), {**row, **end, "id": f"grt_{len(end)}"}))
    with pytest.raises(IntegrityError):
        world.write(lambda c: c.execute(update(grant).values(ends_at=None)))
    assert team.holds("boss") == ADMINISTRATOR


def test_a_program_that_nobody_confirmed_is_refused(world: World) -> None:
    team = office(world, "boss")
    boss = team.now("boss")
    made = world.do("access.create_service_account", boss, CreateServiceAccount("Nightly", boss.id))
    text = world.do("access.issue_token", boss, IssueToken(made.id, ["access.audit_log"], 90)).text

    def comes() -> str:
        with world.house.store.reading() as connection:
            return resolve_token(connection, text, world.clock).id

    assert comes() == made.id
    world.write(lambda c: c.execute(update(service_account).values(confirmed_until=world.clock() + timedelta(days=1))))
    world.clock.advance(days=1)
    with pytest.raises(NotSignedIn):
        comes()
    world.write(lambda c: c.execute(service_account.insert(), {
        "id": "svc_old", "name": "Old", "owner": boss.id, "state": "active", "created_by": boss.id,
        "created_at": world.clock(), "expires_at": world.clock() + timedelta(days=9)}))  # fmt: skip
    with world.house.store.reading() as connection:
        left_out = connection.execute(service_account.select().where(service_account.c.id == "svc_old")).one()
    assert left_out.confirmed_until.year == 1970  # which is over, for the check of tokens as for everybody


def test_a_program_is_asked_about_and_revoked_or_kept_by_who_has_nothing_to_do_with_it(world: World) -> None:
    team = office(world, "boss", "sam")
    boss = team.now("boss")
    made = [
        world.do("access.create_service_account", boss, CreateServiceAccount(name, boss.id)) for name in ("One", "Two")
    ]
    texts = [world.do("access.issue_token", boss, IssueToken(item.id, ["access.audit_log"], 90)).text for item in made]
    world.clock.advance(days=90)
    team.confirm(Role.ADMINISTRATOR, Role.SECURITY)
    # tokens end by themselves before: these were replaced lately
    fresh = {"issued_at": world.clock(), "expires_at": world.clock() + timedelta(days=30)}
    world.write(lambda c: c.execute(update(token).values(fresh)))
    team.tend()
    review = team.open(Scope.STANDARD, "sam").id
    mine = [item for item in team.items(review, "boss") if item.name in ("One", "Two")]
    assert all("You own this program" in item.why_not for item in mine)
    by_name = {item.name: item for item in team.items(review, "sam")}
    assert [scope.operation for scope in by_name["One"].scopes] == ["access.audit_log"]
    team.decide("sam", by_name["One"], Decision.REVOKE)
    team.decide("sam", by_name["Two"], Decision.KEEP)
    with world.house.store.reading() as connection:
        with pytest.raises(NotSignedIn):
            resolve_token(connection, texts[0], world.clock)
        assert resolve_token(connection, texts[1], world.clock).id == made[1].id


def test_the_check_finds_what_is_wrong(world: World) -> None:
    team = office(world, "boss", "deputy", "sam")
    assert found(team) is Verdict.KEPT
    team.world.clock.advance(days=30)
    assert found(team) is Verdict.KEPT
    world.clock.advance(hours=26)
    assert found(team) is Verdict.BROKEN  # no review is open although one should be
    team.tend()
    assert found(team) is Verdict.KEPT
    team.finish(team.open().id)
    assert found(team) is Verdict.KEPT
    longer = update(grant).where(grant.c.account == team.people["sam"].id)
    world.write(lambda c: c.execute(longer.values(ends_at=world.clock() + LONGEST)))
    assert found(team) is Verdict.BROKEN  # an end that no review gave
    world.write(lambda c: c.execute(longer.values(ends_at=world.clock())))
    assert found(team) is Verdict.KEPT
    wait(team, 46, jobs=False)
    assert found(team) is Verdict.BROKEN  # the last administrator's counts beyond its end
