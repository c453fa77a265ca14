"""Where nobody else could approve: a wait that everybody is told of, that anybody may end; never a silent exception."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from subscription_services.access.approval_model import Way
from subscription_services.access.letter_parts import SECURITY_CONTACT
from subscription_services.access.letters import LETTERS
from subscription_services.access.operations.approvals import OneRequest, RefuseApproval
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.errors import ApprovalNeeded
from subscription_services.mail import SiteFacts
from subscription_services.testing import World
from subscription_services.testing.approving import approve, ask, invited

from .granting import Release, letters, runs, signed_in_again

NAME = "access.test_release"


def later(house: World, member: TeamMember, hours: float) -> TeamMember:
    house.clock.advance(hours=hours)
    return replace(member, **signed_in_again(house, member))


def test_the_only_one_waits_and_everybody_is_told(house: World) -> None:
    boss, helper = house.team(Role.ADMINISTRATOR), house.team(Role.SUPPORT)
    made = ask(house, boss, NAME, Release(1))
    assert made.way is Way.ALONE
    assert made.runs_from is not None
    assert (made.runs_from - made.asked_at).total_seconds() == 24 * 3600
    assert {item.account for item in letters(house, "access.alone_asked")} == {boss.id, helper.id, SECURITY_CONTACT}
    assert "waits" in made.waits_for
    early = later(house, boss, 23.9)
    with pytest.raises(ApprovalNeeded, match="waits"):
        house.do(NAME, early, Release(1))
    ready = later(house, boss, 0.2)
    assert house.do("access.approval_request", ready, OneRequest(made.id)).waits_for == ""
    house.do(NAME, ready, Release(1))
    with pytest.raises(ApprovalNeeded):
        house.do(NAME, ready, Release(1))
    assert runs(house) == 1


def test_anybody_on_the_team_may_stop_it(house: World) -> None:
    boss, helper = house.team(Role.ADMINISTRATOR), house.team(Role.SUPPORT)
    made = ask(house, boss, NAME, Release(1))
    house.do("access.refuse_approval", helper, RefuseApproval(made.id, "I know nothing of it"))
    with pytest.raises(ApprovalNeeded):
        house.do(NAME, later(house, boss, 25), Release(1))


def test_it_ends_as_soon_as_somebody_else_can_approve(house: World) -> None:
    boss = house.team(Role.ADMINISTRATOR)
    made = ask(house, boss, NAME, Release(1))
    other = house.team(Role.SECURITY)
    ready = later(house, boss, 25)
    with pytest.raises(ApprovalNeeded, match="somebody else can approve"):
        house.do(NAME, ready, Release(1))
    approve(house, later(house, other, 0), made.id)
    house.do(NAME, ready, Release(1))


def test_somebody_whom_one_invited_oneself_is_nobody_else(house: World) -> None:
    boss = house.team(Role.ADMINISTRATOR)
    invited(house, boss, "new@example.org", Role.SECURITY)
    assert ask(house, boss, NAME, Release(1)).way is Way.ALONE


def test_where_one_of_two_is_there_that_one_has_to_approve(house: World) -> None:
    asker, other = house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR)
    made = ask(house, asker, "access.test_two", Release(1))
    assert made.way is Way.ALONE
    ready = later(house, asker, 25)
    with pytest.raises(ApprovalNeeded):
        house.do("access.test_two", ready, Release(1))
    approve(house, later(house, other, 0), made.id)
    house.do("access.test_two", ready, Release(1))


def test_every_letter_is_written_with_what_it_needs_and_not_once_it_is_over(house: World) -> None:
    boss, helper = house.team(Role.ADMINISTRATOR), house.team(Role.SUPPORT)
    made = ask(house, boss, NAME, Release(1, email="ada@example.org"))
    site = SiteFacts("https://localhost:8443", "Subscription Services", "support@example.org")

    def written(name: str, account: str) -> Any:
        kind = next(item for item in LETTERS if item.name == name)
        return house.run(kind.compose(house.house.kernel, site, account, {"request": made.id}))

    letter = written("access.alone_asked", SECURITY_CONTACT)
    assert letter.to == "security@example.org"
    assert f"https://localhost:8443/team/approvals/{made.id}" in letter.text
    assert "2026-03-03 09:00 UTC" in letter.text
    assert "ada@" not in letter.text
    assert written("access.approval_given", boss.id).to.startswith("team")
    house.do("access.refuse_approval", helper, RefuseApproval(made.id, "not that"))
    assert written("access.alone_asked", SECURITY_CONTACT) is None
    assert "refused" in written("access.approval_refused", boss.id).text
