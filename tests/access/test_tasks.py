"""Elevation for a task: granted by somebody else, for what code allows, until the first of its ends, everywhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from subscription_services.access.errors import NotIndependent, TaskEnded, TaskGranted, TaskRefused
from subscription_services.access.operations.people import GrantRole, MyPermissions
from subscription_services.access.operations.tasks import AskTask, EndTask, ListTasks, MakeTaskRule, OneTask
from subscription_services.access.task_model import rule, task
from subscription_services.access.tasks import About, State
from subscription_services.identity.operations.sign_in import SignOut
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.errors import ApprovalNeeded, DomainError, NotFound, NotSignedIn, Refusal, TaskNeeded
from subscription_services.kernel.perform import perform
from subscription_services.testing import World
from subscription_services.testing.approving import approve, approved, ask, give_role

from .granting import GATE, OPERATIONS, Release, furnish, people_with, with_tasks
from .granting import About as Person


def asked(
    house: World, holder: TeamMember, role: Role = Role.BILLING, *, minutes: int = 60, about: str = "",
    operations: Sequence[str] = (),
) -> str:  # fmt: skip
    kind = About.SUBSCRIBER if about else About.OTHER
    request = AskTask("Case 7", kind, about, role, minutes, list(operations))
    return str(house.do("access.ask_task", holder, request).id)


def opened(house: World, holder: TeamMember, granter: TeamMember | None = None, **more: Any) -> tuple[str, TeamMember]:
    """A task that is granted, and its holder as the edge makes them from then on."""
    identifier = asked(house, holder, **more)
    house.do("access.grant_task", granter or house.team(Role.SECURITY), OneTask(identifier))
    return identifier, with_tasks(house, holder)


def use(house: World, holder: TeamMember, about: str = "acc_" + "1" * 32) -> None:
    house.do("access.test_lent", holder, Person(about))


def test_a_task_lends_what_the_role_may_and_the_log_says_under_which(house: World) -> None:
    holder = house.team(Role.SUPPORT)
    with pytest.raises(Refusal):
        use(house, holder)
    identifier, lent = opened(house, holder)
    use(house, lent)
    house.clock.advance(seconds=1)
    house.do("access.test_look", lent, Person("acc_" + "2" * 32))
    assert house.events("access.test_lent")[-1].details["task"] == identifier
    record = house.do("access.task_record", lent, OneTask(identifier))
    assert [entry.action for entry in record.entries] == ["access.test_lent", "access.test_look"]
    assert record.whole
    mine = {item.operation for item in house.do("access.my_permissions", lent, MyPermissions()).operations}
    assert "access.test_lent" in mine


def test_what_one_may_anyway_is_not_done_under_the_task(house: World) -> None:
    holder = house.team(Role.BILLING)
    _, lent = opened(house, holder)
    use(house, lent)
    assert "task" not in house.events("access.test_lent")[-1].details


def test_an_operation_can_ask_for_a_task_even_of_who_holds_the_role(house: World) -> None:
    holder = house.team(Role.BILLING)
    with pytest.raises(TaskNeeded):
        house.do("access.test_gated", holder, Person("acc_x"))
    identifier, lent = opened(house, holder)
    house.do("access.test_gated", lent, Person("acc_x"))
    assert house.events("access.test_gated")[-1].details["task"] == identifier


def test_a_narrower_task_lends_only_what_it_names(house: World) -> None:
    _, lent = opened(house, house.team(Role.SUPPORT), operations=["access.test_look"])
    house.do("access.test_look", lent, Person("acc_x"))
    with pytest.raises(Refusal):
        use(house, replace(lent, tasks=frozenset({"access.test_lent"})))


def test_a_task_about_one_person_serves_no_other(house: World) -> None:
    person, other = house.subscriber(), house.subscriber()
    _, lent = opened(house, house.team(Role.SUPPORT), about=person.id)
    use(house, lent, person.id)
    with pytest.raises(TaskNeeded, match="somebody or something else"):
        use(house, lent, other.id)
    with pytest.raises(TaskNeeded):  # a look is refused before it is shown
        house.do("access.test_look", lent, Person(other.id))


@pytest.mark.parametrize("way", ["close", "revoke", "time"])
def test_it_ends_with_the_first_of_its_ends_in_every_session(house: World, way: str) -> None:
    holder, granter = house.team(Role.SUPPORT), house.team(Role.SECURITY)
    identifier, lent = opened(house, holder, granter)
    use(house, lent)
    if way == "close":
        house.do("access.close_task", holder, OneTask(identifier))
    elif way == "revoke":
        house.do("access.revoke_task", granter, EndTask(identifier, "enough of it"))
    else:
        house.clock.advance(minutes=60)
        lent = replace(lent, signed_in_at=house.clock())
    # `lent` is what an open session still believes of itself
    with pytest.raises((Refusal, NotSignedIn)):
        use(house, lent)
    assert with_tasks(house, holder).tasks == frozenset()


def test_it_ends_at_its_minute_although_the_session_goes_on(house: World) -> None:
    holder = house.team(Role.SUPPORT)
    _, lent = opened(house, holder, minutes=5)
    house.clock.advance(minutes=4, seconds=59)
    use(house, lent)
    house.clock.advance(seconds=1)
    with pytest.raises(Refusal):
        use(house, lent)
    house.do("access.tasks", holder, ListTasks())  # the session itself is good


def test_it_is_worth_nothing_in_a_session_that_ended(house: World) -> None:
    _, lent = opened(house, house.team(Role.SUPPORT))
    house.do("identity.sign_out", lent, SignOut())
    with pytest.raises(NotSignedIn):
        use(house, lent)


@pytest.mark.parametrize("way", ["revoke", "time"])
def test_a_request_under_way_fails_where_it_has_not_committed(house: World, way: str) -> None:
    holder, granter = house.team(Role.SUPPORT), house.team(Role.SECURITY)
    identifier, lent = opened(house, holder, granter, minutes=10)
    entered, leave = threading.Event(), threading.Event()
    operation = house.house.kernel.registry.get("access.test_lent")
    revoking = house.house.kernel.registry.get("access.revoke_task")
    assert operation is not None
    assert revoking is not None

    def wait() -> None:
        entered.set()
        assert leave.wait(60)

    async def both() -> list[Any]:
        GATE.hook = wait
        under_way = asyncio.ensure_future(perform(house.house.kernel, operation, lent, Person("acc_x")))
        await asyncio.to_thread(entered.wait, 60)  # it was let in, and is before its transaction
        if way == "revoke":
            await perform(house.house.kernel, revoking, granter, EndTask(identifier, "stop at once"))
        else:
            house.clock.advance(minutes=10)
        leave.set()
        return list(await asyncio.gather(under_way, return_exceptions=True))

    try:
        (result,) = house.run(both())
    finally:
        GATE.hook = None
    assert isinstance(result, Refusal)


def test_nobody_grants_their_own_nor_that_of_who_appointed_them(house: World) -> None:
    boss, chosen = house.team(Role.ADMINISTRATOR), house.team()
    give_role(house, boss, chosen.id, Role.SECURITY)
    identifier = asked(house, boss)
    with pytest.raises(NotIndependent):
        house.do("access.grant_task", boss, OneTask(identifier))
    with pytest.raises(NotIndependent):
        house.do("access.grant_task", replace(chosen, roles=frozenset({Role.SECURITY})), OneTask(identifier))
    alias = people_with(house, "team1+x@example.org", Role.SECURITY)
    with pytest.raises(NotIndependent):
        house.do("access.grant_task", alias, OneTask(identifier))
    house.do("access.grant_task", house.team(Role.SECURITY), OneTask(identifier))
    with pytest.raises(TaskGranted):
        house.do("access.grant_task", house.team(Role.SECURITY), OneTask(identifier))


def test_power_is_not_lent_to_hand_out_power(house: World) -> None:
    holder = house.team(Role.SUPPORT)
    identifier = asked(house, holder, Role.ADMINISTRATOR)
    with pytest.raises(Refusal, match="administrator"):
        house.do("access.grant_task", house.team(Role.SECURITY), OneTask(identifier))
    house.do("access.grant_task", house.team(Role.ADMINISTRATOR), OneTask(identifier))
    lent = with_tasks(house, holder)
    assert "access.people" in lent.tasks
    other = asked(house, house.team(Role.BILLING))
    for name, request in (
        ("access.grant_task", OneTask(other)), ("access.grant_role", GrantRole(house.team().id, Role.SUPPORT, "x y")),
    ):  # fmt: skip
        with pytest.raises(Refusal):
            house.do(name, replace(lent, tasks=lent.tasks | {name}), request)
    asker = house.team(Role.SECURITY)
    house.team(Role.SECURITY)
    made = ask(house, asker, "access.test_release", Release(1))
    with pytest.raises(NotFound):  # approving takes a role of one's own
        approve(house, replace(lent, tasks=lent.tasks | {"access.approve"}), made.id)


def test_what_cannot_be_lent_or_lasts_too_long_is_refused_beside_the_field(house: World) -> None:
    holder = house.team(Role.SUPPORT)
    for field, request in (
        ("operations", AskTask("Case 7", About.OTHER, "", Role.BILLING, 60, ["access.people"])),
        ("minutes", AskTask("Case 7", About.OTHER, "", Role.BILLING, 481)),
        ("about", AskTask("Case 7", About.SUBSCRIBER, "somebody", Role.BILLING, 60)),
        ("about", AskTask("Case 7", About.INCIDENT, "", Role.BILLING, 60)),
    ):
        with pytest.raises(TaskRefused) as refused:
            house.do("access.ask_task", holder, request)
        assert field in refused.value.fields


def test_ended_tasks_stay_ended(house: World) -> None:
    holder, granter = house.team(Role.SUPPORT), house.team(Role.SECURITY)
    refused, closed = asked(house, holder), asked(house, holder)
    house.do("access.refuse_task", granter, EndTask(refused, "not needed"))
    house.do("access.close_task", holder, OneTask(closed))
    for identifier in (refused, closed):
        with pytest.raises(TaskEnded):
            house.do("access.grant_task", granter, OneTask(identifier))
    shown = house.do("access.tasks", holder, ListTasks())
    assert {item.state for item in shown.mine} == {State.REFUSED, State.CLOSED}


def test_a_rule_that_two_people_made_grants_at_once_but_not_to_who_made_it(house: World) -> None:
    boss, holder = house.team(Role.ADMINISTRATOR, Role.SUPPORT), house.team(Role.SUPPORT)
    wanted = MakeTaskRule(Role.SUPPORT, Role.BILLING, ["access.test_look"], 30)
    with pytest.raises(ApprovalNeeded):
        house.do("access.make_task_rule", boss, wanted)
    approved(house, boss, "access.make_task_rule", wanted)
    made = house.do("access.make_task_rule", boss, wanted)
    assert stands(house, asked(house, holder, minutes=30, operations=["access.test_look"])) is State.OPEN
    house.do("access.test_look", with_tasks(house, holder), Person("acc_x"))
    for who, more in (
        (boss, {"minutes": 30, "operations": ["access.test_look"]}),
        (house.team(Role.OPERATIONS), {"minutes": 30, "operations": ["access.test_look"]}),
        (holder, {"minutes": 31, "operations": ["access.test_look"]}),
        (holder, {"minutes": 30, "operations": ["access.test_lent"]}),
        (holder, {"minutes": 30}),
    ):
        assert stands(house, asked(house, who, **more)) is State.ASKED
    house.write(lambda c: c.execute(update(rule).values(minutes=480)))  # with the database alone
    assert stands(house, asked(house, holder, minutes=30, operations=["access.test_look"])) is State.ASKED
    house.write(lambda c: c.execute(update(rule).values(minutes=30)))
    house.do("access.end_task_rule", house.team(Role.SECURITY), OneTask(made.id))
    assert stands(house, asked(house, holder, minutes=30, operations=["access.test_look"])) is State.ASKED


def stands(house: World, identifier: str) -> State:
    found = house.do("access.task_record", house.team(Role.AUDITOR), OneTask(identifier)).task.state
    assert isinstance(found, State)
    return found


@pytest.fixture
def second_node(house: World, place: tuple[Path, str]) -> Iterator[World]:
    """Another process's house on the same store, as a second node has it."""
    with World.open(*place, more=OPERATIONS) as other:
        other.clock.now = house.clock.now
        yield other


