"""Nothing tells whether an address has an account: held by counting what each way does, not by timing it.

The timing itself is measured, with statistics, by `python -m bench timing`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import bcrypt
import msgspec
import pytest
from sqlalchemy import event, select

from subscription_services.identity.known import FREE
from subscription_services.identity.operations.profile import CloseAccount
from subscription_services.identity.operations.reset import AskReset
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.identity.operations.sign_up import ResendVerification, SignUp
from subscription_services.identity.operations.unlock import AskUnlock
from subscription_services.jobs.model import job
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import DomainError
from subscription_services.keys.hierarchy import Hierarchy
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from tests.identity.cases import STRANGER

WRONG = "not the password at all"
WRITES = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)", re.IGNORECASE)
ASK: dict[str, Callable[[str], msgspec.Struct]] = {
    "identity.sign_in": lambda email: SignIn(email, WRONG),
    "identity.sign_up": lambda email: SignUp(email, "Somebody", "a stranger chose this 5"),
    "identity.ask_reset": AskReset,
    "identity.resend_verification": ResendVerification,
    "identity.ask_unlock": AskUnlock,
}
STATES = ("active", "absent", "unverified", "closed", "locked")


@dataclass(slots=True)
class Work:
    """What one request cost, as far as somebody outside could measure it."""

    rounds: int = 0
    """bcrypt's own unit: a hash at cost n is 2^n of them."""
    hashes: int = 0
    writes: Counter[str] = field(default_factory=Counter)
    keys: int = 0
    """Made for subjects, each a durable write of the key service."""
    answer: str = ""
    jobs: list[tuple[str, ...]] = field(default_factory=list)


@contextmanager
def counted(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    work, check, make = Work(), bcrypt.checkpw, bcrypt.hashpw

    def note(setting: bytes) -> None:
        work.hashes += 1
        work.rounds += 1 << int(setting.removeprefix(b"v1").split(b"$")[2])

    def checkpw(password: bytes, hashed: bytes) -> bool:
        note(hashed)
        return check(password, hashed)

    def hashpw(password: bytes, salt: bytes) -> bytes:
        note(salt)
        return make(password, salt)

    def executed(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        if found := WRITES.match(statement):
            work.writes[f"{found[1].upper()} {found[2]}"] += 1

    make_key = Hierarchy.create

    def creating(self: Any, *values: Any, **named: Any) -> Any:
        work.keys += 1
        return make_key(self, *values, **named)

    engine = world.house.store.write_engine
    before = jobs(world)
    with monkeypatch.context() as patched:
        patched.setattr(bcrypt, "checkpw", checkpw)
        patched.setattr(bcrypt, "hashpw", hashpw)
        patched.setattr(Hierarchy, "create", creating)
        event.listen(engine, "before_cursor_execute", executed)
        try:
            yield work
            world.events()
        finally:
            event.remove(engine, "before_cursor_execute", executed)
    work.jobs = jobs(world)[len(before) :]


def jobs(world: World) -> list[tuple[str, ...]]:
    """The kind of each job and the names of what it carries."""
    with world.house.store.reading() as connection:
        rows = connection.execute(select(job).order_by(job.c.id)).all()
    return [(str(row.kind), *sorted(msgspec.json.decode(row.payload))) for row in rows]


def people(world: World) -> dict[str, str]:
    """An address in each state, all made in the same way."""
    addresses = {state: f"{state}@example.org" for state in STATES}
    for state in ("active", "closed", "locked"):
        person = world.subscriber(addresses[state])
        if state == "closed":
            world.do("identity.close_account", person, CloseAccount())
    world.do("identity.sign_up", STRANGER, SignUp(addresses["unverified"], "New", PASSWORD))
    for number in range(FREE + 1):
        for state in ("locked", "locked-too"):
            tried(world, "identity.sign_in", SignIn(f"{state}@example.org", WRONG), number)
    return addresses | {"locked-too": "locked-too@example.org"}


def tried(world: World, name: str, request: msgspec.Struct, number: int = 0) -> str:
    """The whole answer, without what is random in it."""
    try:
        answer = world.do(name, STRANGER, request, origin=Origin("192.0.2.7", "tests"))
    except DomainError as error:
        return f"{error.code} {error.text} {dict(error.fields)} {getattr(error, 'retry_after', '')}"
    shown = msgspec.to_builtins(answer)
    return str({key: len(value) if key == "browser" else value for key, value in shown.items()})


@pytest.mark.parametrize("name", sorted(ASK))
def test_the_same_work_and_answer_for_any_address(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = people(world)
    tried(world, name, ASK[name]("warm@example.org"))  # what a process does once
    found: dict[str, Work] = {}
    for state, address in addresses.items():
        with counted(world, monkeypatch) as work:
            work.answer = tried(world, name, ASK[name](address))
        found[state] = work
    if name == "identity.sign_in":
        locked = [found.pop(state) for state in ("locked", "locked-too")]
        assert locked[0] == locked[1] and locked[0].answer.startswith("too-many") and locked[0].hashes == 0
    for state, work in found.items():
        assert work == found["absent"], f"{state} differs: {work}\n{found['absent']}"
    reference = found["absent"]
    costly = name in ("identity.sign_in", "identity.sign_up")
    assert (reference.rounds, reference.hashes) == ((16, 1) if costly else (0, 0))
    assert len(reference.jobs) == (name != "identity.sign_in")
    assert reference.writes["INSERT INTO ledger_event"] == 1
