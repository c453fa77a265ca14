"""Two nodes on one PostgreSQL: whoever ends a role, a session, a token or a person waits for what rests on it.

What comes later, or waits for them, is refused. The embedded store has one writer, so there it is true by itself.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from sqlalchemy import select

from subscription_services.access import resolve_token
from subscription_services.access.model import grant
from subscription_services.access.operations.leavers import DeactivateLeaver
from subscription_services.access.operations.people import EndGrant
from subscription_services.access.operations.service_accounts import (
    CreateServiceAccount,
    EndServiceAccount,
    IssueToken,
    RevokeToken,
)
from subscription_services.access.operations.tasks import AskTask, EndTask, OneTask
from subscription_services.access.tasks import About
from subscription_services.identity.operations.devices import EndSession
from subscription_services.kernel.actors import Actor, Role, ServiceAccount, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.operations import Change, operation
from subscription_services.kernel.transaction import Transaction
from subscription_services.testing import PostgresServer, World

from .granting import signed_in_again, with_tasks

pytestmark = pytest.mark.postgres
INSIDE, GO_ON = threading.Event(), threading.Event()


class Slow(msgspec.Struct, frozen=True):
    stay: bool = True


@operation("access.test_slow", by=[Role.BILLING, ServiceAccount.scoped])
def slow(tx: Transaction, ctx: Context, request: Slow) -> Change[Slow]:
    """Stays in its transaction, past its permission, until it is told to commit."""
    if request.stay:
        INSIDE.set()
        assert GO_ON.wait(60)
    return Change(None, request, object="slow")


class Nodes:
    """Two of the same service."""

    def __init__(self, url: str, first: World, second: World) -> None:
        self.url, self.first, self.second = url, first, second

    def waits(self) -> None:
        """Until a transaction waits for a lock."""
        with psycopg.connect(self.url, autocommit=True) as watcher:
            for _ in range(1200):
                waiting = watcher.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database()"
                ).fetchone()
                if waiting is not None and waiting[0]:
                    return
                threading.Event().wait(0.02)
        raise AssertionError("nobody waited")


@pytest.fixture
def nodes(postgres: PostgresServer, postgres_template: Path, tmp_path: Path) -> Iterator[Nodes]:
    shutil.copytree(postgres_template, tmp_path / "data")
    name = f"held_{os.urandom(6).hex()}"
    url = postgres.create(name, "template_house")
    INSIDE.clear()
    GO_ON.clear()
    with (
        World.open(tmp_path / "data", url, more=(slow,)) as first,
        World.open(tmp_path / "data", url, more=(slow,)) as second,
    ):
        yield Nodes(url, first, second)
    postgres.drop(name)


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """What it answers, or the error, once it is joined."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(work())
        except DomainError as error:
            answers.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, answers


End = tuple[Actor, str, Any]


def by_role(world: World, boss: TeamMember) -> End:
    member = world.team(Role.BILLING)
    with world.house.store.reading() as connection:
        found = connection.execute(select(grant.c.id).where(grant.c.account == member.id)).scalar_one()
    return member, "access.end_grant", EndGrant(found, "moved on")


def by_leaving(world: World, boss: TeamMember) -> End:
    member = world.team(Role.BILLING)
    return member, "access.deactivate_leaver", DeactivateLeaver(member.id, "left on Friday")


def by_task(world: World, boss: TeamMember) -> End:
    member = world.team(Role.SUPPORT)
    made = world.do("access.ask_task", member, AskTask("Case 7", About.OTHER, "", Role.BILLING, 60))
    world.do("access.grant_task", boss, OneTask(made.id))
    return with_tasks(world, member), "access.revoke_task", EndTask(made.id, "stop at once")


def _program(world: World, boss: TeamMember) -> tuple[ServiceAccount, str, str]:
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Nightly", boss.id)).id
    issued = world.do("access.issue_token", boss, IssueToken(account, ["access.test_slow"]))
    with world.house.store.reading() as connection:
        return resolve_token(connection, issued.text, world.clock), account, issued.token.id


def by_token(world: World, boss: TeamMember) -> End:
    actor, _, token = _program(world, boss)
    return actor, "access.revoke_token", RevokeToken(token)


