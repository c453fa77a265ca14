"""Declaring operations: what an operation must say, and what may not be forgotten."""

from __future__ import annotations

import msgspec
import pytest

from subscription_services.kernel.actors import Role, Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.needs import ApprovalsNeeded
from subscription_services.kernel.operations import (
    Change,
    Operation,
    Public,
    Registry,
    Seen,
    SystemOnly,
    operation,
    permission_text,
)
from subscription_services.kernel.transaction import ReadTransaction, Transaction


class Ask(msgspec.Struct, frozen=True):
    id: str = ""


def declare(name: str = "room.verb", **more: object) -> Operation:
    @operation(name, **{"by": [SystemOnly("test")], **more})  # type: ignore[arg-type]
    def run(tx: Transaction, ctx: Context, request: Ask) -> Change[Ask]:
        """Do it."""
        return Change(None, request)

    return run


def test_an_operation_knows_what_it_is() -> None:
    made = declare()
    assert (made.room, made.changes, made.request, made.answer, made.summary) == ("room", True, Ask, Ask, "Do it.")
    assert made.internal
    assert not made.public


@pytest.mark.parametrize("name", ["room", "Room.verb", "room.", "room.verb-ing", "room verb"])
def test_names_are_room_and_verb(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        declare(name)


def test_there_is_no_default_permission() -> None:
    with pytest.raises(ValueError, match="nobody"):
        declare(by=[])
    with pytest.raises(TypeError):
        operation("room.verb")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="not a permission"):
        declare(by=["everybody"])


def test_a_change_cannot_leave_the_log() -> None:
    with pytest.raises(ValueError, match="log"):
        declare(audited=False)


def test_only_public_reads_may_leave_the_log() -> None:
    with pytest.raises(ValueError, match="who looks"):

        @operation("room.look", by=[Subscriber.own], audited=False)
        def look(tx: ReadTransaction, ctx: Context, request: Ask) -> Seen[int]:
            """Look."""
            return Seen(1)


def test_an_object_of_a_subscriber_says_whose_it_is() -> None:
    with pytest.raises(ValueError, match="whose"):
        declare(by=[Subscriber.own])


def test_an_approval_policy_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ApprovalsNeeded(0).check(None, None)  # type: ignore[arg-type]


def test_two_operations_of_one_name_do_not_start() -> None:
    with pytest.raises(ValueError, match="two operations"):
        Registry([declare(), declare()])


def test_a_read_is_a_read_and_the_answer_is_typed() -> None:
    @operation("room.look", by=[Public("test")])
    def look(tx: ReadTransaction, ctx: Context, request: Ask) -> Seen[list[int]]:
        """Look."""
        return Seen([1])

    assert (look.changes, look.answer, look.idempotent, look.public) == (False, list[int], False, True)
    with pytest.raises(TypeError, match="returns"):

        @operation("room.other", by=[Public("test")])
        def other(tx: ReadTransaction, ctx: Context, request: Ask) -> int:
            """Look."""
            return 1


def test_permissions_in_words() -> None:
    rules = [Subscriber.own, TeamMember.own, Role.SUPPORT, Public("because"), SystemOnly("clockwork")]
    assert all(permission_text(rule) for rule in rules)
    assert len({permission_text(rule) for rule in rules}) == len(rules)
