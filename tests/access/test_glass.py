"""Break glass: the sealed code and a fresh second factor lend for an hour, loudly, and somebody else reviews it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from subscription_services.access.errors import (
    GlassClosed,
    GlassReviewOpen,
    GlassStillBroken,
    NothingSealed,
    NotIndependent,
    TaskRefused,
    WrongGlassCode,
)
from subscription_services.access.glass import Broken
from subscription_services.access.glass_checks import glass_is_reviewed
from subscription_services.access.glass_model import GlassVerdict, glass, seal
from subscription_services.access.model import grant
from subscription_services.access.operations.glass import (
    BreakGlass,
    CloseGlassReview,
    LookAtGlass,
    OneGlass,
    RemindOfGlassReviews,
    SealGlass,
    TryGlass,
)
from subscription_services.access.operations.leavers import DeactivateLeaver
from subscription_services.access.operations.people import GrantRole, People
from subscription_services.access.operations.tasks import EndTask, OneTask
from subscription_services.access.task_model import task
from subscription_services.access.tasks import About
from subscription_services.commands.glass import lines_of
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.checks import Finding, Verdict
from subscription_services.kernel.errors import (
    ApprovalNeeded,
    NotSignedIn,
    Refusal,
    SecondFactorNeeded,
    StepUpNeeded,
    TooMany,
)
from subscription_services.kernel.words import json_of
from subscription_services.ledger.ocsf import Product, record
from subscription_services.testing import World
from subscription_services.testing.approving import approved, give_role

from .granting import About as Person
from .granting import Release, runs, signed_in_again, with_tasks

WHY = "The mail server is down and nobody answers"
FINDINGS = "Read every entry; the mails were sent again, nothing else."


def sealed(house: World, who: TeamMember | None = None) -> str:
    """A sealed code, made by two."""
    sealer = who or house.team(Role.SECURITY)
    approved(house, sealer, "access.seal_glass", SealGlass())
    house.clock.advance(seconds=1)
    return str(house.do("access.seal_glass", sealer, SealGlass()).code)


def asked(code: str, role: Role = Role.BILLING, **more: Any) -> BreakGlass:
    return replace(BreakGlass(code, WHY, About.INCIDENT, "inc-7", role, 60), **more)


def broken(house: World, who: TeamMember, **more: Any) -> tuple[Broken, TeamMember]:
    """The glass broken by `who`, and they as the edge makes them from then on."""
    made: Broken = house.do("access.break_glass", who, asked(sealed(house), **more))
    return made, with_tasks(house, who)


def letters(house: World, name: str) -> set[str]:
    """To whom letters of this name are on their way."""
    with house.house.store.reading() as connection:
        rows = connection.execute(select(job.c.payload)).scalars()
        found = [row for row in rows if name in str(row)]
    return {json.loads(row)["account"] for row in found}


def test_it_lends_at_once_for_an_hour_and_the_record_says_what_was_done(house: World) -> None:
    someone = house.team(Role.OPERATIONS)
    with pytest.raises(Refusal):
        house.do("access.test_lent", someone, Person("acc_x"))
    house.clock.advance(seconds=1)
    made, lent = broken(house, someone)
    assert made.ends_at - made.started_at == timedelta(hours=1)
    house.do("access.test_lent", lent, Person("acc_x"))
    house.clock.advance(minutes=1)
    house.do("access.glass", lent, LookAtGlass())
    watcher = house.team(Role.AUDITOR)
    record_ = house.do("access.glass_record", watcher, OneGlass(made.id))
    # what they did by a role of their own in that hour is shown as well
    done = {entry.action: entry.id in record_.under for entry in record_.entries}
    assert done == {"access.break_glass": True, "access.test_lent": True, "access.glass": False}
    assert record_.whole
    assert house.events("access.test_lent")[-1].details["task"] == made.task.id
    house.clock.advance(minutes=59)
    with pytest.raises((Refusal, NotSignedIn)):
        house.do("access.test_lent", lent, Person("acc_x"))


def test_everybody_is_told_and_the_log_says_critical(house: World) -> None:
    someone, other = house.team(Role.OPERATIONS), house.team(Role.SUPPORT)
    broken(house, someone)
    assert {someone.id, other.id, "contact.security"} <= letters(house, "access.glass_broken")
    event = house.events("access.break_glass")[-1]
    assert event.details["severity"] == "critical"
    assert record(event, 1, Product("x", "x", "1"))["severity_id"] == 5


def test_it_takes_the_role_the_second_factor_just_now_and_the_code(house: World) -> None:
    code, someone = sealed(house), house.team(Role.OPERATIONS)
    for refused in (house.team(Role.SUPPORT), house.team(), house.subscriber()):
        with pytest.raises(Refusal):
            house.do("access.break_glass", refused, asked(code))
    with pytest.raises(SecondFactorNeeded):
        house.do("access.break_glass", replace(someone, second_factor=False), asked(code))
    with pytest.raises(WrongGlassCode):
        house.do("access.break_glass", someone, asked("aaaa-bbbb-cccc-dddd"))
    assert letters(house, "access.glass_wrong_code") >= {"contact.security"}
    assert record(house.events("access.break_glass")[-1], 1, Product("x", "x", "1"))["severity_id"] == 4
    house.clock.advance(minutes=6)
    with pytest.raises(StepUpNeeded):  # a session that was left open breaks nothing
        house.do("access.break_glass", someone, asked(code))
    again = replace(someone, **signed_in_again(house, someone))
    assert house.do("access.break_glass", again, asked(code.upper().replace("-", " "))).open


def test_codes_are_not_tried_for_long(house: World) -> None:
    sealed(house)
    someone = house.team(Role.OPERATIONS)
    for _ in range(5):
        with pytest.raises(WrongGlassCode):
            house.do("access.break_glass", someone, asked("aaaa-bbbb-cccc-dddd"))
    with pytest.raises(TooMany):
        house.do("access.break_glass", someone, asked("aaaa-bbbb-cccc-dddd"))


def test_a_code_takes_two_to_seal_opens_once_and_is_not_kept(house: World) -> None:
    sealer, someone, other = house.team(Role.SECURITY), house.team(Role.OPERATIONS), house.team(Role.OPERATIONS)
    with pytest.raises(ApprovalNeeded):
        house.do("access.seal_glass", sealer, SealGlass())
    first = sealed(house, sealer)
    second = sealed(house, sealer)
    with pytest.raises(WrongGlassCode):
        house.do("access.try_glass", sealer, TryGlass(first))
    house.do("access.try_glass", sealer, TryGlass(second))
    with house.house.store.reading() as connection:
        row = connection.execute(select(seal).where(seal.c.ended_at.is_(None))).one()
        assert second.encode() not in bytes(row.digest)
        assert row.tested_at == house.clock()
    shown = house.do("access.glass", other, LookAtGlass())
    assert (shown.seal.tested_at, shown.seal.sealed_by) == (house.clock(), sealer.id)
    house.do("access.break_glass", someone, asked(second))
    with pytest.raises(NothingSealed):
        house.do("access.break_glass", other, asked(second))
    assert house.do("access.glass", other, LookAtGlass()).seal is None


def test_a_used_code_that_is_put_back_opens_nothing(house: World) -> None:
    someone, other = house.team(Role.OPERATIONS), house.team(Role.OPERATIONS)
    code = sealed(house)
    with house.house.store.reading() as connection:
        before = dict(connection.execute(select(seal)).one()._mapping)
    house.do("access.break_glass", someone, asked(code))
    house.write(lambda c: c.execute(update(seal).where(seal.c.id == before["id"]).values(**before)))
    with pytest.raises(NothingSealed):
        house.do("access.break_glass", other, asked(code))
    later = sealed(house)
    with house.house.store.reading() as connection:
        after = dict(connection.execute(select(seal).where(seal.c.id != before["id"])).one()._mapping)
    sealed(house)

    def put_back(connection: Any) -> None:
        ended = {"ended_at": house.clock(), "ended_by": "acc_x", "outcome": "replaced"}
        connection.execute(update(seal).where(seal.c.ended_at.is_(None)).values(**ended))
        connection.execute(update(seal).where(seal.c.id == after["id"]).values(**after))

    house.write(put_back)  # one that was replaced
    with pytest.raises(NothingSealed):
        house.do("access.break_glass", other, asked(later))


def test_a_code_of_an_attackers_own_opens_nothing(house: World) -> None:
    code, someone = sealed(house), house.team(Role.OPERATIONS)
    house.write(lambda c: c.execute(update(seal).values(digest=bytes(33))))
    with pytest.raises(NothingSealed):
        house.do("access.break_glass", someone, asked(code))


def test_what_takes_two_people_still_takes_two(house: World) -> None:
    made, lent = broken(house, house.team(Role.OPERATIONS), role=Role.SECURITY)
    assert "access.test_release" in lent.tasks
    with pytest.raises(ApprovalNeeded):
        house.do("access.test_release", lent, Release(1))
    assert runs(house) == 0
    assert made.open


def test_it_hands_out_no_power_and_nothing_that_outlasts_the_hour(house: World) -> None:
    _, lent = broken(house, house.team(Role.OPERATIONS), role=Role.ADMINISTRATOR)
    house.do("access.people", lent, People())
    never = {
        "access.grant_role", "access.approve", "access.grant_task", "access.invite", "access.issue_token",
        "access.create_service_account", "access.make_task_rule", "access.seal_glass", "access.break_glass",
        "access.close_glass_review", "identity.approve_team_recovery", "keys.agree_to_restore",
    }  # fmt: skip
    assert not never & lent.tasks
    with pytest.raises(Refusal):
        wanted = GrantRole(house.team().id, Role.SUPPORT, "no reason")
        house.do("access.grant_role", replace(lent, tasks=lent.tasks | never), wanted)
    with pytest.raises(TaskRefused):
        asked_for = asked(sealed(house), role=Role.ADMINISTRATOR, operations=["access.issue_token"])
        house.do("access.break_glass", house.team(Role.SECURITY), asked_for)


def test_it_ends_when_somebody_ends_it(house: World) -> None:
    made, lent = broken(house, house.team(Role.OPERATIONS))
    house.do("access.revoke_task", house.team(Role.SECURITY), EndTask(made.task.id, "no emergency"))
    with pytest.raises(Refusal):
        house.do("access.test_lent", lent, Person("acc_x"))


def test_the_review_is_closed_by_somebody_independent_with_findings(house: World) -> None:
    someone = house.team(Role.SECURITY)
    made, _ = broken(house, someone)
    other = house.team(Role.ADMINISTRATOR)
    close = CloseGlassReview(made.id, GlassVerdict.RIGHT, FINDINGS)
    with pytest.raises(GlassStillBroken):
        house.do("access.close_glass_review", other, close)
    house.do("access.close_task", someone, OneTask(made.task.id))
    for refused in (someone, house.team(Role.AUDITOR)):
        with pytest.raises(Refusal):
            house.do("access.close_glass_review", refused, close)
    with pytest.raises(GlassReviewOpen):  # not twice before it is closed
        house.do("access.break_glass", someone, asked(sealed(house)))
    closed = house.do("access.close_glass_review", other, close)
    assert (closed.verdict, closed.findings) == (GlassVerdict.RIGHT, FINDINGS)
    with pytest.raises(GlassClosed):
        house.do("access.close_glass_review", other, close)
    assert someone.id in letters(house, "access.glass_closed")
    assert house.do("access.glass", other, LookAtGlass()).broken[0].closed_by == "Tess Team"


def test_nobody_reviews_who_was_appointed_by_them(house: World) -> None:
    boss, chosen = house.team(Role.ADMINISTRATOR), house.team()
    give_role(house, boss, chosen.id, Role.SECURITY, "helps")
    made, _ = broken(house, boss)
    house.do("access.close_task", boss, OneTask(made.task.id))
    with pytest.raises(NotIndependent, match="gave you a role"):
        house.do(
            "access.close_glass_review", replace(chosen, roles=frozenset({Role.SECURITY})),
            CloseGlassReview(made.id, GlassVerdict.RIGHT, FINDINGS),
        )  # fmt: skip


def test_reminders_go_to_reviewers_and_to_everybody_once_it_is_late(house: World) -> None:
    made, _ = broken(house, house.team(Role.OPERATIONS))
    reviewer, clerk = house.team(Role.SECURITY), house.team(Role.SUPPORT)
    house.clock.advance(hours=2)
    job_of = house.system("access.glass")
    assert house.do("access.remind_of_glass", job_of, RemindOfGlassReviews()).open == 1
    told = letters(house, "access.glass_review_waits")
    assert reviewer.id in told
    assert clerk.id not in told
    house.clock.advance(days=7)
    assert house.do("access.remind_of_glass", job_of, RemindOfGlassReviews()).late == 1
    assert {clerk.id, "contact.security"} <= letters(house, "access.glass_review_waits")
    assert made.due_at - made.started_at == timedelta(days=7)


def test_the_database_refuses_what_must_never_be(house: World) -> None:
    made, _ = broken(house, house.team(Role.OPERATIONS))
    hour = 3600 * 1_000_000
    for statement in (
        f"UPDATE access_glass SET ends_at = started_at + {hour} + 1",
        "UPDATE access_glass SET ends_at = NULL",
        "UPDATE access_glass SET due_at = NULL",
        "UPDATE access_glass SET closed_at = ends_at, closed_by = account, verdict = 'right', findings = mac",
        "UPDATE access_glass SET closed_at = ends_at, closed_by = 'acc_other', verdict = 'right'",
        "UPDATE access_glass SET verdict = 'fine'",
        f"UPDATE access_task SET ends_at = asked_at + {hour} + 1 WHERE granted_by = '{made.id}'",
        "INSERT INTO access_glass (id, account, seal, task, started_at, ends_at, due_at, others, mac) "
        "SELECT 'glb_2', account, 'gls_2', 'tsk_2', started_at, ends_at, due_at, others, mac FROM access_glass",
    ):
        with pytest.raises(IntegrityError):
            house.write(lambda c, s=statement: c.execute(text(s)))
    sealed(house)
    with pytest.raises(IntegrityError):  # there is one envelope
        house.write(
            lambda c: c.execute(text("UPDATE access_glass_seal SET ended_at = NULL, ended_by = NULL, outcome = NULL"))
        )
    with house.house.store.reading() as connection:
        assert connection.execute(select(task.c.granted_by).where(task.c.id == made.task.id)).scalar() == made.id
        assert len(connection.execute(select(glass)).all()) == 1


def test_a_leaver_loses_it_like_every_task(house: World) -> None:
    someone = house.team(Role.OPERATIONS)
    made, lent = broken(house, someone)
    boss = house.team(Role.ADMINISTRATOR)
    assert house.do("access.deactivate_leaver", boss, DeactivateLeaver(someone.id, "was no emergency")).tasks == 1
    with pytest.raises(NotSignedIn):
        house.do("access.test_lent", lent, Person("acc_x"))
    house.do("access.close_glass_review", boss, CloseGlassReview(made.id, GlassVerdict.WRONG, FINDINGS))


def leave_alone(house: World, who: TeamMember) -> None:
    """Nobody else holds a role any more."""
    others = update(grant).where(grant.c.account != who.id)
    house.write(lambda c: c.execute(others.values(ended_at=grant.c.granted_at, ended_by="acc_x")))


def test_who_is_alone_reviews_their_own_only_later_and_everybody_is_told(house: World) -> None:
    boss, helper = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY)
    code = sealed(house, boss)
    leave_alone(house, boss)
    made = house.do("access.break_glass", boss, asked(code))
    close = CloseGlassReview(made.id, GlassVerdict.RIGHT, FINDINGS)
    house.clock.advance(hours=2)
    boss = replace(boss, **signed_in_again(house, boss))
    with pytest.raises(NotIndependent, match="nobody else"):
        house.do("access.close_glass_review", boss, close)
    house.clock.advance(hours=23)
    boss = replace(boss, **signed_in_again(house, boss))
    house.do("access.close_glass_review", boss, close)
    assert helper.id in letters(house, "access.glass_closed")
    assert house.events("access.close_glass_review")[-1].details["alone"] is True


def test_who_makes_themselves_alone_does_not_review_their_own(house: World) -> None:
    someone = house.team(Role.ADMINISTRATOR)
    made, _ = broken(house, someone)
    leave_alone(house, someone)
    house.clock.advance(hours=40)
    someone = replace(someone, **signed_in_again(house, someone))
    with pytest.raises(NotIndependent, match="somebody else has to review"):
        house.do("access.close_glass_review", someone, CloseGlassReview(made.id, GlassVerdict.RIGHT, FINDINGS))


def found(house: World) -> Finding:
    keys = house.house.ring.for_caller("access")
    with house.house.store.reading() as connection:
        return glass_is_reviewed(connection, keys, house.clock())


def test_the_check_finds_a_late_review_a_hidden_one_and_one_that_nobody_closed(house: World) -> None:
    made, _ = broken(house, house.team(Role.OPERATIONS))
    assert found(house).verdict is Verdict.KEPT
    with house.house.store.reading() as connection:
        before = dict(connection.execute(select(glass)).one()._mapping)
    house.write(lambda c: c.execute(delete(glass)))
    assert found(house).verdict is Verdict.BROKEN
    closed = {"closed_at": before["ends_at"], "closed_by": "acc_x", "verdict": "right", "findings": b"x"}
    house.write(lambda c: c.execute(insert(glass), {**before, **closed}))
    assert "was changed" in found(house).says
    house.write(lambda c: c.execute(delete(glass)))
    house.write(lambda c: c.execute(insert(glass), before))
    house.clock.advance(days=7)
    assert (found(house).verdict, found(house).evidence) == (Verdict.BROKEN, {"broken": 1, "late": 1})
    reviewer = house.team(Role.SECURITY)
    house.do("access.close_glass_review", reviewer, CloseGlassReview(made.id, GlassVerdict.RIGHT, FINDINGS))
    assert found(house).verdict is Verdict.KEPT


def test_the_terminal_says_how_it_stands(house: World) -> None:
    someone = house.team(Role.OPERATIONS)

    def state() -> Any:
        return json.loads(json_of(house.do("access.glass", someone, LookAtGlass())))

    assert lines_of(state())[0].startswith("No sealed code")
    code = sealed(house)
    assert "never tested" in lines_of(state())[0]
    house.do("access.break_glass", someone, asked(code))
    assert "OPEN NOW" in lines_of(state())[-1]
    assert "review OPEN" in lines_of(state())[-1]
