"""The log as auditors search it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from subscription_services.access.operations.log import LogPage, SearchLog, audit_log
from subscription_services.access.operations.people import GrantRole, People, people
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.kernel.actors import Anonymous, Role, TeamMember
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import DomainError, Invalid, Refusal
from subscription_services.kernel.events import Outcome
from subscription_services.kernel.probing import ADDRESS
from subscription_services.testing import World
from subscription_services.testing.approving import approved


@pytest.fixture
def auditor(world: World) -> TeamMember:
    return world.team(Role.AUDITOR)


def search(world: World, who: TeamMember, **wanted: object) -> LogPage:
    found = world.do(audit_log, who, SearchLog(**wanted))  # type: ignore[arg-type]
    assert isinstance(found, LogPage)
    return found


def test_it_finds_by_each_field(world: World, auditor: TeamMember) -> None:
    boss, member = world.team(Role.ADMINISTRATOR), world.team()
    request = GrantRole(member.id, Role.SUPPORT, "helps")
    approved(world, boss, "access.grant_role", request)
    grant = world.do("access.grant_role", boss, request, correlation_id="req_1")
    with pytest.raises(Refusal):
        world.do(people, member, People())
    by = {
        "actor": boss.id, "subject": member.id, "action": "access.grant_role", "object": grant.id,
        "correlation": "req_1",
    }  # fmt: skip
    for name, value in by.items():
        entries = search(world, auditor, **{name: value}).entries
        assert grant.id in [entry.object for entry in entries], name
        assert all(getattr(entry, name) == value for entry in entries), name
    refused = search(world, auditor, outcome=Outcome.REFUSED).entries
    assert [(entry.actor, entry.action, entry.reason) for entry in refused] == [(member.id, "access.people", "refused")]
    assert {entry.action.partition(".")[0] for entry in search(world, auditor, action="access.").entries} == {"access"}


def test_it_finds_by_time(world: World, auditor: TeamMember) -> None:
    start = world.clock()
    world.do(people, auditor, People())
    world.clock.advance(seconds=10)
    world.do(people, auditor, People())
    later = search(world, auditor, action="access.people", since=start + timedelta(seconds=1)).entries
    earlier = search(world, auditor, action="access.people", until=start + timedelta(seconds=1)).entries
    assert [len(later), len(earlier)] == [1, 1]


def test_pages_go_on_where_the_last_one_ended_whatever_arrives_meanwhile(world: World, auditor: TeamMember) -> None:
    for _ in range(5):
        world.clock.advance(seconds=1)
        world.do(people, auditor, People())
    first = search(world, auditor, action="access.people", limit=3)
    world.do(people, auditor, People())
    assert first.next is not None
    second = search(world, auditor, action="access.people", limit=3, after=first.next)
    times = [entry.at for entry in (*first.entries, *second.entries)]
    assert len(times) == 5
    assert times == sorted(times, reverse=True)
    assert second.next is None


def test_reading_is_recorded_with_what_was_asked(world: World, auditor: TeamMember) -> None:
    search(world, auditor, subject="acc_somebody", outcome=Outcome.FAILED)
    event = world.events("access.audit_log")[-1]
    assert (event.actor, event.subject) == (auditor.id, "acc_somebody")
    assert event.details == {"subject": "acc_somebody", "outcome": "failed"}


@pytest.mark.parametrize("text", ["ada@example.org", "two words", "x" * 121, "ü"])
def test_an_address_cannot_be_searched_for_and_so_cannot_get_into_the_log(
    world: World, auditor: TeamMember, text: str
) -> None:
    with pytest.raises(Invalid):
        search(world, auditor, actor=text)


def test_a_page_that_does_not_exist_is_not_valid(world: World, auditor: TeamMember) -> None:
    with pytest.raises(Invalid):
        search(world, auditor, after="somewhere")


def test_sealed_fields_stay_sealed(world: World, auditor: TeamMember) -> None:
    world.do(people, auditor, People())
    page = search(world, auditor)
    assert page.entries
    assert "127.0.0.9" not in str(page)


def test_what_live_checks_tried_is_told_apart(world: World, auditor: TeamMember) -> None:
    """Nobody has to wonder about refusals that the service provoked itself."""
    for address in (ADDRESS, "192.0.2.9"):
        with pytest.raises(DomainError):
            world.do("identity.sign_in", Anonymous(), SignIn("no@example.org", "wrong one"), origin=Origin(address))
    wanted = {"action": "identity.sign_in", "outcome": Outcome.REFUSED}
    everything = search(world, auditor, **wanted).entries
    peoples = search(world, auditor, **wanted, without_live_checks=True).entries
    assert (len(everything), len(peoples)) == (2, 1) and peoples[0].id in {entry.id for entry in everything}
