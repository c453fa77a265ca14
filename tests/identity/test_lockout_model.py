"""The lock against a small model of it: what strangers do costs strangers, and the owner's own browser nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from subscription_services.identity.errors import WrongCredentials
from subscription_services.identity.known import FREE, QUIET, STRANGERS, STRANGERS_QUIET, STRANGERS_WAIT, WAITS
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.identity.operations.sign_up import IssueLink
from subscription_services.identity.operations.unlock import Unlock
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import TooMany
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from subscription_services.testing.world import copy_template
from tests.identity.cases import LETTERS

LONG_AGO = datetime.min
FROM_ONE_ADDRESS, IN = 60, timedelta(seconds=900)
where = st.integers(1, 9)


@dataclass
class Growing:
    """So many for nothing, then each one more costs a longer wait; success and a quiet time forget."""

    allowed: int
    waits: tuple[int, ...]
    quiet: int = QUIET
    used: int = 0
    open_at: datetime = LONG_AGO
    quiet_at: datetime = LONG_AGO

    def spend(self, now: datetime) -> bool:
        if now < self.open_at:
            return False
        self.used = self.used + 1 if now < self.quiet_at else 1
        over = self.used - self.allowed
        wait = 0 if over < 0 else self.waits[min(over, len(self.waits) - 1)]
        self.open_at = now + timedelta(seconds=wait)
        self.quiet_at = self.open_at + timedelta(seconds=self.quiet)
        return True

    def forget(self) -> None:
        self.used, self.open_at, self.quiet_at = 0, LONG_AGO, LONG_AGO


@dataclass
class Window:
    """At most so many within the time that begins with the first."""

    used: int = 0
    ends: datetime = LONG_AGO

    def spend(self, now: datetime) -> bool:
        self.used, self.ends = (self.used + 1, self.ends) if now < self.ends else (1, now + IN)
        return self.used <= FROM_ONE_ADDRESS


@dataclass
class Source:
    tries: Growing = field(default_factory=lambda: Growing(FREE, WAITS))
    window: Window = field(default_factory=Window)


class Lock(RuleBasedStateMachine):
    world: World

    @initialize()
    def begin(self) -> None:
        self.world.clock.advance(hours=30)
        self.email = f"lock{self.world.clock().timestamp():.0f}@example.org"
        self.account = self.world.subscriber(self.email).id
        self.sources = {number: Source() for number in range(10)}
        self.own = Growing(FREE, WAITS)
        self.brake = Growing(STRANGERS, STRANGERS_WAIT, STRANGERS_QUIET)
        self.guessed: list[datetime] = []
        self.number = self.forgiven = 0
        self.device = ""
        self.device = self.try_it(PASSWORD, 0, "")

    @property
    def now(self) -> datetime:
        return self.world.clock().replace(tzinfo=None)

    def try_it(self, password: str, number: int, device: str) -> str:
        """Try a password from that address and compare with the model; the answered cookie, or nothing."""
        source = self.sources[number]
        allowed = source.window.spend(self.now)
        if device:
            allowed = allowed and self.own.spend(self.now)
        else:
            allowed = allowed and source.tries.spend(self.now) and self.brake.spend(self.now)
        request = SignIn(self.email, password, device)
        try:
            answer = self.world.do("identity.sign_in", Anonymous(), request, origin=Origin(f"198.51.{number}.7"))
        except TooMany:
            assert not allowed
            return ""
        except WrongCredentials:
            assert allowed and password != PASSWORD
            return ""
        assert allowed and password == PASSWORD
        self.forgiven += not device
        for counter in (self.own,) if device else (source.tries, self.brake):
            counter.forget()
        return str(answer.device)

    def wrong(self) -> str:
        self.number += 1
        return f"a wrong guess {self.number}"

    @rule(number=where, times=st.integers(1, 8))
    def strangers_guess(self, number: int, times: int) -> None:
        for _ in range(times):
            before = self.brake.used, self.brake.open_at
            self.try_it(self.wrong(), number, "")
            if (self.brake.used, self.brake.open_at) != before:
                self.guessed.append(self.now)

    @rule()
    def strangers_guess_everywhere(self) -> None:
        for number in range(1, 10):
            self.strangers_guess(number, 4)

    @rule(number=where)
    def the_owner_is_never_refused_in_their_own_browser(self, number: int) -> None:
        if self.own.used == 0 and self.sources[number].window.used < FROM_ONE_ADDRESS:
            assert self.try_it(PASSWORD, number, self.device) == self.device

    @rule(times=st.integers(1, 4))
    def the_owner_mistypes_and_gets_in(self, times: int) -> None:
        for _ in range(times):
            self.try_it(self.wrong(), 0, self.device)
        self.try_it(PASSWORD, 0, self.device)

    @rule(number=where)
    def the_owner_comes_with_a_new_browser(self, number: int) -> None:
        self.try_it(PASSWORD, number, "")

    @rule(number=where)
    def the_owner_opens_the_letter(self, number: int) -> None:
        token = self.world.do("identity.issue_link", LETTERS, IssueLink(self.account, Purpose.UNLOCK)).token
        device = str(self.world.do("identity.unlock", Anonymous(), Unlock(token)).device)
        if self.sources[number].window.used < FROM_ONE_ADDRESS:
            self.own = Growing(FREE, WAITS)  # another browser, with tries of its own
            self.device = device
            assert self.try_it(PASSWORD, number, device) == device

    @rule(seconds=st.sampled_from([1, 14, 15, 61, 299, 301, 901, 3601, 7300, 86_401, 90_100]))
    def time_goes_by(self, seconds: int) -> None:
        self.world.clock.advance(seconds=seconds)

    def teardown(self) -> None:
        """However they spread it: the brake's number, and again after each quiet day or success of the owner."""
        guessed = getattr(self, "guessed", [])
        for first in guessed:
            day = [moment for moment in guessed if first <= moment < first + timedelta(seconds=STRANGERS_QUIET)]
            assert len(day) <= (STRANGERS + len(STRANGERS_WAIT) + 24) * (1 + self.forgiven)


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    with World.open(copy_template(sqlite_template, tmp_path / "data")) as opened:
        yield opened


def test_the_lock_follows_the_model(house: World) -> None:
    slow = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much)
    run_state_machine_as_test(
        type("ThisLock", (Lock,), {"world": house}),
        settings=settings(max_examples=8, stateful_step_count=10, deadline=None, suppress_health_check=slow),
    )  # fmt: skip
