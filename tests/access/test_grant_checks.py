"""The checks of tasks and approvals find what is wrong, and nothing where nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete, update

from subscription_services import app
from subscription_services.access import AccessSettings, authority, checks, grant_checks, tasks
from subscription_services.access import approval_model as approvals
from subscription_services.access.errors import NotATeamMember
from subscription_services.access.grant_checks import several_agreed, tasks_end
from subscription_services.access.operations import probing
from subscription_services.access.operations import tasks as task_operations
from subscription_services.access.operations.people import People
from subscription_services.access.operations.probing import LendToProbe
from subscription_services.access.operations.tasks import AskTask, OneTask
from subscription_services.access.task_model import task
from subscription_services.access.tasks import About
from subscription_services.kernel.actors import Role
from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.testing import World
from subscription_services.testing.approving import approved
from subscription_services.testing.world import FAST
from tests.identity.test_pages_checks import listening

from .granting import About as Person
from .granting import Release, with_tasks


def ended(world: World) -> Finding:
    with world.house.store.reading() as connection:
        return tasks_end(connection, world.clock())


def agreed(world: World) -> Finding:
    with world.house.store.reading() as connection:
        return several_agreed(connection, world.house.kernel.registry, world.clock())


def test_a_use_after_the_end_is_found(house: World) -> None:
    holder = house.team(Role.SUPPORT)
    made = house.do("access.ask_task", holder, AskTask("Case 7", About.OTHER, "", Role.BILLING, 60))
    house.do("access.grant_task", house.team(Role.SECURITY), OneTask(made.id))
    house.clock.advance(minutes=2)
    house.do("access.test_lent", with_tasks(house, holder), Person("acc_x"))
    house.do("access.close_task", holder, OneTask(made.id))
    assert (ended(house).verdict, ended(house).evidence) == (Verdict.KEPT, {"tasks": 1})
    house.write(lambda c: c.execute(update(task).values(ended_at=made.asked_at)))
    assert ended(house).verdict is Verdict.BROKEN


def test_a_run_without_others_is_found(house: World) -> None:
    asker = house.team(Role.SECURITY)
    for number in (1, 2):
        approved(house, asker, "access.test_release", Release(number))
        house.do("access.test_release", asker, Release(number))
    assert (agreed(house).verdict, agreed(house).evidence) == (Verdict.KEPT, {"runs": 2})
    house.write(lambda c: c.execute(delete(approvals.approval)))
    assert agreed(house).verdict is Verdict.BROKEN


def test_nothing_is_partial() -> None:
    assert [check.promise for check in checks() if check.missing] == []


def probed(world: World, folder: Path) -> Finding:
    (check,) = [item for item in checks() if item.promise == "access.elevation"]

    async def work() -> Finding:
        async with listening(world, folder) as doors:
            return await check.run(doors)

    found = world.run(work())
    assert isinstance(found, Finding)
    return found


def test_a_probe_is_lent_a_look_and_loses_it_and_is_nobody(world: World, tmp_path: Path) -> None:
    for _ in range(2):
        found = probed(world, tmp_path)
        assert found.verdict is Verdict.KEPT, found
        world.clock.advance(minutes=2)
    assert [person.email for person in world.do("access.people", world.team(Role.AUDITOR), People()).people] == [
        "team1@example.org"
    ]
    with pytest.raises(NotATeamMember):  # a person is lent nothing this way
        world.do("access.lend_to_probe", world.system("access.checks"), LendToProbe(world.team().id))


def test_a_task_that_goes_on_lending_is_found(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authority, "task_ended", lambda *rest: False)
    monkeypatch.setattr(tasks, "change_row", lambda *rest: None)
    monkeypatch.setattr(probing, "change_row", lambda *rest: None)
    monkeypatch.setattr(task_operations, "change_row", lambda *rest: None)
    assert probed(world, tmp_path).verdict is Verdict.BROKEN


def duties(world: World, sandbox: str) -> Finding:
    check = next(item for item in checks() if item.promise == "access.duties")
    settings = app.read_settings({**FAST, "SUBS_SANDBOX": sandbox})
    found: Finding = world.run(check.run(Doors(world.house.kernel, settings, "", "", "")))
    return found


def test_a_wait_that_leaves_nobody_the_time_is_found_outside_a_sandbox(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert duties(house, "false").verdict is Verdict.KEPT
    monkeypatch.setattr(grant_checks, "in_force", lambda: AccessSettings(alone_seconds=60))
    assert duties(house, "false").verdict is Verdict.BROKEN
    assert duties(house, "true").verdict is Verdict.KEPT


def test_an_operation_that_forgets_to_ask_is_found(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subscription_services.access.duties.ALONE", {})
    assert "asks nobody" in duties(house, "true").says
