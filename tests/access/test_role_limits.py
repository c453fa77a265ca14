"""Roles that are narrower here than code has them: enforced at once, and not undone beside the service."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import delete, insert, select, text, update

from subscription_services.access import HouseAuthority, claims_of, team_navigation
from subscription_services.access.errors import LimitRefused, LimitsForged
from subscription_services.access.letters import LETTERS
from subscription_services.access.limit_model import role_limit, role_seal
from subscription_services.access.operations.people import People
from subscription_services.access.operations.role_limits import ListLimits, NarrowRole, ResetLimits, WidenRole
from subscription_services.access.operations.tasks import AskTask, OneTask
from subscription_services.access.role_limits import KEPT
from subscription_services.access.tasks import About
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.errors import ApprovalNeeded, Refusal
from subscription_services.mail import SendLetter, SiteFacts
from subscription_services.testing import World
from subscription_services.testing.approving import approved

from .granting import About as Person
from .granting import with_tasks

LOOK = "access.test_look"


def narrow(house: World, boss: TeamMember, role: Role, *names: str, since: datetime | None = None) -> None:
    house.do("access.narrow_role", boss, NarrowRole(role, list(names), "nobody needs it", since))


def can(house: World, member: TeamMember, name: str = LOOK) -> bool:
    try:
        house.do(name, member, Person("acc_x"))
    except Refusal:
        return False
    return True


def test_what_is_taken_from_a_role_is_refused_at_the_next_request_and_by_no_other_role(house: World) -> None:
    boss, clerk, both = house.team(Role.ADMINISTRATOR), house.team(Role.BILLING), house.team(Role.BILLING, Role.SUPPORT)
    assert can(house, clerk)
    narrow(house, boss, Role.BILLING, LOOK)
    assert not can(house, clerk)
    assert not can(house, both)
    assert can(house, clerk, "access.test_lent")  # the rest of the role stays
    narrow(house, boss, Role.SECURITY, "access.people")
    house.do("access.people", house.team(Role.SECURITY, Role.AUDITOR), People())  # the other role allows it
    with pytest.raises(Refusal):
        house.do("access.people", house.team(Role.SECURITY), People())
    event = house.events("access.narrow_role")[0]
    assert event.details["operations"] == [LOOK]
    assert "nobody needs it" not in str(event)


def test_a_limit_may_begin_later(house: World) -> None:
    boss, clerk = house.team(Role.ADMINISTRATOR), house.team(Role.BILLING)
    narrow(house, boss, Role.BILLING, LOOK, since=house.clock() + timedelta(minutes=5))
    assert can(house, clerk)
    house.clock.advance(minutes=6)
    assert not can(house, clerk)


def test_a_task_lends_nothing_that_was_taken_from_its_role(house: World) -> None:
    boss, holder = house.team(Role.ADMINISTRATOR), house.team(Role.SUPPORT)
    asked = house.do("access.ask_task", holder, AskTask("Case 7", About.OTHER, "", Role.BILLING, 60))
    house.do("access.grant_task", boss, OneTask(asked.id))
    assert can(house, with_tasks(house, holder))
    narrow(house, boss, Role.BILLING, LOOK)
    assert not can(house, with_tasks(house, holder))
    assert can(house, with_tasks(house, holder), "access.test_lent")


def test_giving_back_takes_somebody_else(house: World) -> None:
    boss, clerk = house.team(Role.ADMINISTRATOR), house.team(Role.BILLING)
    house.team(Role.ADMINISTRATOR)
    narrow(house, boss, Role.BILLING, LOOK, "access.test_lent")
    request = WidenRole(Role.BILLING, [LOOK], "needed after all")
    with pytest.raises(ApprovalNeeded):
        house.do("access.widen_role", boss, request)
    approved(house, boss, "access.widen_role", request)
    house.do("access.widen_role", boss, request)
    assert can(house, clerk)
    assert not can(house, clerk, "access.test_lent")
    assert [item.operation for item in house.do("access.role_limits", boss, ListLimits()).limits] == [
        "access.test_lent"
    ]


def test_only_what_code_allows_can_be_taken_and_never_what_takes_a_limit_back(house: World) -> None:
    boss = house.team(Role.ADMINISTRATOR)
    for role, name in ((Role.BILLING, "access.people"), (Role.BILLING, "access.none"), (Role.BILLING, LOOK[:-1])):
        with pytest.raises(LimitRefused):
            narrow(house, boss, role, name)
    for name in sorted(KEPT):
        with pytest.raises(LimitRefused):
            narrow(house, boss, Role.ADMINISTRATOR, name)
    narrow(house, boss, Role.BILLING, LOOK)
    with pytest.raises(LimitRefused):
        narrow(house, boss, Role.BILLING, LOOK)
    never = WidenRole(Role.BILLING, ["access.test_lent"], "by mistake")
    approved(house, boss, "access.widen_role", never)
    with pytest.raises(LimitRefused):
        house.do("access.widen_role", boss, never)


def test_those_who_hold_the_role_are_told(house: World) -> None:
    boss, clerk = house.team(Role.ADMINISTRATOR), house.team(Role.BILLING)
    house.team(Role.SUPPORT)
    narrow(house, boss, Role.BILLING, LOOK)
    assert [(item.letter, item.account) for item in letters(house)] == [("access.role_narrowed", clerk.id)]
    (kind,) = [item for item in LETTERS if item.name == "access.role_narrowed"]
    site = SiteFacts("https://localhost:8443", "Subscription Services", "support@example.org")
    sent = letters(house)[0]
    written = house.run(kind.compose(house.house.kernel, site, sent.account, sent.values))
    assert "A look of billing at a person. (access.test_look)" in written.text
    assert "https://localhost:8443/team/powers" in written.text


def letters(house: World) -> list[SendLetter]:
    with house.house.store.reading() as connection:
        rows = connection.execute(job.select().where(job.c.kind == "mail.send")).all()
    return [
        item
        for row in rows
        if (item := msgspec.json.decode(row.payload, type=SendLetter)).letter[:12] == "access.role_"
    ]


def forged(house: World) -> dict[str, Any]:
    now = house.clock()
    return {
        "id": "rlm_forged", "role": "billing", "operation": "access.test_lent", "since": now, "made_by": "acc_x",
        "made_at": now, "reason": b"none",
    }  # fmt: skip


def tampered(house: World) -> dict[str, Any]:
    """Ways to change limits with the database alone."""
    past = house.clock() - timedelta(days=1)
    return {
        "a limit removed": lambda c: c.execute(delete(role_limit)),
        "a limit ended": lambda c: c.execute(update(role_limit).values(ended_at=house.clock(), ended_by="acc_x")),
        "another operation": lambda c: c.execute(update(role_limit).values(operation="access.test_lent")),
        "another role": lambda c: c.execute(update(role_limit).values(role="auditor")),
        "another moment": lambda c: c.execute(update(role_limit).values(since=house.clock() + timedelta(days=9))),
        "one added": lambda c: c.execute(insert(role_limit), forged(house)),
        "the seal removed": lambda c: c.execute(delete(role_seal)),
        "the seal dated otherwise": lambda c: c.execute(update(role_seal).values(changed_at=past)),
        "all of it removed": lambda c: (c.execute(delete(role_limit)), c.execute(delete(role_seal))),
    }


def test_limits_changed_beside_the_service_widen_nothing(house: World) -> None:
    boss, clerk = house.team(Role.ADMINISTRATOR), house.team(Role.BILLING)
    narrow(house, boss, Role.BILLING, LOOK)
    house.clock.advance(minutes=1)
    for name, change in tampered(house).items():
        kept = stored(house)
        house.write(change)
        assert not can(house, clerk), name
        assert not house.do("access.role_limits", boss, ListLimits()).sound, name
        with pytest.raises(LimitsForged):
            narrow(house, boss, Role.BILLING, "access.test_lent")
        put_back(house, kept)
        assert can(house, clerk, "access.test_lent"), name


def stored(house: World) -> list[list[dict[str, Any]]]:
    with house.house.store.reading() as connection:
        return [[dict(row._mapping) for row in connection.execute(select(table))] for table in (role_limit, role_seal)]


def put_back(house: World, kept: list[list[dict[str, Any]]]) -> None:
    def work(connection: Any) -> None:
        for table, rows in zip((role_limit, role_seal), kept, strict=True):
            connection.execute(delete(table))
            if rows:
                connection.execute(insert(table), rows)

    house.write(work)


def test_an_older_state_of_both_tables_does_not_fit_the_log(house: World) -> None:
    boss, clerk = house.team(Role.ADMINISTRATOR), house.team(Role.BILLING)
    narrow(house, boss, Role.BILLING, "access.test_lent")
    older = stored(house)
    house.clock.advance(minutes=1)
    narrow(house, boss, Role.BILLING, LOOK)
    put_back(house, older)
    assert not can(house, clerk)
    assert not house.do("access.role_limits", boss, ListLimits()).sound


def test_a_forged_limit_where_nothing_was_ever_narrowed_is_put_right_by_two_people(house: World) -> None:
    boss, clerk = house.team(Role.ADMINISTRATOR), house.team(Role.BILLING)
    house.team(Role.ADMINISTRATOR)
    later = house.clock() + timedelta(days=9)
    house.write(lambda c: c.execute(insert(role_limit), {**forged(house), "made_at": later, "since": later}))
    assert not can(house, clerk)
    house.do("access.people", boss, People())  # administrators keep what it takes
    with pytest.raises(Refusal):
        house.do("access.service_accounts", boss, house.house.kernel.registry.get("access.service_accounts").request())  # type: ignore[union-attr]
    approved(house, boss, "access.reset_role_limits", ResetLimits("rows were forged"))
    house.do("access.reset_role_limits", boss, ResetLimits("rows were forged"))
    assert can(house, clerk)
    assert house.do("access.role_limits", boss, ListLimits()).sound


def test_the_database_refuses_limits_that_must_never_be(house: World) -> None:
    from sqlalchemy.exc import DBAPIError

    row = forged(house)
    for change in (
        {"role": "owner"}, {"since": row["made_at"] - timedelta(days=1)}, {"ended_at": row["made_at"]},
        {"operation": None}, {"since": None},
    ):  # fmt: skip
        with pytest.raises(DBAPIError):
            house.write(lambda c, change=change: c.execute(insert(role_limit), {**row, **change}))
    with pytest.raises(DBAPIError):
        house.write(lambda c: c.execute(text("INSERT INTO access_role_seal VALUES (2, 0, '')")))


def test_pages_offer_nothing_that_was_taken(house: World) -> None:
    boss, watcher = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY)
    narrow(house, boss, Role.SECURITY, "access.people")
    keys = house.house.ring.for_caller("access")
    with house.house.store.reading() as connection:
        claims = claims_of(connection, keys, watcher.id, house.clock())
        standing = HouseAuthority(keys).standing(connection, watcher, house.clock())
    assert standing.withheld == claims.withheld == {(Role.SECURITY, "access.people")}
    links = team_navigation(claims.roles, claims.tasks, {}, claims.withheld)
    assert "/team/people" not in {item.href for item in links}
    assert "/team/people" in {item.href for item in team_navigation(claims.roles)}
    with pytest.raises(Refusal):  # refused early as well, by what was read at the door
        house.do("access.people", replace(watcher, withheld=claims.withheld), People())
