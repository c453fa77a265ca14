"""Attackers with the database: what they insert is worth nothing; what must never be the database refuses."""

from __future__ import annotations

import ast
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from subscription_services.access import approval_model as approvals
from subscription_services.access import waiting_for
from subscription_services.access.approvals import check_ours, roles_in
from subscription_services.access.errors import ApprovalForged, TaskEnded
from subscription_services.access.operations.approvals import OneRequest, RefuseApproval
from subscription_services.access.operations.leavers import DeactivateLeaver
from subscription_services.access.operations.scim import UpdateUser
from subscription_services.access.operations.tasks import AskTask, EndTask, OneTask
from subscription_services.access.task_model import task
from subscription_services.access.tasks import About
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.columns import to_microseconds
from subscription_services.kernel.errors import ApprovalNeeded, NotFound, Refusal
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.testing import World
from subscription_services.testing.approving import approve, approved, ask
from tests.architecture.source import modules

from .granting import About as Person
from .granting import Release, runs, with_tasks
from .program_cases import directory

NAME = "access.test_release"


def copied(world: World, table: Any, identifier: str) -> dict[str, Any]:
    """A row as it stands in the database."""
    with world.house.store.reading() as connection:
        return dict(connection.execute(select(table).where(table.c.id == identifier)).one()._mapping)


def forged_approval(world: World, made: Any, approver: str, **more: Any) -> dict[str, Any]:
    now = world.clock()
    return {
        "id": "apr_forged", "request": made.id, "requester": made.requester, "approver": approver,
        "shown": bytes.fromhex(made.words.digest), "given_at": now, "expires_at": made.expires_at, "mac": bytes(33),
        **more,
    }  # fmt: skip


def test_an_approval_row_written_beside_the_service_is_worth_nothing(house: World) -> None:
    asker, other, third = house.team(Role.SECURITY), house.team(Role.SECURITY), house.team(Role.ADMINISTRATOR)
    made = ask(house, asker, NAME, Release(1))
    earlier = ask(house, asker, NAME, Release(2))
    approve(house, other, earlier.id)
    with house.house.store.reading() as connection:
        genuine = connection.execute(select(approvals.approval)).one()
    for row in (
        forged_approval(house, made, other.id),
        forged_approval(house, made, third.id, mac=bytes(genuine.mac)),  # the code of another row
    ):
        house.write(lambda c, row=row: c.execute(insert(approvals.approval), row))
        with pytest.raises(ApprovalForged):
            house.do(NAME, asker, Release(1))
        house.write(lambda c: c.execute(delete(approvals.approval).where(approvals.approval.c.id == "apr_forged")))
    assert house.events(NAME)[-1].reason == "approval-forged"
    assert runs(house) == 0


def test_a_request_row_cannot_be_made_weaker(house: World) -> None:
    asker, other = house.team(Role.SECURITY), house.team(Role.SECURITY)
    made = ask(house, asker, NAME, Release(1))
    later = made.asked_at + timedelta(hours=1)
    for change in ({"way": "alone", "runs_from": later}, {"roles": '["support"]'}, {"requester": other.id}):
        before = copied(house, approvals.request, made.id)
        house.write(lambda c, change=change: c.execute(update(approvals.request).values(**change)))
        house.clock.advance(minutes=1)
        with pytest.raises((ApprovalForged, ApprovalNeeded)):
            house.do(NAME, asker, Release(1))
        house.write(lambda c, before=before: c.execute(update(approvals.request).values(**before)))
    assert runs(house) == 0


def test_putting_an_old_row_back_runs_nothing_twice_and_revives_nothing(house: World) -> None:
    asker, other = house.team(Role.SECURITY), house.team(Role.SECURITY)
    made = approved(house, asker, NAME, Release(1))
    refused = approved(house, asker, NAME, Release(2))
    open_rows = [copied(house, approvals.request, item.id) for item in (made, refused)]
    house.do(NAME, asker, Release(1))
    house.do("access.refuse_approval", other, RefuseApproval(refused.id, "not today"))

    def put_back(connection: Any) -> None:
        connection.execute(delete(approvals.use))
        for row in open_rows:
            connection.execute(update(approvals.request).where(approvals.request.c.id == row["id"]).values(**row))
        connection.execute(text("DELETE FROM access_test_run"))

    house.write(put_back)
    for number in (1, 2):
        with pytest.raises(ApprovalForged):
            house.do(NAME, asker, Release(number))
    assert runs(house) == 0


