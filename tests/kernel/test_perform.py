"""perform(): permission, needs, idempotency and the event in the same transaction, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Column, MetaData, String, Table, select

from subscription_services.kernel.actors import Anonymous, Role, ServiceAccount, Subscriber, System, TeamMember
from subscription_services.kernel.context import Context, Origin
from subscription_services.kernel.errors import (
    ApprovalNeeded,
    Conflict,
    IdempotencyMismatch,
    Invalid,
    KeyUnavailable,
    NotFound,
    NotSignedIn,
    Refusal,
    SecondFactorNeeded,
    StepUpNeeded,
    TooMany,
)  # fmt: skip
from subscription_services.kernel.needs import approvals, recent_sign_in
from subscription_services.kernel.operations import (
    Change,
    Declined,
    Limit,
    Public,
    Seen,
    SystemOnly,
    operation,
)  # fmt: skip
from subscription_services.kernel.perform import flush_refusals, perform
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.testing import World

note = Table(
    "kernel_test_note", MetaData(), Column("id", String(48), primary_key=True), Column("owner", String(48)),
    Column("text", String(100)),
)  # fmt: skip


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str = ""
    id: str = ""


class Small(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int


class OwnWords(Conflict):
    code = "own-words"


def owner(tx: ReadTransaction, ctx: Context, request: Note) -> str:
    return str(tx.connection.execute(select(note.c.owner).where(note.c.id == request.id)).scalar() or "")


@operation("kernel.write", by=[Subscriber.own, SystemOnly("tests")])
def write(tx: Transaction, ctx: Context, request: Small) -> Change[Note]:
    """Write a note of one's own."""
    made = Note(str(request.number), ctx.ids.new("not"))
    tx.connection.execute(note.insert().values(id=made.id, owner=ctx.actor.id, text=made.text))
    if request.number == 13:
        raise OwnWords("not this number")
    return Change(None, made, details={"number": request.number}, personal={"text": made.text})


@operation("kernel.look", by=[Subscriber.own, Role.SUPPORT], subject=owner)
def look(tx: ReadTransaction, ctx: Context, request: Note) -> Seen[str]:
    """Look at a note."""
    text = tx.connection.execute(select(note.c.text).where(note.c.id == request.id)).scalar()
    if text is None:
        raise NotFound()
    return Seen(str(text), object=request.id)


@operation("kernel.refuse", by=[SystemOnly("tests")])
def refuse(tx: Transaction, ctx: Context, request: Small) -> Change[Note] | Declined:
    """Refuse, but keep what was written."""
    tx.connection.execute(note.insert().values(id=f"tried_{request.number}", owner="", text=""))
    return Declined(OwnWords(), object="tried")


@operation("kernel.careful", by=[Subscriber.own], needs=[recent_sign_in])
def careful(tx: Transaction, ctx: Context, request: Small) -> Change[Small]:
    """Something sensitive."""
    return Change(None, request)


@operation("kernel.grave", by=[Role.ADMINISTRATOR], needs=[approvals(2)])
def grave(tx: Transaction, ctx: Context, request: Small) -> Change[Small]:
    """Something that needs two others."""
    return Change(None, request)


@operation("kernel.open", by=[Public("tests")], limits=[Limit(3, 60, "address")])
def open_to_all(tx: Transaction, ctx: Context, request: Small) -> Change[Small]:
    """Anybody may, but not too often."""
    if request.number == 503:
        raise KeyUnavailable()
    return Change(None, request)


@operation("kernel.programs", by=[ServiceAccount.scoped])
def programs(tx: ReadTransaction, ctx: Context, request: Small) -> Seen[int]:
    """For programs with the scope."""
    return Seen(request.number)


OPERATIONS = (write, look, refuse, careful, grave, open_to_all, programs)
SYSTEM = System("test")


@pytest.fixture
def house(place: tuple[Path, str]) -> Iterator[World]:
    with World.open(*place, more=OPERATIONS) as world:
        note.metadata.create_all(world.house.store.write_engine)
        yield world


def notes(house: World) -> list[str]:
    with house.house.store.reading() as connection:
        return sorted(connection.execute(select(note.c.text)).scalars())


def test_a_change_and_its_event_stand_together(house: World) -> None:
    actor = house.subscriber()
    made = house.do(write, actor, Small(7))
    (event,) = house.events("kernel.write")
    assert (event.actor, event.subject, event.object, event.outcome) == (actor.id, actor.id, made.id, "success")
    assert event.details == {"number": 7}
    assert set(event.sealed) == {"text", "address", "user_agent"}
    assert "7" not in event.sealed["text"] or event.sealed["text"] != "7"
    assert event.session == actor.session


def test_a_failure_leaves_its_record_and_nothing_else(house: World) -> None:
    with pytest.raises(OwnWords):
        house.do(write, SYSTEM, Small(13))
    assert notes(house) == []
    (event,) = house.events("kernel.write")
    assert (event.outcome, event.reason) == ("failed", "own-words")


def test_declining_keeps_what_was_written(house: World) -> None:
    with pytest.raises(OwnWords):
        house.do(refuse, SYSTEM, Small(1))
    assert notes(house) == [""]
    assert [event.outcome for event in house.events("kernel.refuse")] == ["refused"]


def test_the_same_key_gives_the_same_answer_and_happens_once(house: World) -> None:
    actor, other = house.subscriber(), house.subscriber()
    first = house.do(write, actor, Small(1), idempotency_key="k")
    assert house.do(write, actor, Small(1), idempotency_key="k") == first
    assert notes(house) == ["1"]
    assert len(house.events("kernel.write")) == 1
    with pytest.raises(IdempotencyMismatch):
        house.do(write, actor, Small(2), idempotency_key="k")
    assert house.do(write, other, Small(1), idempotency_key="k").id != first.id


