"""Each operation of the room, allowed and refused, and both in the log."""

from __future__ import annotations

import pytest

from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.events import Outcome
from subscription_services.mail import OPERATIONS
from subscription_services.testing import Case, World
from tests.mail.cases import CASES

AUDITED = {item.name for item in OPERATIONS if item.audited}


def test_every_operation_has_a_case() -> None:
    assert sorted(case.operation for case in CASES) == sorted(item.name for item in OPERATIONS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.operation))
def test_allowed_and_recorded(case: Case, world: World) -> None:
    actor, request = case.allow(world)
    before = len(world.events(case.operation))
    world.do(case.operation, actor, request)
    added = world.events(case.operation)[before:]
    expected = [(Outcome.SUCCESS, actor.id)] if case.operation in AUDITED else []
    assert [(event.outcome, event.actor) for event in added] == expected


@pytest.mark.parametrize("case", [case for case in CASES if case.deny], ids=lambda case: str(case.operation))
def test_refused_and_recorded(case: Case, world: World) -> None:
    assert case.deny is not None
    actor, request = case.deny(world)
    before = len(world.events(case.operation))
    with pytest.raises(DomainError):
        world.do(case.operation, actor, request)
    event = world.events(case.operation)[before]
    assert (event.outcome, event.actor) == (Outcome.REFUSED, actor.id)
