"""Each operation of the room lets in whom it should, keeps out whom it should, and leaves both in the log."""

from __future__ import annotations

import pytest

from subscription_services import billing, subscriptions
from subscription_services.kernel.errors import DomainError
from subscription_services.testing import Case, World
from tests.billing.cases import CASES
from tests.subscriptions.cases import CASES as SUBSCRIPTION_CASES

ALL = [*SUBSCRIPTION_CASES, *CASES]
AUDITED = {item.name: item.audited for item in (*billing.OPERATIONS, *subscriptions.OPERATIONS)}


def test_every_operation_has_its_case() -> None:
    assert sorted(case.operation for case in ALL) == sorted(AUDITED)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("case", ALL, ids=lambda case: str(case.operation))
def test_whom_it_lets_in(world: World, case: Case) -> None:
    actor, request = case.allow(world)
    before = {event.id for event in world.events(case.operation)}
    world.do(case.operation, actor, request)
    found = [event.outcome for event in world.events(case.operation) if event.id not in before]
    assert found == (["success"] if AUDITED[case.operation] else [])


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("case", [case for case in ALL if case.deny], ids=lambda case: str(case.operation))
def test_whom_it_keeps_out(world: World, case: Case) -> None:
    assert case.deny is not None
    actor, request = case.deny(world)
    before = {event.id for event in world.events(case.operation)}
    with pytest.raises(DomainError):
        world.do(case.operation, actor, request)
    (event,) = [event for event in world.events(case.operation) if event.id not in before]
    assert event.outcome in ("refused", "failed")
    assert event.actor == actor.id
