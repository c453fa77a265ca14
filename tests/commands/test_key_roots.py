"""`subs keys create-root` and `move-root`: two people and a record; or nothing changes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import select

from subscription_services import app
from subscription_services.access.operations.approvals import ListRequests
from subscription_services.commands.key_roots import create, move
from subscription_services.identity import model
from subscription_services.identity.operations.sign_in import SignIn, SignInCode
from subscription_services.kernel.actors import Anonymous, Role, TeamMember
from subscription_services.kernel.errors import ApprovalNeeded, DomainError, Invalid, Refusal
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.keys import KeyUnavailable, RootKeyUnsafe, RootKeyWrong
from subscription_services.keys.jobs import DrainJournal, drain_journal
from subscription_services.keys.operations.roots import MoveRoot
from subscription_services.keys.roots.belonging import read_mark
from subscription_services.storage.rows import open_row
from subscription_services.testing import MovingClock, World, approving
from subscription_services.testing.people import PASSWORD
from subscription_services.testing.world import FAST
from tests.keys.root_holders import Holder


@dataclass
class Person:
    email: str
    secret: str
    id: str


@dataclass
class Place:
    """An installation at rest, and a new root for it."""

    data: Path
    database: str
    now: MovingClock
    first: Person
    second: Person
    support: Person
    target: str

    @property
    def environment(self) -> dict[str, str]:
        return {**FAST, "SUBS_DATA": str(self.data), "SUBS_DATABASE": self.database}

    def seat(self, *people: Person, agree: bool = True) -> Seat:
        return Seat([text for person in people for text in (person.email, PASSWORD, person.secret)], self.now, agree)

    def events(self, root: str) -> list[tuple[str, str, str]]:
        """What the log says of roots, after a start under that root."""
        with World.open(self.data, self.database, SUBS_KEYS_ROOT=root) as world:
            world.clock.now = self.now()
            world.run(drain_journal(world.house.kernel, DrainJournal()))
            return [
                (event.action, event.actor, str(event.outcome)) for event in world.events()
                if event.action.endswith(("_root", ".approve")) or event.details.get("purpose") == "root"
            ]  # fmt: skip


@dataclass
class Seat:
    """A terminal where these people sit one after the other."""

    answers: list[str]
    now: MovingClock
    agree: bool

    def confirm(self, what: str) -> bool:
        return self.agree

    def ask(self, what: str, *, secret: bool) -> str:
        self.now.advance(seconds=31)  # a code works once
        text = self.answers.pop(0)
        return pyotp.TOTP(text).at(self.now()) if what == "Code" else text


def person(world: World, number: int, role: Role) -> Person:
    member = world.team(role)
    keys = world.house.ring.for_caller("identity")
    with world.house.store.reading() as connection:
        row = connection.execute(select(model.totp).where(model.totp.c.account == member.id)).one()
        secret = str(open_row(ReadTransaction(connection, keys), model.totp, row)["secret"])
    return Person(f"team{number}@example.org", secret, member.id)


def signed_in(world: World, person: Person, role: Role = Role.ADMINISTRATOR) -> TeamMember:
    """The person with a session of the whole service."""
    signed = world.do("identity.sign_in", Anonymous(), SignIn(person.email, PASSWORD))
    world.clock.advance(seconds=31)
    code = pyotp.TOTP(person.secret).at(world.clock())
    signed = world.do("identity.sign_in_code", Anonymous(), SignInCode(signed.challenge, code))
    return TeamMember(person.id, signed.id, world.clock(), frozenset({role}), True)


def approve_what_waits(place: Place) -> None:
    """The second person signs on the page, while the service runs."""
    with World.open(place.data, place.database) as world:
        world.clock.now = place.now()
        other = signed_in(world, place.second, Role.SECURITY)
        (waiting,) = world.do("access.approval_requests", other, ListRequests()).to_decide
        approving.approve(world, other, waiting.id)
        place.now.advance(seconds=120)


@pytest.fixture
def installed(place: tuple[Path, str], tmp_path: Path) -> Place:
    return at_rest(place, tmp_path)


@pytest.fixture
def embedded(sqlite_template: Path, tmp_path: Path) -> Place:
    """For what does not depend on the engine."""
    return at_rest((Path(shutil.copytree(sqlite_template, tmp_path / "data")), ""), tmp_path)


def at_rest(place: tuple[Path, str], tmp_path: Path) -> Place:
    with World.open(*place) as world:
        roles = (Role.ADMINISTRATOR, Role.SECURITY, Role.SUPPORT)
        first, second, support = (person(world, number, role) for number, role in enumerate(roles, 1))
        return Place(*place, world.clock, first, second, support, Holder("file", tmp_path).new())


def test_two_people_move_the_keys_and_the_log_says_so(installed: Place) -> None:
    with pytest.raises(Refusal, match="/team/approvals"):
        move(installed.environment, installed.target, installed.seat(installed.first), installed.now)
    approve_what_waits(installed)
    seat = installed.seat(installed.first)
    moved = move(installed.environment, installed.target, seat, installed.now)
    assert moved.keys and not seat.answers
    mark = read_mark(installed.data / "keys")
    assert (mark.fingerprint, mark.address) == (moved.to, installed.target)
    with pytest.raises(RootKeyWrong, match="SUBS_KEYS_ROOT"):
        app.build(app.read_settings(installed.environment), clock=installed.now)
    assert installed.events(installed.target) == [
        ("keys.move_root", installed.first.id, "refused"),
        ("access.approve", installed.second.id, "success"),
        ("keys.move_root", installed.first.id, "success"),
        ("keys.record_access", "system:keys.journal", "success"),
    ]


def test_an_approval_given_before_is_enough_and_only_once(installed: Place) -> None:
    with World.open(installed.data, installed.database) as world:
        asker, other = signed_in(world, installed.first), signed_in(world, installed.second, Role.SECURITY)
        made = approving.ask(world, asker, "keys.move_root", MoveRoot(installed.target))
        approving.approve(world, other, made.id)
    move(installed.environment, installed.target, installed.seat(installed.first), installed.now)
    environment = {**installed.environment, "SUBS_KEYS_ROOT": installed.target}
    with pytest.raises((ApprovalNeeded, Refusal)):
        move(environment, installed.target, installed.seat(installed.first, installed.first), installed.now)


@pytest.mark.parametrize("who", ["nobody approved", "nobody", "without the role", "no"])
def test_what_moves_nothing(embedded: Place, who: str) -> None:
    before = read_mark(embedded.data / "keys")
    one, other = embedded.first, embedded.support
    seats = {
        "nobody approved": embedded.seat(one),
        "nobody": embedded.seat(Person("nobody@example.org", one.secret, "")),
        "without the role": embedded.seat(other),
        "no": embedded.seat(one, agree=False),
    }
    with pytest.raises(DomainError):
        move(embedded.environment, embedded.target, seats[who], embedded.now)
    assert read_mark(embedded.data / "keys") == before
    app.build(app.read_settings(embedded.environment), clock=embedded.now).close()


def test_nobody_is_asked_while_the_service_runs(embedded: Place) -> None:
    house = app.build(app.read_settings(embedded.environment), clock=embedded.now)
    try:
        with pytest.raises(KeyUnavailable, match="stop the service"):
            move(embedded.environment, embedded.target, embedded.seat(), embedded.now)
    finally:
        house.close()


def test_a_root_where_keys_exist_takes_two_people(embedded: Place, tmp_path: Path) -> None:
    root = f"file:{tmp_path}/made.key"
    with pytest.raises(Refusal, match="/team/approvals"):
        create(embedded.environment, root, embedded.seat(embedded.first), embedded.now)
    assert not (tmp_path / "made.key").exists()
    approve_what_waits(embedded)
    # the settings may name the new root already
    environment = {**embedded.environment, "SUBS_KEYS_ROOT": root}
    assert create(environment, "", embedded.seat(embedded.first), embedded.now) == root
    assert (tmp_path / "made.key").stat().st_size == 32
    with pytest.raises(Refusal, match="/team/approvals"):  # an approval is for one time
        create(embedded.environment, root, embedded.seat(embedded.first), embedded.now)
    approve_what_waits(embedded)
    with pytest.raises(RootKeyUnsafe, match="already"):
        create(embedded.environment, root, embedded.seat(embedded.first), embedded.now)


def test_the_first_root_needs_nobody(tmp_path: Path, embedded: Place) -> None:
    environment = {**FAST, "SUBS_DATA": str(tmp_path / "new"), "SUBS_KEYS_ROOT": f"file:{tmp_path}/first.key"}
    assert create(environment, "", embedded.seat()) == f"file:{tmp_path}/first.key"
    with pytest.raises(Invalid, match="no keys"):
        move(environment, embedded.target, embedded.seat())


def test_keys_that_are_kept_elsewhere_are_moved_there(embedded: Place) -> None:
    environment = {**embedded.environment, "SUBS_KEYS_SERVICE": "127.0.0.1:9"}
    with pytest.raises(Invalid, match="on that host"):
        move(environment, embedded.target, embedded.seat())
    with pytest.raises(Invalid, match="on that host"):
        create(environment, "", embedded.seat())
