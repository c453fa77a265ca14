"""Links of letters against a small model: each once, in time, for its purpose and account; the second factor stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from subscription_services.identity.errors import WrongCredentials
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.profile import ChangePassword, CloseAccount, ShowProfile
from subscription_services.identity.operations.reset import AskReset, ResetPassword
from subscription_services.identity.operations.second_factor import ConfirmTotp, Nothing
from subscription_services.identity.operations.sign_in import SignedIn, SignIn, SignInCode
from subscription_services.identity.operations.sign_up import IssueLink, SignUp
from subscription_services.kernel.actors import Anonymous, Subscriber
from subscription_services.kernel.errors import DomainError
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from subscription_services.testing.world import copy_template
from tests.identity.cases import LETTERS, NEW

STRANGER = Anonymous()
WORKS = {
    Purpose.RESET: timedelta(minutes=30),
    Purpose.VERIFY: timedelta(hours=24),
    Purpose.UNLOCK: timedelta(minutes=30),
}
which = st.integers(0, 50)


@dataclass
class Link:
    token: str
    purpose: Purpose
    made: datetime
    over: bool = False


class Links(RuleBasedStateMachine):
    world: World

    @initialize(factor=st.booleans())
    def begin(self, factor: bool) -> None:
        self.world.clock.advance(hours=30)
        self.email = f"reset{self.world.clock().timestamp():.0f}@example.org"
        self.actor: Subscriber = self.world.subscriber(self.email)
        self.secret = ""
        if factor:
            self.secret = self.world.do("identity.start_totp", self.actor, Nothing()).secret
            self.world.do("identity.confirm_totp", self.actor, ConfirmTotp(self.code()))
            self.actor = self.with_code(self.actor)
        self.password, self.closed, self.open = PASSWORD, False, [self.actor]
        self.links: list[Link] = []
        self.changes = 0

    def code(self) -> str:
        self.world.clock.advance(seconds=30)
        return pyotp.TOTP(self.secret).at(self.world.clock())

    def with_code(self, actor: Subscriber) -> Subscriber:
        return Subscriber(actor.id, actor.session, self.world.clock(), True)

    @rule(purpose=st.sampled_from(list(WORKS)))
    def a_letter_is_sent(self, purpose: Purpose) -> None:
        token = self.world.do("identity.issue_link", LETTERS, IssueLink(self.actor.id, purpose)).token
        self.links.append(Link(token, purpose, self.world.clock()))

    @rule(number=which, weak=st.booleans())
    @precondition(lambda self: self.links and self.changes < 9)
    def a_link_is_used(self, number: int, weak: bool) -> None:
        link = self.links[number % len(self.links)]
        password = "short" if weak else NEW if self.password == PASSWORD else PASSWORD
        late = self.world.clock() - link.made >= WORKS[link.purpose]
        wanted = (
            "link-invalid" if link.purpose != Purpose.RESET else "link-used" if link.over else "link-expired" if late
            else "link-invalid" if self.closed else "weak-password" if weak else ""
        )  # fmt: skip
        try:
            self.world.do("identity.reset_password", STRANGER, ResetPassword(link.token, password))
        except DomainError as error:
            assert error.code == wanted
            return
        assert wanted == ""
        self.changes += 1
        self.password, self.open = password, []
        self.ended()

    def ended(self) -> None:
        for link in self.links:
            link.over = link.over or link.purpose == Purpose.RESET

    @rule()
    @precondition(lambda self: not self.closed)
    def the_owner_signs_in(self) -> None:
        for wrong in {PASSWORD, NEW} - {self.password}:
            with pytest.raises(WrongCredentials):
                self.world.do("identity.sign_in", STRANGER, SignIn(self.email, wrong))
        done: SignedIn = self.world.do("identity.sign_in", STRANGER, SignIn(self.email, self.password))
        assert bool(done.challenge) is bool(self.secret)  # no reset switches the second factor off
        if done.challenge:
            done = self.world.do("identity.sign_in_code", STRANGER, SignInCode(done.challenge, self.code()))
        self.open.append(Subscriber(self.actor.id, done.id, self.world.clock(), bool(self.secret)))

    @rule()
    @precondition(lambda self: self.open and self.changes < 9)
    def the_owner_changes_the_password(self) -> None:
        me, other = self.open[-1], NEW if self.password == PASSWORD else PASSWORD
        try:
            self.world.do("identity.change_password", me, ChangePassword(self.password, other))
        except DomainError as error:
            assert error.code in ("step-up-needed", "not-signed-in")
            return
        self.changes += 1
        self.password, self.open = other, [me]
        self.ended()

    @rule()
    @precondition(lambda self: self.open)
    def the_owner_closes_the_account(self) -> None:
        try:
            self.world.do("identity.close_account", self.open[-1], CloseAccount())
        except DomainError as error:
            assert error.code in ("step-up-needed", "not-signed-in")
            return
        self.closed, self.open = True, []
        for link in self.links:
            link.over = True

    @rule(minutes=st.sampled_from([1, 5, 16, 29, 30, 31, 1440]))
    def time_goes_by(self, minutes: int) -> None:
        self.world.clock.advance(minutes=minutes)

    def teardown(self) -> None:
        """Sessions from before the newest password are over."""
        if hasattr(self, "open"):
            good = {me.session for me in self.open}
            assert self.actor.session in good or not self.seen(self.actor)

    def seen(self, actor: Subscriber) -> bool:
        try:
            self.world.do("identity.profile", actor, ShowProfile())
        except DomainError:
            return False
        return True


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    with World.open(copy_template(sqlite_template, tmp_path / "data")) as opened:
        yield opened


def test_links_follow_the_model(house: World) -> None:
    slow = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much)
    run_state_machine_as_test(
        type("TheseLinks", (Links,), {"world": house}),
        settings=settings(max_examples=20, stateful_step_count=14, deadline=None, suppress_health_check=slow),
    )  # fmt: skip


def test_no_link_goes_to_an_address_that_nobody_proved_or_that_is_closed(house: World) -> None:
    house.do("identity.sign_up", STRANGER, SignUp("new@example.org", "New", PASSWORD))
    gone = house.subscriber("gone@example.org")
    house.do("identity.close_account", gone, CloseAccount())
    for email in ("new@example.org", "gone@example.org"):
        house.do("identity.ask_reset", STRANGER, AskReset(email))
    house.run_jobs()
    assert not [item for item in house.events("identity.issue_link") if item.details.get("purpose") == "reset"]
    # and one that got out in another way opens nothing
    for account in (house.account("new@example.org"), gone.id):
        token = house.do("identity.issue_link", LETTERS, IssueLink(account, Purpose.RESET)).token
        with pytest.raises(DomainError, match="not valid"):
            house.do("identity.reset_password", STRANGER, ResetPassword(token, NEW))
