"""Changes of address and recoveries against small models, whatever the order of steps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from subscription_services.identity.jobs import KeepRecoveries, keep_recoveries
from subscription_services.identity.model import Purpose, account, totp
from subscription_services.identity.operations.email import ChangeLink, StopEmailChange
from subscription_services.identity.operations.recovery_review import DecideRecovery
from subscription_services.identity.operations.reset import ResetPassword
from subscription_services.identity.operations.second_factor import ConfirmTotp, Nothing
from subscription_services.identity.operations.sign_in import SignInCode
from subscription_services.identity.operations.sign_up import IssueLink, SignUp
from subscription_services.identity.queries import account_by_email
from subscription_services.identity.recovery_model import Step
from subscription_services.kernel.actors import Role, Subscriber, TeamMember
from subscription_services.kernel.errors import DomainError, TooMany
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD, sign_in_subscriber
from tests.identity.slowly import DECIDE, LETTERS, STRANGER, ask_change, ask_recovery, link, password_right, state_of

FEW = settings(
    max_examples=10, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False
)
PAUSE = timedelta(hours=5)
"""Between two steps, so that no limit on how often is met: those have tests of their own."""


@pytest.fixture
def embedded(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    """One house for all examples of a machine; each has people of its own."""
    data = tmp_path / "data"
    shutil.copytree(sqlite_template, data)
    with World.open(data) as world:
        yield world


@dataclass
class Moved:
    """A change that holds: where from, and until when it can be taken back."""

    id: str
    old: str
    until: datetime
    live: bool = True


@dataclass
class Waiting:
    id: str
    to: str
    until: datetime
    old: bool = False
    new: bool = False


class Addresses(RuleBasedStateMachine):
    """The model: one address, at most one change that waits, and a stack of those that can be taken back."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.waiting: Waiting | None = None
        self.moved: list[Moved] = []
        self.others: set[str] = set()

    @initialize()
    def somebody(self) -> None:
        self.me = self.world.house.kernel.random(6).hex()
        self.address = self._name(0)
        self.account = self.world.subscriber(self.address).id

    def _name(self, number: int) -> str:
        return f"{'abcd'[number]}-{self.me}@example.org"

    def _now(self) -> datetime:
        self.world.clock.advance(seconds=PAUSE.total_seconds())
        if self.waiting and self.waiting.until <= self.world.clock():
            self.waiting = None
        return self.world.clock()

    def _kept(self) -> set[str]:
        return {item.old for item in self.moved if item.live and item.until > self.world.clock()}

    @rule(number=st.integers(0, 3))
    def ask(self, number: int) -> None:
        now, actor = self._now(), sign_in_subscriber(self.world, self.address)
        if self._name(number) == self.address:
            with pytest.raises(DomainError, match="already"):
                ask_change(self.world, actor, self._name(number))
        else:
            made = ask_change(self.world, actor, self._name(number))
            self.waiting = Waiting(made, self._name(number), now + timedelta(hours=48))

    @precondition(lambda self: self.waiting)
    @rule(old=st.booleans())
    def confirm(self, old: bool) -> None:
        now, waiting = self._now(), self.waiting
        if waiting is None:
            return
        token = link(self.world, waiting.id, Step.CONFIRM_OLD if old else Step.CONFIRM_NEW)
        waiting.old, waiting.new = waiting.old or old, waiting.new or not old
        taken = waiting.to in self.others
        if waiting.old and waiting.new:
            self.waiting = None
        if waiting.old and waiting.new and taken:
            with pytest.raises(DomainError, match="account with this address"):
                self.world.do("identity.confirm_email_change", STRANGER, token)
            return
        done = self.world.do("identity.confirm_email_change", STRANGER, token).done
        assert done is (waiting.old and waiting.new)
        if done:
            self.moved.append(Moved(waiting.id, self.address, now + timedelta(days=7)))
            self.address = waiting.to

    @rule(number=st.integers(0, 3))
    def move(self, number: int) -> None:
        """The whole way at once, or chance would seldom come to its end."""
        self.ask(number)
        for old in (True, False):
            if self.waiting is not None and self.waiting.to == self._name(number):
                self.confirm(old)

    @precondition(lambda self: self.waiting)
    @rule(by_letter=st.booleans())
    def stop(self, by_letter: bool) -> None:
        self._now()
        if self.waiting is None:
            return
        if by_letter:
            token = link(self.world, self.waiting.id, Step.CONFIRM_OLD)
            self.world.do("identity.stop_email_change_by_link", STRANGER, token)
        else:
            actor = sign_in_subscriber(self.world, self.address)
            self.world.do("identity.stop_email_change", actor, StopEmailChange())
        assert state_of(self.world, self.waiting.id) == "stopped"
        self.waiting = None

    @precondition(lambda self: self.moved)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        now = self._now()
        number = data.draw(st.integers(0, len(self.moved) - 1))
        wanted = self.moved[number]
        if not wanted.live or wanted.until <= now:
            with pytest.raises(DomainError):
                token = link(self.world, wanted.id, Step.REVERT)
                self.world.do("identity.revert_email_change", STRANGER, token)
            return
        self.world.do("identity.revert_email_change", STRANGER, link(self.world, wanted.id, Step.REVERT))
        for item in self.moved[number:]:
            item.live = False
        self.address, self.waiting = wanted.old, None
        token = self.world.do("identity.issue_link", LETTERS, IssueLink(self.account, Purpose.RESET)).token
        self.world.do("identity.reset_password", STRANGER, ResetPassword(token, PASSWORD))

    @rule(number=st.integers(0, 3))
    def somebody_else_comes(self, number: int) -> None:
        """Signs up with the address and proves it, where that is still possible."""
        self._now()
        email = self._name(number)
        if email == self.address or email in self.others | self._kept():
            self.world.do("identity.sign_up", STRANGER, SignUp(email, "Other", PASSWORD))
        else:
            assert self.world.subscriber(email).id != self.account
            self.others.add(email)

    @rule()
    def days_pass(self) -> None:
        self.world.clock.advance(days=3)
        self._now()

    @invariant()
    def everybody_has_their_own_address(self) -> None:
        if not hasattr(self, "address"):
            return
        keys = self.world.house.ring.for_caller("identity")
        with self.world.house.store.reading() as connection:
            tx = ReadTransaction(connection, keys)
            holders = {name: account_by_email(tx, name) for name in map(self._name, range(4))}
        held = {name: row.id == self.account for name, row in holders.items() if row is not None}
        assert held == {self.address: True} | dict.fromkeys(self.others, False)