def by_program(world: World, boss: TeamMember) -> End:
    actor, account, _ = _program(world, boss)
    return actor, "access.end_service_account", EndServiceAccount(account)


def by_session(world: World, boss: TeamMember) -> End:
    member = world.team(Role.BILLING)
    return member, "identity.end_session", EndSession(member.session)


WAYS = [by_role, by_leaving, by_task, by_token, by_program, by_session]


def ender_of(nodes: Nodes, boss: TeamMember, actor: Actor, name: str) -> Actor:
    """Who ends it: for a session its own owner, in another one."""
    if name != "identity.end_session" or not isinstance(actor, TeamMember):
        return boss
    return msgspec.structs.replace(actor, **signed_in_again(nodes.second, actor))


@pytest.mark.parametrize("way", WAYS)
def test_who_ends_it_waits_for_what_is_committing_and_nothing_follows(nodes: Nodes, way: Callable[..., End]) -> None:
    boss = nodes.first.team(Role.ADMINISTRATOR, Role.SECURITY)
    actor, name, request = way(nodes.first, boss)
    nodes.second.clock.now = nodes.first.clock()
    ender = ender_of(nodes, boss, actor, name)
    under_way, done = in_thread(lambda: nodes.first.do(slow, actor, Slow()))
    assert INSIDE.wait(60)
    ending, ended = in_thread(lambda: nodes.second.do(name, ender, request))
    nodes.waits()  # it does not end beside what rests on it
    assert ending.is_alive()
    GO_ON.set()
    under_way.join(60)
    ending.join(60)
    assert not isinstance(done[0], DomainError), done
    assert not isinstance(ended[0], DomainError), ended
    with pytest.raises(DomainError):
        nodes.first.do(slow, actor, Slow(stay=False))


STATEMENTS = {
    by_role: "UPDATE access_grant SET ended_at = granted_at, ended_by = 'acc_other' WHERE account = %(actor)s",
    by_token: "UPDATE access_token SET revoked_at = issued_at, mac = '' WHERE service_account = %(actor)s",
    by_program: "UPDATE access_service_account SET state = 'ended' WHERE id = %(actor)s",
    by_task: "UPDATE access_task SET ended_at = asked_at, ended_by = 'x', outcome = 'closed' WHERE account = %(actor)s",
    by_session: "WITH held AS (SELECT id FROM identity_session WHERE account = %(actor)s FOR UPDATE) "
    "UPDATE identity_session SET ended_at = signed_in_at, end_reason = 'x' WHERE id IN (SELECT id FROM held)",
}


@pytest.mark.parametrize("way", STATEMENTS)
def test_what_waits_for_an_end_that_is_not_committed_is_refused(nodes: Nodes, way: Callable[..., End]) -> None:
    boss = nodes.first.team(Role.ADMINISTRATOR, Role.SECURITY)
    actor, _, _ = way(nodes.first, boss)
    with psycopg.connect(nodes.url) as ending:
        ending.execute(STATEMENTS[way], {"actor": actor.id})
        waiting, answer = in_thread(lambda: nodes.first.do(slow, actor, Slow(stay=False)))
        nodes.waits()
        ending.commit()
    waiting.join(60)
    assert isinstance(answer[0], DomainError), answer


def test_two_who_end_each_other_at_once_both_get_an_answer(nodes: Nodes) -> None:
    """Each rests on what the other ends: the store ends the deadlock, and one of them is refused when tried again."""
    one, other = nodes.first.team(Role.ADMINISTRATOR), nodes.first.team(Role.ADMINISTRATOR)
    nodes.first.team(Role.ADMINISTRATOR)
    nodes.second.clock.now = nodes.first.clock()
    threads = [
        in_thread(lambda: nodes.first.do("access.deactivate_leaver", one, DeactivateLeaver(other.id, "left today"))),
        in_thread(lambda: nodes.second.do("access.deactivate_leaver", other, DeactivateLeaver(one.id, "left today"))),
    ]
    for thread, _ in threads:
        thread.join(60)
    answers = [answer[0] for _, answer in threads]
    assert sum(isinstance(item, DomainError) for item in answers) == 1, answers