def test_somebody_elses_object_looks_like_none(house: World) -> None:
    mine = house.do(write, house.subscriber(), Small(1))
    thief = house.subscriber()
    errors = []
    for identifier in (mine.id, "not_there"):
        with pytest.raises(NotFound) as caught:
            house.do(look, thief, Note(id=identifier))
        errors.append(caught.value.text)
    assert errors[0] == errors[1]
    assert house.do(look, house.team(Role.SUPPORT), Note(id=mine.id)) == "1"


def test_a_team_members_look_is_recorded_before_it_is_shown(house: World) -> None:
    mine = house.do(write, house.subscriber(), Small(1))
    member = house.team(Role.SUPPORT)
    house.do(look, member, Note(id=mine.id))
    seen = [event for event in house.events("kernel.look") if event.actor == member.id]
    assert len(seen) == 1
    assert seen[0].subject != ""


def test_a_look_that_cannot_be_recorded_shows_nothing(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = house.do(write, house.subscriber(), Small(1))
    member = house.team(Role.SUPPORT)

    def broken(self: object, connection: object, events: object) -> None:
        raise RuntimeError("the log does not take it")

    monkeypatch.setattr(type(house.house.kernel.log), "append", broken)
    with pytest.raises(RuntimeError):
        house.do(look, member, Note(id=mine.id))


def test_a_change_whose_event_cannot_be_written_does_not_happen(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, connection: object, events: object) -> None:
        raise RuntimeError("the log does not take it")

    monkeypatch.setattr(type(house.house.kernel.log), "append", broken)
    with pytest.raises(RuntimeError):
        house.do(write, SYSTEM, Small(1))
    assert notes(house) == []


def test_what_is_claimed_is_never_enough(house: World) -> None:
    actor = house.subscriber()
    forged = TeamMember(actor.id, actor.session, house.clock(), frozenset(Role), True)
    with pytest.raises(Refusal):
        house.do(grave, forged, Small(1))
    with pytest.raises(NotSignedIn):
        house.do(write, Subscriber("acc_none", actor.session, house.clock()), Small(1))
    with pytest.raises(NotSignedIn):
        house.do(programs, ServiceAccount("svc_none", "tok_none", frozenset({"kernel.programs"})), Small(1))


def test_a_team_member_without_second_factor_may_do_nothing_of_a_role(house: World) -> None:
    member = house.team(Role.SUPPORT)
    bare = TeamMember(member.id, member.session, house.clock(), member.roles, False)
    with pytest.raises(SecondFactorNeeded):
        house.do(look, bare, Note(id="not_there"))


def test_step_up_and_approvals(house: World) -> None:
    actor = house.subscriber()
    assert house.do(careful, actor, Small(1))
    house.clock.advance(minutes=16)
    with pytest.raises(StepUpNeeded):
        house.do(careful, actor, Small(1))
    with pytest.raises(ApprovalNeeded):
        house.do(grave, house.team(Role.ADMINISTRATOR), Small(1))


def test_an_operation_outside_the_registry_is_not_performed(house: World) -> None:
    @operation("kernel.stray", by=[SystemOnly("tests")])
    def stray(tx: Transaction, ctx: Context, request: Small) -> Change[Small]:
        """Not registered."""
        return Change(None, request)

    with pytest.raises(LookupError):
        house.run(perform(house.house.kernel, stray, SYSTEM, Small(1)))


def test_a_request_of_wrong_shape_is_refused(house: World) -> None:
    with pytest.raises(Invalid):
        house.do(write, SYSTEM, Small("many"))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        house.do(write, SYSTEM, Note())


def test_limits_hold_and_end(house: World) -> None:
    for _ in range(3):
        house.do(open_to_all, Anonymous(), Small(1))
    with pytest.raises(TooMany) as caught:
        house.do(open_to_all, Anonymous(), Small(1))
    assert 0 < caught.value.retry_after <= 60
    house.do(open_to_all, Anonymous(), Small(1), origin=Origin(address="127.9.9.9"))
    house.clock.advance(seconds=61)
    house.do(open_to_all, Anonymous(), Small(1))


def test_a_part_of_ours_that_fails_costs_nobody_a_try(house: World) -> None:
    for _ in range(8):
        with pytest.raises(KeyUnavailable):
            house.do(open_to_all, Anonymous(), Small(503))
    test_limits_hold_and_end(house)


def test_strangers_cannot_fill_the_log(house: World) -> None:
    for _ in range(60):
        with pytest.raises(NotSignedIn):
            house.do(write, Anonymous(), Small(1))
    assert len(house.events("kernel.write")) == 20
    house.clock.advance(minutes=1)
    assert house.run(flush_refusals(house.house.kernel)) == 1
    (flood,) = house.events("kernel.refusals")
    assert (flood.count, flood.outcome) == (40, "refused")
    assert house.run(flush_refusals(house.house.kernel)) == 0


def test_a_card_number_is_refused_in_every_field_of_every_operation(house: World) -> None:
    for typed in ("4242 4242 4242 4242", "my card is 4000-0000-0000-0002 thanks"):
        with pytest.raises(Invalid) as caught:
            house.do(look, house.subscriber(), Note(id=typed))
        assert "id" in caught.value.fields
    assert all("4242" not in str(event) for event in house.events())
