"""`subs keys restore`: two people, the log's erasures, and a record; or nothing changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import select

from subscription_services.access.operations.approvals import ListRequests
from subscription_services.commands.key_restore import LIST, LOG, Plan, Restored, restore
from subscription_services.identity import model
from subscription_services.identity.operations.profile import ShowProfile
from subscription_services.identity.operations.sign_in import SignIn, SignInCode
from subscription_services.kernel.actors import Anonymous, Role, Subscriber, TeamMember
from subscription_services.kernel.errors import DomainError, Refusal, SubjectErased
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.keys import BackupRefused
from subscription_services.keys.jobs import DrainJournal, drain_journal
from subscription_services.ledger.sequencer import sequence
from subscription_services.storage.rows import open_row
from subscription_services.testing import MovingClock, World, approving
from subscription_services.testing.people import PASSWORD, sign_in_subscriber
from subscription_services.testing.world import FAST


@dataclass
class Person:
    email: str
    secret: str
    id: str


@dataclass
class House:
    """An installation whose key store was backed up before somebody was erased."""

    data: Path
    database: str
    copy: Path
    now: MovingClock
    first: Person
    second: Person
    auditor: Person
    erased: Subscriber
    kept: str

    def restore(self, *people: Person, agree: bool = True, alone: bool = False) -> Restored:
        """As at a terminal where these people sit one after the other."""
        answers = [text for person in people for text in (person.email, PASSWORD, person.secret) if text]
        now = self.now

        class Seat:
            def confirm(self, plan: Plan) -> bool:
                return agree

            def ask(self, what: str, *, secret: bool) -> str:
                now.advance(seconds=31)  # a code works once
                text = answers.pop(0)
                return pyotp.TOTP(text).at(now()) if what == "Code" else text

        environment = {**FAST, "SUBS_DATA": str(self.data), "SUBS_DATABASE": self.database}
        return restore(environment, self.copy, Seat(), alone=alone, clock=self.now)


def totp(world: World, member: TeamMember) -> str:
    keys = world.house.ring.for_caller("identity")
    with world.house.store.reading() as connection:
        row = connection.execute(select(model.totp).where(model.totp.c.account == member.id)).one()
        return str(open_row(ReadTransaction(connection, keys), model.totp, row)["secret"])


@pytest.fixture
def house(place: tuple[Path, str], tmp_path: Path) -> House:
    return backed_up(place, tmp_path)


@pytest.fixture
def embedded(sqlite_template: Path, tmp_path: Path) -> House:
    """For what does not depend on the engine."""
    return backed_up((Path(shutil.copytree(sqlite_template, tmp_path / "data")), ""), tmp_path)


def backed_up(place: tuple[Path, str], tmp_path: Path) -> House:
    with World.open(*place) as world:
        erased, _ = world.subscriber("gone@example.org"), world.subscriber("kept@example.org")
        team = [world.team(role) for role in (Role.OPERATIONS, Role.SECURITY, Role.AUDITOR)]
        world.run(sequence(world.house.store, world.house.log, world.clock))
        world.house.ring.for_caller("keys").backup()
        (copy,) = world.house.ring.for_caller("keys").backups().copies
        kept = shutil.copy(place[0] / "key-backups" / copy.name, tmp_path / "kept.db")
        world.clock.advance(minutes=9)
        world.house.ring.for_caller("privacy").destroy_subject(erased.id, "asked")
        world.run(drain_journal(world.house.kernel, DrainJournal()))
        world.run(sequence(world.house.store, world.house.log, world.clock))
        first, second, auditor = (Person(f"team{n}@example.org", totp(world, m), m.id) for n, m in enumerate(team, 3))
        return House(*place, Path(kept), world.clock, first, second, auditor, erased, "kept@example.org")


def check_restored(house: House) -> list[dict[str, object]]:
    """The erased stay erased, others go on; returns what the log says of the restore."""
    with World.open(house.data, house.database) as world:
        world.clock.now = house.now()
        with pytest.raises(SubjectErased):
            world.do("identity.profile", house.erased, ShowProfile())
        sign_in_subscriber(world, house.kept)
        names = ("access.agree_to_restore", "access.restore_lost_keys", "keys.restore", "keys.record_restore")
        events = [event for name in names for event in world.events(name) if event.outcome == "success"]
        return [{"actor": e.actor, "object": e.object, **e.details} for e in events]


def lose(house: House, *names: str) -> None:
    for name in names:
        (house.data / "keys" / name).unlink()


def test_two_people_put_a_copy_back_and_the_log_names_both(house: House) -> None:
    lose(house, "keys.db")
    done = house.restore(house.first, house.second)
    assert (done.plan.erased_again, done.plan.erasures_from, done.plan.doubt) == (1, f"{LIST} and {LOG}", "")
    agreed, restored, done_to_it = check_restored(house)
    assert agreed["actor"] == house.second.id and restored["actor"] == house.first.id
    assert agreed["object"] == restored["object"] == done_to_it["object"] == done.plan.copy.digest
    assert (restored["agreed_by"], done_to_it["erased_again"], done_to_it["lost"]) == (house.second.id, 1, None)


def test_while_the_store_opens_somebody_else_approves_on_the_page(house: House) -> None:
    with pytest.raises(Refusal, match="/team/approvals"):
        house.restore(house.first)
    with World.open(house.data, house.database) as world:
        world.clock.now = house.now()
        signed = world.do("identity.sign_in", Anonymous(), SignIn(house.second.email, PASSWORD))
        world.clock.advance(seconds=31)
        code = pyotp.TOTP(house.second.secret).at(world.clock())
        session = world.do("identity.sign_in_code", Anonymous(), SignInCode(signed.challenge, code)).id
        other = TeamMember(house.second.id, session, world.clock(), frozenset({Role.SECURITY}), True)
        (waiting,) = world.do("access.approval_requests", other, ListRequests()).to_decide
        approving.approve(world, other, waiting.id)
        house.now.advance(seconds=120)
    done = house.restore(house.first)
    allowed, done_to_it = check_restored(house)
    assert allowed["actor"] == house.first.id and allowed["approval"] == waiting.id
    assert (done_to_it["actor"], done_to_it["lost"]) == ("system:cli.restore", done.plan.copy.lost)
    with pytest.raises(Refusal, match="/team/approvals"):  # once; and nobody signs for the next at the terminal
        house.restore(house.first, house.second)


def test_when_the_list_is_lost_as_well_the_log_says_who_was_erased(embedded: House) -> None:
    lose(embedded, "keys.db", "erasures.log")
    done = embedded.restore(embedded.first, embedded.second)
    assert (done.plan.erased_again, done.plan.erasures_from) == (1, LOG)
    assert "list of erasures is missing" in done.plan.doubt
    check_restored(embedded)


def test_without_list_and_whole_log_nobody_is_brought_back(embedded: House) -> None:
    lose(embedded, "keys.db", "erasures.log")
    memory = embedded.data / "ledger.json"
    kept = memory.read_bytes()
    for wrong in (kept.replace(b"note", b"not3"), None, None):
        memory.unlink() if wrong is None else memory.write_bytes(wrong)
        with pytest.raises(BackupRefused, match="Nothing says whom"):
            embedded.restore(embedded.first, embedded.second)
        memory.touch()
    assert not (embedded.data / "keys" / "keys.db").exists()


def test_a_log_that_does_not_verify_is_said_and_the_list_is_enough(embedded: House) -> None:
    lose(embedded, "keys.db")
    (embedded.data / "ledger.json").unlink()
    done = embedded.restore(embedded.first, embedded.second)
    assert done.plan.erasures_from == LIST and "does not verify" in done.plan.doubt


def refused(house: House, act: Callable[[], object], says: str) -> None:
    store = house.data / "keys" / "keys.db"
    before = store.read_bytes() if store.exists() else None
    with pytest.raises(DomainError, match=says):
        act()
    assert (store.read_bytes() if store.exists() else None) == before


def test_what_changes_nothing(embedded: House) -> None:
    refused(embedded, lambda: embedded.restore(embedded.first, embedded.second, agree=False), "Nothing was changed")
    with World.open(embedded.data, embedded.database):
        refused(embedded, lambda: embedded.restore(embedded.first, embedded.second), "stop the service")
    lose(embedded, "keys.db")
    refused(embedded, lambda: embedded.restore(embedded.first, embedded.first), "your own")
    refused(embedded, lambda: embedded.restore(embedded.first, alone=True), "takes two people")
    wrong = Person(embedded.first.email, pyotp.random_base32(), embedded.first.id)
    refused(embedded, lambda: embedded.restore(wrong, embedded.second), "code")
    other = Person("kept@example.org", "", "")
    refused(embedded, lambda: embedded.restore(other, embedded.second), "(?i)sign in|may not")
    nobody = Person("x", "", "")
    refused(embedded, lambda: embedded.restore(nobody, embedded.second), "email")
    refused(embedded, lambda: embedded.restore(embedded.first, embedded.auditor), "may not")
    assert not (embedded.data / "keys" / "keys.db").exists()
