"""Two nodes on one PostgreSQL, at the same moment: a code opens once, and no more is tried than one after the other."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pyotp
import pytest
from sqlalchemy import text

from subscription_services.identity.known import FREE, STRANGERS
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations import reset
from subscription_services.identity.operations.reset import ResetPassword
from subscription_services.identity.operations.second_factor import Nothing
from subscription_services.identity.operations.sign_in import WRONG_CODES_AN_HOUR, SignIn, SignInCode
from subscription_services.identity.operations.sign_up import IssueLink
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.perform import perform
from subscription_services.kernel.transaction import BoundOutbox, ReadTransaction, Transaction
from subscription_services.testing import PostgresServer, World
from subscription_services.testing.people import PASSWORD
from tests.identity.cases import LETTERS, NEW, with_totp

pytestmark = pytest.mark.postgres
TWO = "two@example.org"
STRANGER = Anonymous()


class Nodes:
    """Two of the same service; `held` makes both arrive before either goes on."""

    def __init__(self, url: str, first: World, second: World) -> None:
        self.url, self.both = url, (first, second)

    @property
    def first(self) -> World:
        return self.both[0]

    def later(self, **by: float) -> None:
        for world in self.both:
            world.clock.advance(**by)

    def sign_in(self) -> str:
        """The challenge of a sign-in whose password was right."""
        return str(self.first.do("identity.sign_in", STRANGER, SignIn(TWO, PASSWORD)).challenge)

    def at_once(self, name: str, requests: list[tuple[Any, str]], account: str = "") -> Counter[str]:
        """Each request with its address, half of them on each node; how often which answer came.

        With an account its row is held until all wait for it (or are done), and then let go."""
        answers: list[str] = []

        async def one(world: World, request: Any, address: str) -> None:
            operation = world.house.kernel.registry.get(name)
            assert operation is not None
            try:
                await perform(world.house.kernel, operation, STRANGER, request, origin=Origin(address))
                answers.append("done")
            except DomainError as error:
                answers.append(error.code)

        async def all_of(world: World, mine: list[tuple[Any, str]]) -> None:
            await asyncio.gather(*(one(world, request, address) for request, address in mine))

        def run(number: int) -> None:
            world = self.both[number]
            world.run(all_of(world, requests[number::2]))

        threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]

        def go() -> None:
            for thread in threads:
                thread.start()

        if account:
            self.holding(account, go, lambda: len(answers) == len(requests), min(len(requests), 2))
        else:
            go()
        for thread in threads:
            thread.join(60)
        assert len(answers) == len(requests)
        return Counter(answers)

    def holding(self, account: str, go: Callable[[], None], done: Callable[[], bool], waiting: int) -> None:
        with psycopg.connect(self.url) as holder:
            holder.execute("SELECT 1 FROM identity_account WHERE id = %s FOR UPDATE", (account,))
            go()
            self.wait_for(waiting, done)
            holder.rollback()

    def wait_for(self, waiting: int, done: Callable[[], bool]) -> None:
        """Until so many transactions wait for a lock, or all is done without."""
        with psycopg.connect(self.url, autocommit=True) as watcher:
            for _ in range(1200):
                found = watcher.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname ="
                    " current_database()"
                ).fetchone()
                assert found is not None
                if found[0] >= waiting or done():
                    return
                threading.Event().wait(0.05)
        raise AssertionError("neither waiting nor done")


@pytest.fixture
def nodes(postgres: PostgresServer, postgres_template: Path, tmp_path: Path) -> Iterator[Nodes]:
    shutil.copytree(postgres_template, tmp_path / "data")
    name = f"nodes_{os.urandom(6).hex()}"
    url = postgres.create(name, "template_house")
    with World.open(tmp_path / "data", url) as first, World.open(tmp_path / "data", url) as second:
        yield Nodes(url, first, second)
    postgres.drop(name)


def test_of_two_uses_of_one_totp_code_one_wins(nodes: Nodes) -> None:
    actor, secret = with_totp(nodes.first)
    nodes.both[1].clock.advance(seconds=30)
    for same in (False, True, False):
        begun = nodes.sign_in()
        challenges = (begun, begun if same else nodes.sign_in())
        code = pyotp.TOTP(secret).at(nodes.first.clock())
        found = nodes.at_once(
            "identity.sign_in_code", [(SignInCode(c, code), "192.0.2.1") for c in challenges], actor.id
        )
        assert found["done"] == 1, found
        nodes.later(seconds=30)


def test_of_two_uses_of_one_recovery_code_one_wins(nodes: Nodes) -> None:
    actor, _ = with_totp(nodes.first)
    nodes.both[1].clock.advance(seconds=30)
    for code in nodes.first.do("identity.new_recovery_codes", actor, Nothing()).codes[:3]:
        pair = [(SignInCode(nodes.sign_in(), code), "192.0.2.1") for _ in range(2)]
        assert nodes.at_once("identity.sign_in_code", pair, actor.id)["done"] == 1


def test_wrong_codes_at_once_are_no_more_than_one_after_the_other(nodes: Nodes) -> None:
    actor, _ = with_totp(nodes.first)
    nodes.both[1].clock.advance(seconds=30)
    challenges = [nodes.sign_in() for _ in range(24)]
    for number in range(WRONG_CODES_AN_HOUR - 2):
        with pytest.raises(DomainError):
            nodes.first.do("identity.sign_in_code", STRANGER, SignInCode(challenges[number % 8], "not-a-code"))
    tries = [(SignInCode(challenge, "not-a-code"), "192.0.2.1") for challenge in challenges[8:]]
    found = nodes.at_once("identity.sign_in_code", tries, actor.id)
    assert found["wrong-code"] == 2, found
    assert set(found) <= {"wrong-code", "too-many-codes", "sign-in-ended"}


def test_passwords_at_once_are_no_more_than_one_after_the_other(nodes: Nodes) -> None:
    nodes.first.subscriber("ada@example.org")
    same = [(SignIn("ada@example.org", f"a wrong guess {number}"), "192.0.2.1") for number in range(24)]
    assert nodes.at_once("identity.sign_in", same) == {"wrong-credentials": FREE, "too-many": 24 - FREE}
    nodes.later(hours=30)
    many = [
        (SignIn("ada@example.org", f"another guess {number}"), f"198.51.{number}.7") for number in range(STRANGERS + 20)
    ]
    assert nodes.at_once("identity.sign_in", many) == {"wrong-credentials": STRANGERS, "too-many": 20}


@pytest.mark.parametrize("factor", [False, True])
def test_a_sign_in_with_the_old_password_does_not_slip_past_the_reset(nodes: Nodes, factor: bool) -> None:
    """The reset stands just before its end, when the sign-in has checked the password that was right until now."""
    node, other = nodes.both
    account = with_totp(node)[0].id if factor else node.subscriber(TWO).id
    other.clock.advance(seconds=(node.clock() - other.clock()).total_seconds())
    token = node.do("identity.issue_link", LETTERS, IssueLink(account, Purpose.RESET)).token
    keys = node.house.ring.for_caller("identity")
    ctx = node.house.kernel.context(STRANGER)
    request = ResetPassword(token, NEW)

    @contextmanager
    def reading() -> Iterator[ReadTransaction]:
        with node.house.store.reading() as connection:
            yield ReadTransaction(connection, keys)

    chosen = reset.hash_chosen(reading, ctx, request)
    answer: list[Any] = []

    def sign_in() -> None:
        try:
            answer.append(other.do("identity.sign_in", STRANGER, SignIn(TWO, PASSWORD)))
        except DomainError as error:
            answer.append(error)

    store: Any = node.house.store
    thread = threading.Thread(target=sign_in)
    with store.write_engine.begin() as connection:
        tx = Transaction(connection, keys, BoundOutbox(connection, node.house.outbox, ctx.now))
        reset.reset_password.run(tx, ctx, request, chosen)
        thread.start()
        nodes.wait_for(1, lambda: bool(answer))
    thread.join(60)
    assert isinstance(answer[0], DomainError) and answer[0].code == "wrong-credentials", answer
    with store.reading() as connection:
        left = "SELECT count(*) FROM identity_session WHERE account = :account AND ended_at IS NULL"
        assert connection.execute(text(left), {"account": account}).scalar_one() == 0
        open_ones = "SELECT count(*) FROM identity_challenge WHERE account = :account AND used_at IS NULL"
        assert connection.execute(text(open_ones), {"account": account}).scalar_one() == 0
