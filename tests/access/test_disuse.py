"""What nobody uses ends, after two notices, however the clock jumps; the last administrator is warned instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.access import model
from subscription_services.access.disuse import NOTICE, REMINDER, Holder, Notice, Step, first_end, next_step, second_end
from subscription_services.access.jobs import KeepUnusedJob, keep_all
from subscription_services.access.operations.log import SearchLog
from subscription_services.access.operations.people import MyPermissions
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken, RecordTokenUse
from subscription_services.access.programs import resolve_token
from subscription_services.access.use_model import disuse
from subscription_services.identity import model as identity
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Role, System, TeamMember
from subscription_services.kernel.errors import NotSignedIn
from subscription_services.testing import World

from .granting import signed_in_again

SCOPES = ["access.audit_log"]


def round_of_the_job(world: World, days: float = 0) -> None:
    world.clock.advance(days=days)
    world.run(keep_all(world.house.kernel, KeepUnusedJob()))


def steps(world: World, holder: str) -> list[str]:
    return [str(e.details["step"]) for e in world.events("access.keep_unused") if e.object == holder]


def state_of(world: World, member: TeamMember) -> str:
    with world.house.store.reading() as connection:
        found = select(identity.account.c.state).where(identity.account.c.id == member.id)
        return str(connection.execute(found).scalar_one())


def letters(world: World, account: str) -> list[str]:
    with world.house.store.reading() as connection:
        rows = connection.execute(select(job.c.payload).order_by(job.c.created_at, job.c.id)).scalars().all()
    texts = [row if isinstance(row, str) else bytes(row).decode() for row in rows]
    names = ("unused_noticed", "unused_reminded", "unused_ended", "unused_last_administrator", "account_closed")
    return [name for text in texts if account in text for name in names if name in text]


def busy(world: World, *members: TeamMember) -> None:
    for member in members:
        signed_in_again(world, member)


def test_an_unused_account_ends_after_ninety_days_and_two_letters(world: World) -> None:
    boss, idle = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    round_of_the_job(world, 75)
    assert steps(world, idle.id) == []
    busy(world, boss)
    round_of_the_job(world, 1)
    round_of_the_job(world, 10)
    assert letters(world, idle.id) == ["unused_noticed"]
    round_of_the_job(world, 1)
    assert letters(world, idle.id) == ["unused_noticed", "unused_reminded"]
    round_of_the_job(world, 2.9)
    assert state_of(world, idle) == "active"
    round_of_the_job(world, 0.2)
    assert state_of(world, idle) == "closed"
    assert steps(world, idle.id) == ["notice", "remind", "end"]
    assert world.events("access.keep_unused")[-1].details["roles"] == ["support"]
    assert letters(world, idle.id)[-1] == "account_closed"
    with pytest.raises(NotSignedIn):
        world.do("access.my_permissions", idle, MyPermissions())
    round_of_the_job(world, 1)
    assert len(steps(world, idle.id)) == 3


def test_signing_in_again_is_enough(world: World) -> None:
    boss, idle = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    round_of_the_job(world, 88)
    assert steps(world, idle.id) == ["notice"]
    busy(world, boss, idle)
    round_of_the_job(world, 20)
    assert steps(world, idle.id) == ["notice", "forget"]
    assert state_of(world, idle) == "active"


def test_a_jump_of_the_clock_leads_to_notices_first_and_never_to_an_end_at_once(world: World) -> None:
    """The service was down for half a year, twice: nobody could use anything, and nobody was told."""
    boss = world.team(Role.ADMINISTRATOR)
    people = [world.team(Role.SUPPORT) for _ in range(3)]
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id
    round_of_the_job(world, 180)
    assert {state_of(world, person) for person in people} == {"active"}
    assert all(steps(world, person.id) == ["notice"] for person in people)
    assert steps(world, account) == ["notice"]
    with world.house.store.reading() as connection:
        assert all(row.ends_at >= world.clock() + timedelta(days=14) for row in connection.execute(select(disuse)))
    busy(world, boss)
    round_of_the_job(world, 180)
    assert all(steps(world, person.id) == ["notice", "remind"] for person in people)
    round_of_the_job(world, 2.9)
    assert {state_of(world, person) for person in people} == {"active"}
    busy(world, boss)
    round_of_the_job(world, 0.2)
    assert {state_of(world, person) for person in people} == {"closed"}


def test_the_last_administrator_is_warned_and_stays(world: World) -> None:
    boss, deputy = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR)
    for days in (80, 14, 4, 14, 14, 4):
        round_of_the_job(world, days)
    states = sorted((state_of(world, boss), state_of(world, deputy)))
    assert states == ["active", "closed"]
    last = boss if state_of(world, boss) == "active" else deputy
    assert letters(world, last.id).count("unused_last_administrator") >= 2
    ends = [e for e in world.events("access.keep_unused") if e.object == last.id and e.details["step"] == "end"]
    assert ends
    assert all(event.details["kept"] == "last-administrator" for event in ends)


def test_an_unused_program_ends_with_its_tokens_and_its_owner_is_told(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id
    text = world.do("access.issue_token", boss, IssueToken(account, SCOPES, days=90)).text
    with world.house.store.reading() as connection:
        actor = resolve_token(connection, text, world.clock)
    for days in (46, 11, 4):
        busy(world, boss)
        round_of_the_job(world, days)
    assert steps(world, account) == ["notice", "remind", "end"]
    assert letters(world, boss.id)[-3:] == ["unused_noticed", "unused_reminded", "unused_ended"]
    with pytest.raises(NotSignedIn):
        world.do("access.audit_log", actor, SearchLog())


def test_a_token_that_lies_about_beside_one_in_use_ends_alone(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id
    idle, used = (world.do("access.issue_token", boss, IssueToken(account, SCOPES, days=90)).token.id for _ in "ab")
    for days in (46, 11, 4):
        world.clock.advance(days=days)
        world.do("access.record_token_use", System("access"), RecordTokenUse(used))
        busy(world, boss)
        round_of_the_job(world)
    assert (steps(world, idle), steps(world, used), steps(world, account)) == (["notice", "remind", "end"], [], [])
    with world.house.store.reading() as connection:
        live = select(model.token.c.id).where(model.token.c.revoked_at.is_(None))
        assert connection.execute(live).scalars().all() == [used]


def test_the_letters_say_what_ends_and_when(world: World) -> None:
    from subscription_services import mail
    from subscription_services.access.program_letters import PROGRAM_LETTERS

    boss = world.team(Role.ADMINISTRATOR)
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id
    round_of_the_job(world, 50)
    kinds = {kind.name: kind for kind in PROGRAM_LETTERS}
    site = mail.SiteFacts("https://example.org", "Product", "support@example.org")

    def written(name: str, values: dict[str, str]) -> Any:
        return world.run(kinds[name].compose(world.house.kernel, site, boss.id, values))

    letter = written("access.unused_noticed", {"holder": account})
    assert "“Export”" in letter.text
    assert f"https://example.org/team/service-accounts/{account}" in letter.text
    assert f"{world.clock() + timedelta(days=14):%Y-%m-%d}" in letter.subject
    assert written("access.unused_reminded", {"holder": "acc_unknown"}) is None
    handed = written("access.handed_over", {"program": account, "from": boss.id, "to": boss.id})
    assert "Export" in handed.subject


def test_the_database_refuses_an_end_that_nobody_was_told_of_in_time(world: World) -> None:
    world.team(Role.ADMINISTRATOR)
    round_of_the_job(world, 80)
    now = world.clock()
    for change in ({"ends_at": now + timedelta(days=13)}, {"reminded_at": now + timedelta(days=12)}, {"ends_at": None}):
        with pytest.raises(IntegrityError):
            world.write(lambda c, change=change: c.execute(update(disuse).values(**change)))


START = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.lists(st.tuples(st.integers(1, 200), st.booleans()), max_size=30), st.integers(30, 120))
def test_however_time_goes_by_nothing_ends_without_two_notices(rounds: list[tuple[int, bool]], days: int) -> None:
    """A small model: each round the clock moves on by some days, and the holder is used or not."""
    now, used = START, START
    notice: Notice | None = None
    noticed = reminded = None
    for moved, use in rounds:
        now += timedelta(days=moved)
        if use:
            used = now
        holder = Holder("acc_x", "acc_x", used, timedelta(days=days))
        match next_step(holder, notice, now):
            case Step.NOTICE:
                notice, noticed, reminded = Notice(used, None, first_end(holder, now)), now, None
                assert not use
            case Step.REMIND:
                assert notice is not None
                notice, reminded = Notice(notice.last_used_at, now, second_end(notice, now)), now
            case Step.FORGET:
                notice = noticed = reminded = None
            case Step.END:
                assert noticed is not None
                assert reminded is not None
                assert now - noticed >= NOTICE
                assert now - reminded >= REMINDER
                assert now - used >= timedelta(days=days)
                return
            case Step.NOTHING:
                assert notice is not None or now - used < timedelta(days=days) - NOTICE