class Recoveries(RuleBasedStateMachine):
    """The model: a second factor that is there or not, and at most one request at a time, approved or not."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.request: str | None = None
        self.approved = False
        self.asked_at: list[datetime] = []

    @initialize()
    def somebody(self) -> None:
        self.email = f"r-{self.world.house.kernel.random(6).hex()}@example.org"
        person = self.world.subscriber(self.email)
        self.account, self.factor = person.id, False
        self._enrol(person)

    def _enrol(self, person: Subscriber) -> None:
        self.secret = self.world.do("identity.start_totp", person, Nothing()).secret
        self.world.do("identity.confirm_totp", person, ConfirmTotp(self._code()))
        self.factor = True

    def _code(self) -> str:
        return pyotp.TOTP(self.secret).at(self.world.clock())

    def _now(self) -> datetime:
        self.world.clock.advance(seconds=PAUSE.total_seconds())
        now = self.world.clock()
        if not self.request:
            self.approved = False
        if self.request and now >= self.asked_at[-1] + timedelta(days=17):
            self.request = None
        return now

    @property
    def waited(self) -> bool:
        return self.world.clock() >= self.asked_at[-1] + timedelta(days=3)

    @precondition(lambda self: self.factor)
    @rule()
    def ask(self) -> None:
        now = self._now()
        lately = [at for at in self.asked_at if at > now - timedelta(days=7)]
        if self.request:
            assert ask_recovery(self.world, self.email) == self.request
        elif len(lately) >= 3:
            with pytest.raises(TooMany):
                ask_recovery(self.world, self.email)
        else:
            self.request, self.approved = ask_recovery(self.world, self.email), False
            self.asked_at.append(now)

    @precondition(lambda self: self.request)
    @rule(yes=st.sampled_from((True, True, False)))
    def decide(self, yes: bool) -> None:
        self._now()
        request = self.request
        if request is None:
            return
        wish = DecideRecovery(request, "a good reason")
        world, name = self.world, DECIDE["approve" if yes else "refuse"]
        if self.approved:
            with pytest.raises(DomainError):
                world.do(name, self._fresh(), wish)
            return
        world.do(name, self._fresh(), wish)
        self.approved = yes
        self.request = request if yes else None

    def _fresh(self) -> TeamMember:
        return self.world.team(Role.SUPPORT)

    @precondition(lambda self: self.request)
    @rule()
    def stop(self) -> None:
        self._now()
        if self.request:
            self.world.do("identity.stop_recovery_by_link", STRANGER, link(self.world, self.request, Step.STOP))
            self.request = None

    @precondition(lambda self: self.request)
    @rule()
    def finish(self) -> None:
        self._now()
        request = self.request
        if request is None:
            return
        if not (self.approved and self.waited):
            with pytest.raises(DomainError):
                token: ChangeLink = link(self.world, request, Step.FINISH)
                self.world.do("identity.finish_recovery", STRANGER, token)
            return
        self.world.do("identity.finish_recovery", STRANGER, link(self.world, request, Step.FINISH))
        self.request, self.factor = None, False

    @precondition(lambda self: self.factor and not self.approved)
    @rule(days=st.integers(2, 3))
    def see_it_through(self, days: int) -> None:
        """The whole way at once, or chance would seldom come to its end; two days are too early."""
        self.ask()
        self.decide(True)
        self.days_pass(days)
        self.finish()

    @precondition(lambda self: self.factor)
    @rule()
    def sign_in_with_the_factor(self) -> None:
        self._now()
        challenge = password_right(self.world, self.email).challenge
        self.world.do("identity.sign_in_code", STRANGER, SignInCode(challenge, self._code()))
        self.request = None

    @precondition(lambda self: not self.factor)
    @rule()
    def enrol_again(self) -> None:
        self._now()
        self._enrol(sign_in_subscriber(self.world, self.email))

    @rule(days=st.integers(0, 3))
    def days_pass(self, days: int) -> None:
        for _ in range(days):
            self.world.clock.advance(days=1)
            self.world.run(keep_recoveries(self.world.house.kernel, KeepRecoveries()))
        self._now()

    @invariant()
    def the_factor_is_there_until_it_is_recovered(self) -> None:
        if not hasattr(self, "account"):
            return
        confirmed = select(totp.c.id).where(totp.c.account == self.account, totp.c.confirmed_at.is_not(None))
        password = select(account.c.verifier).where(account.c.id == self.account)
        with self.world.house.store.reading() as connection:
            assert (connection.execute(confirmed).first() is not None) is self.factor
            assert connection.execute(password).scalar() is not None
        if self.request:
            assert state_of(self.world, self.request) == ("approved" if self.approved else "open")


def test_addresses_follow_the_model(embedded: World) -> None:
    run_state_machine_as_test(lambda: Addresses(embedded), settings=FEW)  # type: ignore[arg-type]  # a factory is documented


def test_recoveries_follow_the_model(embedded: World) -> None:
    run_state_machine_as_test(lambda: Recoveries(embedded), settings=FEW)  # type: ignore[arg-type]  # a factory is documented
