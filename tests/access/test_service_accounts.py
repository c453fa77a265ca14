"""Programs: scoped, expiring, revocable, and never more than their token names."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from subscription_services import front
from subscription_services.access import AccessSettings, Presented, configure, model, service_account_of, tokens
from subscription_services.access.errors import (
    NameTaken,
    NotATeamMember,
    ScopeRefused,
    ServiceAccountEnded,
    TokenRevoked,
)
from subscription_services.access.operations.log import SearchLog, audit_log
from subscription_services.access.operations.people import MyPermissions, People, my_permissions, people
from subscription_services.access.operations.service_accounts import (
    CreateServiceAccount,
    EndServiceAccount,
    IssuedToken,
    IssueToken,
    ListServiceAccounts,
    RevokeToken,
    RotateToken,
    create_service_account,
    end_service_account,
    issue_token,
    revoke_token,
    rotate_token,
    service_accounts,
)
from subscription_services.kernel import tokens as form
from subscription_services.kernel.actors import Role, ServiceAccount, TeamMember
from subscription_services.kernel.clock import system_random
from subscription_services.kernel.errors import Invalid, NotSignedIn, Refusal
from subscription_services.testing import World

SCOPES = ["access.audit_log"]


def program(world: World, boss: TeamMember, **more: Any) -> tuple[str, IssuedToken]:
    account = world.do(create_service_account, boss, CreateServiceAccount("Log export", boss.id))
    return account.id, world.do(issue_token, boss, IssueToken(account.id, SCOPES, **more))


def _execute(change: Any, connection: Any) -> None:
    connection.execute(change)


def resolve(world: World, text: str) -> ServiceAccount:
    found = world.run(service_account_of(world.house.kernel, Presented("bearer", text)))
    assert isinstance(found, ServiceAccount)
    return found


def test_a_token_does_what_it_names_and_nothing_else(world: World) -> None:
    account, issued = program(world, world.team(Role.ADMINISTRATOR))
    actor = resolve(world, issued.text)
    assert (actor.id, actor.token, actor.scopes) == (account, issued.token.id, frozenset(SCOPES))
    assert world.do(audit_log, actor, SearchLog()).entries
    for operation, request in ((people, People()), (my_permissions, MyPermissions())):
        with pytest.raises(Refusal):
            world.do(operation, actor, request)


def test_scopes_that_a_program_claims_count_for_nothing(world: World) -> None:
    account, issued = program(world, world.team(Role.ADMINISTRATOR))
    liar = ServiceAccount(account, issued.token.id, frozenset({"access.my_permissions", *SCOPES}))
    with pytest.raises(Refusal):
        world.do(my_permissions, liar, MyPermissions())


def test_only_the_digest_is_stored_and_the_log_holds_neither(world: World) -> None:
    _, issued = program(world, world.team(Role.ADMINISTRATOR))
    with world.house.store.reading() as connection:
        row = connection.execute(select(model.token)).one()
    assert row.digest == tokens.digest(issued.text)
    assert issued.text not in str(row)
    assert not any(issued.text in str(event) or issued.text[8:51] in str(event) for event in world.events())


@pytest.mark.parametrize("scope", ["access.invite", "access.unknown", "*", "access.*", "access.bootstrap"])
def test_scopes_are_operations_meant_for_programs(world: World, scope: str) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    account = world.do(create_service_account, boss, CreateServiceAccount("Export", boss.id))
    with pytest.raises(ScopeRefused):
        world.do(issue_token, boss, IssueToken(account.id, [*SCOPES, scope]))


def test_a_token_expires(world: World) -> None:
    _, issued = program(world, world.team(Role.ADMINISTRATOR), days=7)
    actor = resolve(world, issued.text)
    world.clock.advance(days=7)
    with pytest.raises(NotSignedIn):
        resolve(world, issued.text)
    with pytest.raises(NotSignedIn):
        world.do(audit_log, actor, SearchLog())


def test_a_token_never_outlives_its_account_or_ninety_days(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    account = world.do(create_service_account, boss, CreateServiceAccount("Short", boss.id, days=5))
    issued = world.do(issue_token, boss, IssueToken(account.id, SCOPES, days=90))
    assert issued.token.expires_at == account.expires_at
    with pytest.raises(Invalid):
        world.do(issue_token, boss, IssueToken(account.id, SCOPES, days=91))


def test_the_database_refuses_a_token_without_end_or_with_a_late_one(world: World) -> None:
    _, issued = program(world, world.team(Role.ADMINISTRATOR))
    for end in (None, issued.token.issued_at + timedelta(days=90, seconds=1)):
        change = update(model.token).values(expires_at=end)
        with pytest.raises(IntegrityError):
            world.write(functools.partial(_execute, change))


def test_a_revoked_token_is_refused_at_once(world: World) -> None:
    boss, guard = world.team(Role.ADMINISTRATOR), world.team(Role.SECURITY)
    _, issued = program(world, boss)
    actor = resolve(world, issued.text)
    world.do(revoke_token, guard, RevokeToken(issued.token.id))
    with pytest.raises(NotSignedIn):
        resolve(world, issued.text)
    with pytest.raises(NotSignedIn):
        world.do(audit_log, actor, SearchLog())
    with pytest.raises(TokenRevoked):
        world.do(revoke_token, guard, RevokeToken(issued.token.id))


def test_ending_an_account_ends_every_token(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    account, issued = program(world, boss)
    ended = world.do(end_service_account, boss, EndServiceAccount(account))
    assert all(token.revoked_at for token in ended.tokens)
    with pytest.raises(NotSignedIn):
        resolve(world, issued.text)
    with pytest.raises(ServiceAccountEnded):
        world.do(issue_token, boss, IssueToken(account, SCOPES))
    with pytest.raises(ServiceAccountEnded):
        world.do(end_service_account, boss, EndServiceAccount(account))


def test_a_token_of_one_account_is_not_one_of_another(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    _, issued = program(world, boss)
    other = world.do(create_service_account, boss, CreateServiceAccount("Other", boss.id))
    with pytest.raises(NotSignedIn):
        world.do(audit_log, ServiceAccount(other.id, issued.token.id, frozenset(SCOPES)), SearchLog())


def test_what_is_not_a_token_is_nobody(world: World) -> None:
    _, issued = program(world, world.team(Role.ADMINISTRATOR))
    for text in (
        "",
        "subs_sa_",
        issued.text[:-1],
        issued.text.swapcase(),
        tokens.new_token(lambda count: bytes(count)),
    ):
        with pytest.raises(NotSignedIn):
            resolve(world, text)


def test_a_damaged_token_says_so_and_is_never_looked_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, issued = program(world, world.team(Role.ADMINISTRATOR))
    damaged = issued.text[:-1] + ("0" if issued.text[-1] != "0" else "1")
    session = form.new_token(system_random, form.PROGRAM_SESSION)[:-1] + "-"
    looked: list[str] = []
    read = world.house.store.read

    async def counted(work: Any) -> Any:
        looked.append("read")
        return await read(work)

    monkeypatch.setattr(world.house.store, "read", counted)

    async def ask(text: str) -> httpx.Response:
        transport = httpx.ASGITransport(front.application(world.house))
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost:8443") as client:
            return await client.get("/api/access.audit_log", headers={"Authorization": f"Bearer {text}"})

    for text in (damaged, session):
        answer = world.run(ask(text))
        assert (answer.status_code, answer.json()["code"]) == (401, "damaged-token")
        assert "checksum" in answer.json()["detail"]
    assert looked == []
    assert world.run(ask(issued.text)).status_code == 200
    assert looked


def test_a_replaced_token_works_on_for_a_while_and_may_do_the_same(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    _, issued = program(world, boss, days=7)
    made = world.do(rotate_token, boss, RotateToken(issued.token.id, days=10))
    assert made.token.scopes == issued.token.scopes
    assert made.replaced.expires_at == world.clock() + timedelta(hours=24)
    old, new = resolve(world, issued.text), resolve(world, made.text)
    assert (old.id, old.scopes) == (new.id, new.scopes)
    world.clock.advance(hours=24)
    with pytest.raises(NotSignedIn):
        resolve(world, issued.text)
    with pytest.raises(NotSignedIn):
        world.do(audit_log, old, SearchLog())
    assert resolve(world, made.text) == new
    with pytest.raises(TokenRevoked):
        world.do(rotate_token, world.team(Role.ADMINISTRATOR), RotateToken(issued.token.id))


def test_an_overlap_never_lengthens_a_token_and_none_ends_it_at_once(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    _, issued = program(world, boss, days=1)
    made = world.do(rotate_token, boss, RotateToken(issued.token.id, overlap_hours=168))
    assert made.replaced.expires_at == issued.token.expires_at
    again = world.do(rotate_token, boss, RotateToken(made.token.id, overlap_hours=0))
    assert again.replaced.revoked_at == world.clock()
    with pytest.raises(NotSignedIn):
        resolve(world, made.text)


def test_operators_choose_a_shorter_life(world: World) -> None:
    configure(AccessSettings(token_days=10))
    try:
        boss = world.team(Role.ADMINISTRATOR)
        account = world.do(create_service_account, boss, CreateServiceAccount("Short", boss.id))
        with pytest.raises(Invalid) as refused:
            world.do(issue_token, boss, IssueToken(account.id, SCOPES, days=11))
        assert "10 days" in refused.value.fields["days"]
        issued = world.do(issue_token, boss, IssueToken(account.id, SCOPES, days=10))
        with pytest.raises(Invalid):
            world.do(rotate_token, boss, RotateToken(issued.token.id, days=11))
    finally:
        configure(AccessSettings())


def test_use_is_noted_at_most_once_an_hour(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    _, issued = program(world, boss)
    for minutes in (0, 30, 31):
        world.clock.advance(minutes=minutes)
        resolve(world, issued.text)
    assert len(world.events("access.record_token_use")) == 2
    found = world.do(service_accounts, world.team(Role.AUDITOR), ListServiceAccounts())
    assert found.accounts[0].tokens[0].last_used_at == world.clock()


def test_names_are_unique_and_owners_are_on_the_team(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    world.do(create_service_account, boss, CreateServiceAccount("Export", boss.id))
    with pytest.raises(NameTaken):
        world.do(create_service_account, boss, CreateServiceAccount("Export", boss.id))
    with pytest.raises(NotATeamMember):
        world.do(create_service_account, boss, CreateServiceAccount("Import", world.subscriber().id))