@pytest.mark.parametrize("how", ["operation", "directory"])
def test_a_leavers_request_that_is_put_back_is_dead(house: World, how: str) -> None:
    boss, asker = house.team(Role.ADMINISTRATOR), house.team(Role.SECURITY)
    program = directory(house, "access.scim_update_user")
    made = approved(house, asker, NAME, Release(1))
    before = copied(house, approvals.request, made.id)
    if how == "operation":
        house.do("access.deactivate_leaver", boss, DeactivateLeaver(asker.id, "left on Friday"))
    else:
        house.do("access.scim_update_user", program, UpdateUser(asker.id, active=False))
    house.write(
        lambda c: c.execute(update(approvals.request).where(approvals.request.c.id == made.id).values(**before))
    )
    keys = house.house.ring.for_caller("access")
    with house.house.store.reading() as connection, pytest.raises(ApprovalForged):
        row = connection.execute(select(approvals.request).where(approvals.request.c.id == made.id)).one()
        check_ours(ReadTransaction(connection, keys), row)


def test_a_task_that_ended_and_is_put_back_lends_nothing(house: World) -> None:
    holder, other = house.team(Role.SUPPORT), house.team(Role.SECURITY)
    for end, who, request in (
        ("access.revoke_task", other, lambda item: EndTask(item, "stop at once")),
        ("access.close_task", holder, OneTask),
    ):
        identifier = asked_task(house, holder)
        house.do("access.grant_task", other, OneTask(identifier))
        before = copied(house, task, identifier)
        assert "access.test_lent" in with_tasks(house, holder).tasks
        house.do(end, who, request(identifier))
        house.write(lambda c, b=before: c.execute(update(task).where(task.c.id == b["id"]).values(**b)))
        assert with_tasks(house, holder).tasks == frozenset()


def test_the_database_refuses_an_approval_that_must_never_be(house: World) -> None:
    asker, other = house.team(Role.SECURITY), house.team(Role.SECURITY)
    made = ask(house, asker, NAME, Release(1))
    row = forged_approval(house, made, other.id)
    for change in (
        {"approver": asker.id}, {"expires_at": None}, {"requester": "acc_other"}, {"shown": b"short"},
        {"credential": b"without the rest"}, {"request": "apq_none"}, {"expires_at": row["given_at"]},
    ):  # fmt: skip
        with pytest.raises(IntegrityError):
            house.write(lambda c, change=change: c.execute(insert(approvals.approval), {**row, **change}))
    house.write(lambda c: c.execute(insert(approvals.approval), row))
    with pytest.raises(IntegrityError):  # one person, one approval
        house.write(lambda c: c.execute(insert(approvals.approval), {**row, "id": "apr_again"}))


def test_the_database_refuses_a_request_that_must_never_be(house: World) -> None:
    asker = house.team(Role.SECURITY)
    house.team(Role.SECURITY)
    made = ask(house, asker, NAME, Release(1))
    for change in (
        {"needed": 0}, {"needed": -1}, {"expires_at": None}, {"expires_at": made.asked_at}, {"way": "somehow"},
        {"way": "alone"}, {"ended_at": made.asked_at}, {"digest": b"short"},
    ):  # fmt: skip
        with pytest.raises(IntegrityError):
            house.write(lambda c, change=change: c.execute(update(approvals.request).values(**change)))


def test_a_use_is_written_once(house: World) -> None:
    asker = house.team(Role.SECURITY)
    made = approved(house, asker, NAME, Release(1))
    house.do(NAME, asker, Release(1))
    with pytest.raises(IntegrityError):
        house.write(lambda c: c.execute(insert(approvals.use), {"request": made.id, "at": house.clock()}))


def asked_task(house: World, holder: TeamMember) -> str:
    request = AskTask("Case 7", About.OTHER, "", Role.BILLING, 60)
    return str(house.do("access.ask_task", holder, request).id)


