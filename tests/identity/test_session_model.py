"""Sessions against a small model of them: whatever happens in whatever order, one that has ended never comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from subscription_services import front
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.reset import ResetPassword
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.identity.operations.sign_up import IssueLink
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.context import Origin
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from subscription_services.testing.world import copy_template
from tests.identity.cases import LETTERS, NEW

IDLE, KEYLESS, LONGEST, FRESH = timedelta(minutes=30), timedelta(minutes=15), timedelta(hours=12), timedelta(minutes=15)
AGENT = "model/1"
which = st.integers(0, 50)


@dataclass
class Session:
    id: str
    token: str
    page: bool
    begun: datetime
    proved: datetime
    last: datetime
    until: datetime
    ends: datetime
    ended: bool = False

    def good(self, now: datetime) -> bool:
        """Once it is over it is over, whatever times are chosen later."""
        self.ended = self.ended or now >= self.until or now >= self.ends
        return not self.ended


class Sessions(RuleBasedStateMachine):
    world: World
    app: Any

    @initialize()
    def begin(self) -> None:
        self.world.clock.advance(hours=30)  # what was counted for the examples before is forgotten
        self.email = f"model{self.world.clock().timestamp():.0f}@example.org"
        self.account = self.world.subscriber(self.email).id
        self.password, self.idle, self.longest = PASSWORD, IDLE, LONGEST
        self.all: list[Session] = []
        self.dead: list[str] = []  # tokens that were replaced
        self.proofs = self.changes = 0
        self.sign_in(False, None)
        self.call(self.all[0], "identity.end_other_sessions")  # the one of signing up

    @property
    def now(self) -> datetime:
        return self.world.clock()

    def wait(self, page: bool) -> timedelta:
        return min(self.idle, KEYLESS) if page else self.idle

    def used(self, session: Session) -> None:
        session.last, session.until = self.now, self.now + self.wait(session.page)

    def ask(self, token: str, page: bool, name: str, body: object = None) -> httpx.Response:
        """Through the whole service: by cookie or by bearer token."""
        cookie = {"Cookie": f"__Host-session={token}"} if page else {"Authorization": f"Bearer {token}"}

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=("127.0.0.9", 4711))
            async with httpx.AsyncClient(transport=transport, base_url="https://localhost:8443") as client:
                headers = {"User-Agent": AGENT, **cookie}
                if body is None:
                    return await client.get(f"/api/{name}", headers=headers)
                return await client.post(f"/api/{name}", headers=headers, json=body)

        answer: httpx.Response = self.world.run(go())
        assert answer.status_code < 500, answer.text
        return answer

    def seen(self, session: Session) -> bool:
        """A request with this session's token: what the model says of it; notes its use as the service does."""
        good = session.good(self.now)
        if good and self.now - session.last > (session.until - session.last) / 10:
            self.used(session)
        return good

    def call(self, session: Session, name: str, fresh: bool = False, **body: object) -> Any:
        """A change by a program that has this session; the answer where the model allows it, None where it does not."""
        good = self.seen(session)
        answer = self.ask(session.token, False, name, body)
        if not good:
            assert answer.json()["code"] == "not-signed-in"
            return None
        if fresh and self.now - session.proved > FRESH:
            assert answer.json()["code"] == "step-up-needed"
            return None
        assert answer.status_code == 200, answer.text
        return answer.json()

    def program(self, number: int) -> Session:
        found = [item for item in self.all if not item.page]
        return found[number % len(found)]

    def end(self, *but: Session) -> None:
        for item in self.all:
            item.ended = item.ended or item not in but

    @rule(page=st.booleans(), replaced=st.none() | which)
    def sign_in(self, page: bool, replaced: int | None) -> None:
        old = None if replaced is None else self.all[replaced % len(self.all)]
        origin = Origin("127.0.0.9", AGENT, "page" if page else "api")
        request = SignIn(self.email, self.password, replaces=old.token if old else "")
        made = self.world.do("identity.sign_in", Anonymous(), request, origin=origin)
        if old is not None:
            old.ended = True
        now = self.now
        assert made.token not in {item.token for item in self.all} | set(self.dead)
        self.all.append(
            Session(made.id, made.token, page, now, now, now, now + self.wait(page), now + self.longest)
        )  # fmt: skip

    @rule(number=which)
    def use(self, number: int) -> None:
        session = self.all[number % len(self.all)]
        good = self.seen(session)
        answer = self.ask(session.token, session.page, "identity.second_factor")
        assert (answer.status_code == 200) is good, (answer.text, session, self.now)

    @rule(number=which)
    @precondition(lambda self: self.dead)
    def use_a_copied_token_after_the_session_got_a_new_one(self, number: int) -> None:
        assert self.ask(self.dead[number % len(self.dead)], False, "identity.second_factor").status_code == 401

    @rule(number=which)
    @precondition(lambda self: self.proofs < 9)
    def prove_it_again(self, number: int) -> None:
        session, self.proofs = self.program(number), self.proofs + 1
        if answer := self.call(session, "identity.confirm_it_is_me", password=self.password):
            self.dead.append(session.token)
            session.token, session.proved = answer["token"], self.now
            self.used(session)

    @rule(number=which, minutes=st.integers(1, 30))
    def choose_idle(self, number: int, minutes: int) -> None:
        if self.call(self.program(number), "identity.choose_idle", fresh=True, minutes=minutes):
            self.idle = timedelta(minutes=minutes)
            for item in self.all:
                if item.good(self.now):
                    item.until = item.last + self.wait(item.page)

    @rule(number=which, hours=st.integers(1, 12))
    def choose_hours(self, number: int, hours: int) -> None:
        if self.call(self.program(number), "identity.choose_hours", fresh=True, hours=hours):
            self.longest = timedelta(hours=hours)
            for item in self.all:
                if item.good(self.now):
                    item.ends = item.begun + self.longest

    @rule(number=which, other=which)
    def end_one(self, number: int, other: int) -> None:
        target = self.all[other % len(self.all)]
        if self.call(self.program(number), "identity.end_session", id=target.id):
            target.ended = True

    @rule(number=which)
    def end_others(self, number: int) -> None:
        session = self.program(number)
        if self.call(session, "identity.end_other_sessions"):
            self.end(session)

    @rule(number=which)
    def sign_out(self, number: int) -> None:
        session = self.program(number)
        if self.call(session, "identity.sign_out"):
            session.ended = True

    @rule(number=which)
    @precondition(lambda self: self.changes < 9)
    def change_the_password(self, number: int) -> None:
        session, other = self.program(number), NEW if self.password == PASSWORD else PASSWORD
        self.changes += 1
        body = {"current": self.password, "password": other}
        if answer := self.call(session, "identity.change_password", fresh=True, **body):
            self.end(session)
            self.dead.append(session.token)
            session.token, session.proved, self.password = answer["token"], self.now, other
            self.used(session)

    @rule()
    @precondition(lambda self: self.changes < 9)
    def reset_the_password(self) -> None:
        self.changes += 1
        self.password = NEW if self.password == PASSWORD else PASSWORD
        token = self.world.do("identity.issue_link", LETTERS, IssueLink(self.account, Purpose.RESET)).token
        self.world.do("identity.reset_password", Anonymous(), ResetPassword(token, self.password))
        self.end()

    @rule(minutes=st.integers(1, 40))
    def time_goes_by(self, minutes: int) -> None:
        self.world.clock.advance(minutes=minutes)
        for item in self.all:
            item.good(self.now)

    @rule(hours=st.integers(1, 13))
    def much_time_goes_by_in_use(self, hours: int) -> None:
        for _ in range(hours * 4):
            self.world.clock.advance(minutes=15)
            for item in self.all:
                if item.good(self.now) and not item.page:
                    self.seen(item)
                    assert self.ask(item.token, False, "identity.second_factor").status_code == 200
                    break
            else:
                return

    def teardown(self) -> None:
        for item in getattr(self, "all", []):
            good = self.seen(item)
            assert (self.ask(item.token, item.page, "identity.second_factor").status_code == 200) is good


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    with World.open(copy_template(sqlite_template, tmp_path / "data")) as opened:
        yield opened


def test_sessions_follow_the_model(house: World) -> None:
    machine = type("TheseSessions", (Sessions,), {"world": house, "app": staticmethod(front.application(house.house))})
    slow = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=slow)
    )  # fmt: skip
