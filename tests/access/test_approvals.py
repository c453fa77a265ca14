"""Approvals cover one exact request, by other people, in time, once; and nothing else does."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from subscription_services.access import sign_with
from subscription_services.access.approval_queries import ApprovalRequest
from subscription_services.access.errors import (
    AlreadyApproved,
    ApprovalAsked,
    NothingToApprove,
    NotIndependent,
    NotSigned,
    OtherWords,
    RequestEnded,
)
from subscription_services.access.operations.approvals import (
    Approve,
    AskApproval,
    ListRequests,
    OneRequest,
    RefuseApproval,
)
from subscription_services.access.operations.people import EndGrant
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken
from subscription_services.approving import PasskeySignatures
from subscription_services.identity.errors import PasskeyCopied, WrongPasskey
from subscription_services.identity.model import passkey
from subscription_services.kernel.actors import Anonymous, Role, ServiceAccount, System, TeamMember
from subscription_services.kernel.errors import ApprovalNeeded, Invalid, NotFound, Refusal
from subscription_services.kernel.perform import perform
from subscription_services.testing import World, approving
from subscription_services.testing.approving import approve, approved, ask
from subscription_services.testing.authenticator import VERIFIED, Authenticator

from .granting import BOOM, About, Release, people_with, runs, signed_in_again, thing

NAME = "access.test_release"


def asked_by(world: World, asker: TeamMember, number: int = 1) -> ApprovalRequest:
    return ask(world, asker, NAME, Release(number))


def test_what_was_approved_is_done_once(house: World) -> None:
    asker = house.team(Role.SECURITY)
    with pytest.raises(ApprovalNeeded) as refused:
        house.do(NAME, asker, Release(1))
    assert (refused.value.operation, refused.value.arguments[:11]) == (NAME, '{"number":1')
    made = approved(house, asker, NAME, Release(1))
    house.do(NAME, asker, Release(1))
    assert runs(house) == 1
    assert house.events(NAME)[-1].details["approval"] == made.id
    with pytest.raises(ApprovalNeeded):
        house.do(NAME, asker, Release(1))
    assert house.do("access.approval_request", asker, OneRequest(made.id)).outcome == "used"


def test_one_changed_letter_asks_anew_and_another_person_cannot_use_it(house: World) -> None:
    asker, other = house.team(Role.SECURITY), house.team(Role.SECURITY)
    approved(house, asker, NAME, Release(1, note="a"))
    for actor, request in ((asker, Release(1, note="b")), (asker, Release(2, note="a")), (other, Release(1, note="a"))):
        with pytest.raises(ApprovalNeeded):
            house.do(NAME, actor, request)
    house.do(NAME, asker, Release(1, note="a"))


def test_one_changed_row_asks_anew(house: World) -> None:
    asker, other = house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR)
    made = approved(house, asker, NAME, Release(1))
    later = asked_by(house, asker, 2)
    house.write(lambda c: c.execute(update(thing).values(version=2)))
    with pytest.raises(ApprovalNeeded):
        house.do(NAME, asker, Release(1))
    with pytest.raises(RequestEnded):
        approve(house, other, later.id)
    assert "changed" in house.do("access.approval_request", asker, OneRequest(made.id)).waits_for
    approved(house, asker, NAME, Release(1))
    house.do(NAME, asker, Release(1))


def test_a_crash_between_approval_and_run_leaves_both(house: World) -> None:
    asker = house.team(Role.SECURITY)
    approved(house, asker, NAME, Release(1, note=BOOM))
    with pytest.raises(RuntimeError):
        house.do(NAME, asker, Release(1, note=BOOM))
    assert runs(house) == 0
    house.write(lambda c: c.execute(thing.insert(), {"id": BOOM, "version": 1}))
    house.do(NAME, asker, Release(1, note=BOOM))
    assert runs(house) == 1


def test_a_crash_before_the_commit_leaves_the_approval(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asker = house.team(Role.SECURITY)
    approved(house, asker, NAME, Release(1))
    log = type(house.house.kernel.log)

    def lost(*arguments: Any) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(log, "append", lost)
        with pytest.raises(OSError, match="killed"):
            house.do(NAME, asker, Release(1))
    assert runs(house) == 0
    house.do(NAME, asker, Release(1))
    assert runs(house) == 1


def test_of_many_runs_at_once_one_gets_it(house: World) -> None:
    asker = house.team(Role.SECURITY)
    approved(house, asker, NAME, Release(1))
    operation = house.house.kernel.registry.get(NAME)
    assert operation is not None

    async def all_at_once() -> list[Any]:
        tries = [perform(house.house.kernel, operation, asker, Release(1)) for _ in range(6)]
        return await asyncio.gather(*tries, return_exceptions=True)

    results = house.run(all_at_once())
    assert sum(isinstance(result, Release) for result in results) == 1
    assert sum(isinstance(result, ApprovalNeeded) for result in results) == 5
    assert runs(house) == 1


def test_two_are_two_and_one_left_over_serves_nothing(house: World) -> None:
    asker, first, second = house.team(Role.SECURITY), house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR)
    made = ask(house, asker, "access.test_two", Release(1))
    approve(house, first, made.id)
    with pytest.raises(ApprovalNeeded):
        house.do("access.test_two", asker, Release(1))
    with pytest.raises(AlreadyApproved):
        house.do("access.approve", first, Approve(made.id, made.words.digest))
    approve(house, second, made.id)
    house.do("access.test_two", asker, Release(1))
    with pytest.raises(ApprovalNeeded):
        house.do("access.test_two", asker, Release(1))


@pytest.mark.parametrize("name", ["access.test_none", "access.test_twice"])
def test_a_policy_that_is_not_clear_is_a_refusal(house: World, name: str) -> None:
    asker = house.team(Role.SECURITY)
    house.team(Role.SECURITY)
    with pytest.raises((ApprovalNeeded, ValueError)):
        house.do(name, asker, Release(1))
    with pytest.raises(ApprovalNeeded):
        ask(house, asker, name, Release(1))


def test_nobody_unnamed_is_ever_approved(house: World) -> None:
    from subscription_services.access import DatabaseApprovals

    approvals = DatabaseApprovals(house.house.ring.for_caller("access"))
    for actor, name, needed in ((Anonymous(), NAME, 1), (System("jobs"), NAME, 1), (house.team(), NAME, 0),
                                (house.team(), NAME, 2), (house.team(), "access.unknown", 1)):  # fmt: skip
        with pytest.raises(ApprovalNeeded), house.house.store.reading() as connection:
            approvals.consume(connection, actor, name, bytes(32), needed, house.clock())


def test_it_ends(house: World) -> None:
    asker = house.team(Role.SECURITY)
    approved(house, asker, NAME, Release(1))
    house.clock.advance(hours=24)
    fresh = replace(asker, **signed_in_again(house, asker))
    with pytest.raises(ApprovalNeeded):
        house.do(NAME, fresh, Release(1))


def test_refused_and_withdrawn_are_over(house: World) -> None:
    asker, other = house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR)
    refused, withdrawn = asked_by(house, asker, 1), asked_by(house, asker, 2)
    approve(house, other, refused.id)
    house.do("access.refuse_approval", other, RefuseApproval(refused.id, "not today"))
    house.do("access.withdraw_request", asker, OneRequest(withdrawn.id))
    for number, made in ((1, refused), (2, withdrawn)):
        with pytest.raises(ApprovalNeeded):
            house.do(NAME, asker, Release(number))
        with pytest.raises(RequestEnded):
            approve(house, other, made.id)
    with pytest.raises(NotFound):
        house.do("access.withdraw_request", other, OneRequest(asked_by(house, asker, 3).id))


def test_the_requester_does_not_approve_under_any_name(house: World) -> None:
    asker = house.team(Role.ADMINISTRATOR)
    house.team(Role.SECURITY)
    made = asked_by(house, asker)
    with pytest.raises(NotIndependent, match="your own"):
        house.do("access.approve", asker, Approve(made.id, made.words.digest))
    # an alias: the same mailbox behind another account
    alias = people_with(house, "team1+second@example.org", Role.SECURITY)
    with pytest.raises(NotIndependent, match="same mailbox"):
        approve(house, alias, made.id)


def test_whom_the_requester_appointed_does_not_approve_although_the_grant_ended(house: World) -> None:
    asker, chosen, other = house.team(Role.ADMINISTRATOR), house.team(), house.team(Role.SECURITY)
    grant = approving.give_role(house, asker, chosen.id, Role.SECURITY)
    house.do("access.end_grant", other_administrator(house), EndGrant(grant.id, "moved"))
    approving.give_role(house, other_administrator(house), chosen.id, Role.SECURITY)
    made = asked_by(house, asker)
    with pytest.raises(NotIndependent, match="invited you or gave you"):
        approve(house, replace(chosen, roles=frozenset({Role.SECURITY})), made.id)
    approve(house, other, made.id)


def other_administrator(house: World) -> TeamMember:
    return house.team(Role.ADMINISTRATOR)


def test_whose_sign_in_the_requester_changed_does_not_approve(house: World) -> None:
    from subscription_services.kernel.events import Event, Outcome

    asker, reset, other = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY), house.team(Role.SECURITY)
    made = asked_by(house, asker)
    event = Event(
        id="evt_1", at=house.clock(), action="identity.stop_totp", outcome=Outcome.SUCCESS, actor_kind="team-member",
        actor=asker.id, subject=reset.id,
    )  # fmt: skip
    operation = next(item for item in house.house.kernel.registry if item.room == "identity" and item.changes)
    house.write(lambda c: house.house.kernel.log.append(c, [replace_event(event, operation.name)]))
    with pytest.raises(NotIndependent, match="how you sign in"):
        approve(house, reset, made.id)
    approve(house, other, made.id)


def replace_event(event: Any, action: str) -> Any:
    import msgspec

    return msgspec.structs.replace(event, action=action)


def test_nobody_approves_what_gives_themselves_power(house: World) -> None:
    asker, gains, other = house.team(Role.SECURITY), house.team(Role.SECURITY), house.team(Role.SECURITY)
    made = ask(house, asker, "access.test_power", About(gains.id))
    with pytest.raises(NotIndependent, match="about you"):
        approve(house, gains, made.id)
    approve(house, other, made.id)


def test_a_program_is_the_hand_of_its_owner_and_maker(house: World) -> None:
    boss, owner, other = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY), house.team(Role.SECURITY)
    account = house.do("access.create_service_account", boss, CreateServiceAccount("Release", owner.id))
    scopes = [NAME, "access.ask_approval", "access.withdraw_request"]
    token = house.do("access.issue_token", boss, IssueToken(account.id, scopes)).token
    program = ServiceAccount(account.id, token.id, frozenset(scopes))
    made = ask(house, program, NAME, Release(1))
    for hand in (owner, boss):
        with pytest.raises(NotIndependent, match="your own request, or that of a program of yours"):
            approve(house, hand, made.id)
    with pytest.raises(ApprovalNeeded):
        house.do(NAME, program, Release(1))
    approve(house, other, made.id)
    house.do(NAME, program, Release(1))


def test_an_approver_who_lost_the_role_no_longer_counts(house: World) -> None:
    asker, other = house.team(Role.SECURITY), house.team()
    grant = approving.give_role(house, other_administrator(house), other.id, Role.SECURITY)
    made = asked_by(house, asker)
    approve(house, replace(other, roles=frozenset({Role.SECURITY})), made.id)
    house.do("access.end_grant", other_administrator(house), EndGrant(grant.id, "left"))
    with pytest.raises(ApprovalNeeded):
        house.do(NAME, asker, Release(1))


def test_what_is_asked_has_to_be_something_that_one_may_do(house: World) -> None:
    house.team(Role.SECURITY)
    with pytest.raises(Refusal):
        asked_by(house, house.team(Role.BILLING))
    asker = house.team(Role.SECURITY)
    for name, text in ((NAME, "{}"), (NAME, '{"number": "x"}'), (NAME, "not json"), ("access.unknown", "{}")):
        with pytest.raises(Invalid):
            house.do("access.ask_approval", asker, AskApproval(name, text, "for a test"))
    with pytest.raises(NothingToApprove):
        house.do("access.ask_approval", asker, AskApproval("access.people", "{}", "for a test"))
    asked_by(house, asker)
    with pytest.raises(ApprovalAsked):
        asked_by(house, asker)


def test_approvers_see_what_their_role_needs_and_approve_what_they_saw(house: World) -> None:
    asker = house.team(Role.ADMINISTRATOR)
    security, keeper = house.team(Role.SECURITY), house.team(Role.OPERATIONS, Role.ADMINISTRATOR)
    auditor = house.team(Role.AUDITOR)
    made = ask(house, asker, NAME, Release(1, email="ada@example.org", note="for ada@example.org"))
    masked = house.do("access.approval_request", auditor, OneRequest(made.id))
    assert masked.words.masked
    assert "ada@" not in str(masked)
    assert ("Email", "a…@e….org") in masked.words.lines
    assert not masked.arguments
    shown = house.do("access.approval_request", security, OneRequest(made.id))
    assert ("Email", "ada@example.org") in shown.words.lines
    with pytest.raises(OtherWords):
        house.do("access.approve", keeper, Approve(made.id, masked.words.digest))
    with pytest.raises(NotFound):
        house.do("access.approval_request", house.team(Role.BILLING), OneRequest(made.id))
    waiting = house.do("access.approval_requests", keeper, ListRequests())
    assert [item.id for item in waiting.to_decide] == [made.id]


def test_an_approval_carries_the_approvers_signature_and_is_worth_nothing_without(house: World) -> None:
    asker, first, second = house.team(Role.SECURITY), house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR)
    sign_with(None)
    try:
        assert not approved(house, asker, NAME, Release(1)).approvals[0].signed
    finally:
        sign_with(PasskeySignatures())
    with pytest.raises(ApprovalNeeded):  # what was given without a signature does not count
        house.do(NAME, asker, Release(1))
    made = asked_by(house, asker, 2)
    found = house.do("access.approval_request", first, OneRequest(made.id))
    assert (found.challenge, found.credentials) == (found.challenge, [])  # the page asks for a passkey
    assert len(found.challenge) == 43  # 32 bytes
    mine, other = approving.passkey_of(house, first), approving.passkey_of(house, second)
    good = Approve(made.id, found.words.digest, **approving.signature(mine, found.challenge))
    for wrong in (
        {"credential": "", "signature": ""},
        approving.signature(mine, "A" * 43),
        approving.signature(other, found.challenge),
        approving.signature(replaced(mine, origin="https://evil.example"), found.challenge),
        approving.signature(replaced(mine, flags=mine.flags & ~VERIFIED), found.challenge),
        {"signature": "AAAA"},
    ):
        with pytest.raises((NotSigned, WrongPasskey)):
            house.do("access.approve", first, replace(good, **wrong))
    assert house.do("access.approve", first, good).approvals[0].signed
    rows = house.write(lambda c: c.execute(passkey.select().where(passkey.c.account == first.id)).mappings().all())
    house.write(lambda c: c.execute(passkey.delete().where(passkey.c.account == first.id)))
    with pytest.raises(ApprovalNeeded):  # held against the passkeys of the moment when it is used
        house.do(NAME, asker, Release(2))
    house.write(lambda c: c.execute(passkey.insert(), [dict(row) for row in rows]))
    house.do(NAME, asker, Release(2))


def test_a_passkey_that_counts_is_counted_once_for_each_approval(house: World) -> None:
    asker, other = house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR)
    mine = approving.passkey_of(house, other)
    mine.count = 5
    one, two = asked_by(house, asker, 1), asked_by(house, asker, 2)
    approve(house, other, one.id)
    with pytest.raises(PasskeyCopied):
        approve(house, other, two.id)
    mine.count = 6
    approve(house, other, two.id)
    for number in (1, 2):  # looking at a signature again is no use of the passkey
        house.do(NAME, asker, Release(number))
    with house.house.store.reading() as connection:
        counted = select(passkey.c.sign_count).where(passkey.c.account == other.id)
        assert connection.execute(counted).scalar_one() == 6


def replaced(maker: Authenticator, **wrong: Any) -> Authenticator:
    return dataclasses.replace(maker, **wrong)


def test_those_who_can_decide_are_written_to_at_once_and_who_asked_afterwards(house: World) -> None:
    from subscription_services.jobs.model import job

    asker, other = house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR)
    approving.invited(house, other_administrator(house), "new@example.org", Role.SECURITY)
    house.team(Role.BILLING)
    made = asked_by(house, asker)

    def letters(name: str) -> set[str]:
        with house.house.store.reading() as connection:
            rows = connection.execute(job.select()).all()
        return {account_in(row.payload) for row in rows if name in str(row.payload) and made.id in str(row.payload)}

    assert other.id in letters("access.approval_asked")
    assert asker.id not in letters("access.approval_asked")
    assert len(letters("access.approval_asked")) == 2
    approve(house, other, made.id)
    assert letters("access.approval_given") == {asker.id}


def account_in(payload: Any) -> str:
    import re

    found = re.search(r"acc_[0-9a-f]{32}", str(payload))
    assert found is not None
    return found.group()