def test_an_end_that_is_missing_zero_or_far_away_is_refused_by_the_database(house: World) -> None:
    """Never read as "for ever" here and as 1970 there."""
    holder = house.team(Role.SUPPORT)
    row = copied(house, task, asked_task(house, holder))
    years = to_microseconds(row["asked_at"] + timedelta(days=400))
    for value in (None, 0, to_microseconds(row["asked_at"]), years):
        for statement in (
            "UPDATE access_task SET ends_at = :ends",
            "INSERT INTO access_task (id, account, title, about_kind, about, role, operations, asked_at, ends_at, mac) "
            "SELECT 'tsk_new', account, title, about_kind, about, role, operations, asked_at, :ends, mac "
            "FROM access_task",
        ):
            with pytest.raises(DBAPIError):
                house.write(lambda c, s=statement, v=value: c.execute(text(s), {"ends": v}))


def test_a_task_row_written_beside_the_service_lends_nothing(house: World) -> None:
    holder, other = house.team(Role.SUPPORT), house.team(Role.SECURITY)
    identifier = asked_task(house, holder)
    now = house.clock()
    with pytest.raises(IntegrityError):  # not even as a row
        own = {"granted_at": now, "granted_by": holder.id}
        house.write(lambda c: c.execute(update(task).values(**own)))
    house.write(lambda c: c.execute(update(task).values(granted_at=now, granted_by=other.id)))
    assert with_tasks(house, holder).tasks == frozenset()
    house.write(lambda c: c.execute(update(task).values(granted_at=None, granted_by=None)))
    house.do("access.grant_task", other, OneTask(identifier))
    lent = with_tasks(house, holder)
    assert "access.test_lent" in lent.tasks
    house.write(lambda c: c.execute(update(task).values(role="administrator")))
    with pytest.raises(Refusal):
        house.do("access.test_lent", lent, Person("acc_x"))
    assert with_tasks(house, holder).tasks == frozenset()


def test_a_task_that_was_asked_for_with_a_forged_row_is_not_granted(house: World) -> None:
    holder, other = house.team(Role.SUPPORT), house.team(Role.SECURITY)
    identifier = asked_task(house, holder)
    house.write(lambda c: c.execute(update(task).values(role="operations")))
    with pytest.raises(TaskEnded, match="not one that this service wrote"):
        house.do("access.grant_task", other, OneTask(identifier))


def test_ids_of_others_lead_nowhere(house: World) -> None:
    holder, stranger = house.team(Role.SUPPORT), house.team(Role.BILLING)
    identifier = asked_task(house, holder)
    for name, request in (("access.close_task", OneTask(identifier)), ("access.task_record", OneTask(identifier))):
        with pytest.raises(NotFound):
            house.do(name, stranger, request)
    with pytest.raises(Refusal):
        house.do("access.revoke_task", stranger, EndTask(identifier, "no more"))
    asker = house.team(Role.SECURITY)
    house.team(Role.SECURITY)
    made = ask(house, asker, NAME, Release(1))
    with pytest.raises(NotFound):
        house.do("access.approval_request", stranger, OneRequest(made.id))


def test_there_is_one_door_to_approvals() -> None:
    """A second command path that skips them: nobody but app.py says what a kernel asks for approvals."""
    found = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in ("Kernel", "replace")
        and any(keyword.arg == "approvals" for keyword in node.keywords)
    }
    assert found == {"app"}


def test_a_role_is_its_whole_name(house: World) -> None:
    """Matching by a prefix would give roles away."""
    asker, other = house.team(Role.SECURITY), house.team(Role.SECURITY)
    made = ask(house, asker, NAME, Release(1))
    for name in ("sec", "securityx", "SECURITY", ""):
        house.write(lambda c, name=name: c.execute(update(approvals.request).values(roles=f'["{name}"]')))
        with house.house.store.reading() as connection:
            row = connection.execute(select(approvals.request).where(approvals.request.c.id == made.id)).one()
            assert roles_in(row) == frozenset()
            assert waiting_for(connection, other.id, other.roles, house.clock()) == 0