def test_the_other_node_knows_before_its_next_request(house: World, second_node: World) -> None:
    holder, granter = house.team(Role.SUPPORT), house.team(Role.SECURITY)
    identifier, lent = opened(house, holder, granter)
    use(second_node, lent)
    house.do("access.revoke_task", granter, EndTask(identifier, "stop at once"))
    with pytest.raises(Refusal):
        use(second_node, lent)


@pytest.mark.postgres
def test_on_postgres_a_transaction_that_waits_for_the_revocation_fails(
    postgres: Any, postgres_template: Path, tmp_path: Path
) -> None:
    """The revocation is written but not committed yet: what arrives meanwhile waits for it, and is refused."""
    import shutil

    data = tmp_path / "data"
    shutil.copytree(postgres_template, data)
    with World.open(data, postgres.create("in_flight", "template_house"), more=OPERATIONS) as house:
        furnish(house)
        holder = house.team(Role.SUPPORT)
        identifier, lent = opened(house, holder)
        operation = house.house.kernel.registry.get("access.test_lent")
        assert operation is not None
        engine = house.house.store.write_engine

        async def race() -> list[Any]:
            with engine.connect() as connection, connection.begin():
                ended = {"ended_at": house.clock(), "ended_by": "acc_other", "outcome": "revoked"}
                connection.execute(update(task).where(task.c.id == identifier).values(**ended))
                under_way = asyncio.ensure_future(perform(house.house.kernel, operation, lent, Person("acc_x")))
                await asyncio.to_thread(until_somebody_waits, engine)
                assert not under_way.done()
            return list(await asyncio.gather(under_way, return_exceptions=True))

        (result,) = house.run(race())
        assert isinstance(result, DomainError)
        with house.house.store.reading() as connection:
            assert connection.execute(select(task.c.outcome)).scalar() == "revoked"


def until_somebody_waits(engine: Any) -> None:
    """Until a session of the database waits for a lock."""
    import time

    from sqlalchemy import text

    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        with engine.connect() as connection:
            if connection.execute(waiting).scalar():
                return
        time.sleep(0.02)
    raise AssertionError("nobody waited")
