"""What nobody uses is found by the log, and taken away in one step, at once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from subscription_services.access import uses
from subscription_services.access.errors import NothingLeft, TokenRevoked
from subscription_services.access.jobs import NoteUsesJob, read_on
from subscription_services.access.operations.log import SearchLog
from subscription_services.access.operations.people import EndGrant, Invite, People
from subscription_services.access.operations.scim import ListUsers
from subscription_services.access.operations.service_accounts import (
    CreateServiceAccount,
    IssueToken,
    NarrowToken,
    RevokeToken,
    RotateToken,
)
from subscription_services.access.operations.unused import ReportUnused
from subscription_services.access.programs import resolve_token
from subscription_services.access.unused import Unused
from subscription_services.kernel.actors import Role, ServiceAccount, TeamMember
from subscription_services.kernel.errors import Invalid, Refusal
from subscription_services.ledger.sequencer import sequence
from subscription_services.testing import World

from .granting import signed_in_again

SCOPES = ["access.audit_log", "access.scim_users"]


def report(world: World, who: TeamMember) -> Unused:
    """The report as it is after the log was read."""
    world.run(sequence(world.house.store, world.house.log, world.clock))
    world.run(read_on(world.house.kernel, NoteUsesJob()))
    found = world.do("access.unused_permissions", who, ReportUnused())
    assert isinstance(found, Unused)
    assert found.whole
    return found


def later(world: World, member: TeamMember, days: int) -> TeamMember:
    world.clock.advance(days=days)
    return replace(member, **signed_in_again(world, member))


def program(world: World, boss: TeamMember, days: int = 90) -> tuple[ServiceAccount, str]:
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id
    issued = world.do("access.issue_token", boss, IssueToken(account, SCOPES, days))
    return actor(world, issued.text), issued.token.id


def actor(world: World, text: str) -> ServiceAccount:
    with world.house.store.reading() as connection:
        return resolve_token(connection, text, world.clock)


def test_a_role_that_was_not_used_is_found_and_a_new_one_is_not_judged_yet(world: World) -> None:
    boss, idle = world.team(Role.ADMINISTRATOR), world.team(Role.BILLING)
    boss = later(world, boss, 50)
    assert report(world, boss).roles == []
    boss = later(world, boss, 41)
    world.do("access.people", boss, People())
    found = {item.account: item for item in report(world, boss).roles}
    assert (found[idle.id].whole, found[idle.id].last_used_at) == (True, None)
    mine = found[boss.id]
    assert not mine.whole
    assert "access.people" not in mine.unused
    assert "access.invite" in mine.unused
    world.do("access.end_grant", boss, EndGrant(found[idle.id].grant, "not used"))
    assert idle.id not in {item.account for item in report(world, boss).roles}


def test_a_use_counts_until_it_is_long_ago_and_refusals_count_for_nothing(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    other = world.team(Role.AUDITOR)
    world.do("access.audit_log", other, SearchLog())
    with pytest.raises(Refusal):
        world.do("access.invite", other, Invite("x@example.org", "X"))
    boss = later(world, boss, 89)
    other = later(world, other, 0)
    world.do("access.people", other, People())
    boss = later(world, boss, 2)
    unused = next(item for item in report(world, boss).roles if item.account == other.id).unused
    assert "access.audit_log" in unused
    assert "access.people" not in unused


def test_a_token_shows_what_neither_it_nor_those_it_replaced_were_used_for(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    who, token = program(world, boss)
    world.do("access.audit_log", who, SearchLog())
    boss = later(world, boss, 60)
    replaced = world.do("access.rotate_token", boss, RotateToken(token, days=90))
    assert report(world, boss).tokens == []
    world.do("access.audit_log", actor(world, replaced.text), SearchLog())
    boss = later(world, boss, 31)
    (found,) = report(world, boss).tokens
    assert (found.token, found.unused, found.all, found.whole) == (replaced.token.id, ["access.scim_users"], 2, False)
    world.do("access.narrow_token", boss, NarrowToken(found.token, found.unused))
    assert report(world, boss).tokens == []


def test_the_log_is_read_on_from_where_it_was_and_never_twice(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    world.do("access.people", boss, People())
    report(world, boss)
    with world.house.store.reading() as connection:
        first, before = uses.next_index(connection), uses.last_uses(connection)[0]
    assert first > 0
    assert ("access.people" in {key[2] for key in before}) is True
    world.clock.advance(minutes=1)
    world.do("access.people", boss, People())
    report(world, boss)
    with world.house.store.reading() as connection:
        assert uses.next_index(connection) > first
        after = uses.last_uses(connection)[0]
    assert after[boss.id, "", "access.people"] > before[boss.id, "", "access.people"]
    with world.house.store.reading() as connection:
        stale = uses.Part(0, 5, {})
    assert world.write(lambda c: uses.keep_part(c, stale)) is False


def test_narrowing_takes_away_at_once_and_never_gives(world: World) -> None:
    boss, guard = world.team(Role.ADMINISTRATOR), world.team(Role.SECURITY)
    who, token = program(world, boss)
    world.do("access.scim_users", who, ListUsers())
    after = world.do("access.narrow_token", guard, NarrowToken(token, ["access.scim_users"]))
    assert after.scopes == ["access.audit_log"]
    with pytest.raises(Refusal):
        world.do("access.scim_users", who, ListUsers())
    world.do("access.audit_log", who, SearchLog())
    with pytest.raises(Invalid):
        world.do("access.narrow_token", guard, NarrowToken(token, ["access.scim_users"]))
    with pytest.raises(NothingLeft):
        world.do("access.narrow_token", guard, NarrowToken(token, ["access.audit_log"]))
    world.do("access.revoke_token", guard, RevokeToken(token))
    with pytest.raises(TokenRevoked):
        world.do("access.narrow_token", guard, NarrowToken(token, ["access.audit_log"]))
    event = world.events("access.narrow_token")[0]
    assert (event.object, event.details["removed"]) == (token, ["access.scim_users"])
