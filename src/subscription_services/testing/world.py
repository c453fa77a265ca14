"""A whole house for a test: real store, real keys, real ledger; only the clock is ours."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from subscription_services import app
from subscription_services.identity.queries import account_by_email
from subscription_services.jobs import run_due
from subscription_services.kernel.actors import Actor, Role, Subscriber, System, TeamMember
from subscription_services.kernel.clock import system_random
from subscription_services.kernel.context import Origin
from subscription_services.kernel.events import Event
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import perform
from subscription_services.kernel.ports import Writer
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.ledger.entries import decode_entry
from subscription_services.ledger.model import event as ledger_event

from .authenticator import Authenticator
from .clock import MovingClock
from .people import sign_up_subscriber, sign_up_team_member

ORIGIN = Origin(address="127.0.0.9", user_agent="tests", channel="test")
FAST = {
    "SUBS_SANDBOX": "true", "SUBS_PROCESSES": "1", "SUBS_IDENTITY_BCRYPT_COST": "4",
    "SUBS_BILLING_PROCESSOR_URL": "http://127.0.0.1:9", "SUBS_BILLING_FRAME_ORIGIN": "http://127.0.0.1:9",
    "SUBS_BILLING_SECRET_KEY": "sk_test_sandbox", "SUBS_BILLING_PUBLISHABLE_KEY": "pk_test_sandbox",
    "SUBS_BILLING_WEBHOOK_SECRET": "whsec_testing",
}  # fmt: skip


class World:
    """Use `with World.open(...) as world`, or the `world` fixture, which runs each test on both engines."""

    def __init__(self, house: app.House, clock: MovingClock, runner: asyncio.Runner) -> None:
        self.house = house
        self.clock = clock
        self._runner = runner
        self._people = 0
        self.passkeys: dict[str, Authenticator] = {}
        """Of people who have approved something, by their accounts."""

    @classmethod
    @contextmanager
    def open(cls, data: Path, database: str = "", more: tuple[Operation, ...] = (), **settings: str) -> Iterator[World]:
        """A house in `data` (from a template or empty), on the embedded store or at `database`."""
        clock = MovingClock()
        environment = {**FAST, "SUBS_DATA": str(data), "SUBS_DATABASE": database, **settings}
        with asyncio.Runner() as runner:
            house = app.build(app.read_settings(environment), clock=clock, random=system_random, more=more)
            try:
                yield cls(house, clock, runner)
            finally:
                house.close()

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine to its end in the world's loop."""
        return self._runner.run(coroutine)

    def do(self, operation: Operation | str, actor: Actor, request: msgspec.Struct, **more: Any) -> Any:
        """perform() and wait; `more` as for perform (idempotency_key, origin, correlation_id)."""
        found = self.house.kernel.registry.get(operation) if isinstance(operation, str) else operation
        assert found is not None, operation
        more.setdefault("origin", ORIGIN)
        return self.run(perform(self.house.kernel, found, actor, request, **more))

    def events(self, action: str = "") -> list[Event]:
        """All events in the order of their rows, or those of one action."""
        self.run(self._settle())
        with self.house.store.reading() as connection:
            rows = connection.execute(
                select(ledger_event.c.payload).order_by(ledger_event.c.at, ledger_event.c.counter)
            )
            found = [decode_entry(row.payload).event for row in rows]
        return [event for event in found if not action or event.action == action]

    def run_jobs(self, rounds: int = 20) -> int:
        """Carry out what is due now, and what that makes due. Returns how many jobs were taken."""
        return sum(self.run(self._run_due()) for _ in range(rounds))

    def subscriber(self, email: str = "") -> Subscriber:
        """A verified, signed-in subscriber."""
        self._people += 1
        return sign_up_subscriber(self, email or f"person{self._people}@example.org")

    def team(self, *roles: Role) -> TeamMember:
        """A signed-in team member with second factor and the given roles."""
        self._people += 1
        return sign_up_team_member(self, f"team{self._people}@example.org", frozenset(roles))

    def account(self, email: str) -> str:
        """The id of the account with this address."""
        keys = self.house.ring.for_caller("identity")
        with self.house.store.reading() as connection:
            row = account_by_email(ReadTransaction(connection, keys), email)
        assert row is not None, email
        return str(row.id)

    def write(self, work: Any) -> Any:
        """Lay rows beside the operations, as an attacker with the database or an earlier version would."""
        return self.run(self.house.store.write(Writer.PERFORM, work))

    def system(self, name: str = "test") -> System:
        return System(name)

    async def _settle(self) -> None:
        """Wait until deferred writes are committed."""
        await self.house.store.write(Writer.PERFORM, lambda connection: None)
        deferred = self.house.kernel.deferred
        async with asyncio.timeout(30):
            while not deferred.settled:
                await asyncio.sleep(0.001)

    async def _run_due(self) -> int:
        return await run_due(self.house.kernel, self.house.outbox, "test")


def prepared_template(data: Path, database: str = "") -> Path:
    """Make the schema and the keys once; tests copy the result, which is quicker than migrating each time."""
    environment = {**FAST, "SUBS_DATA": str(data), "SUBS_DATABASE": database}
    app.prepare(app.read_settings(environment))
    return data


def copy_template(template: Path, data: Path) -> Path:
    shutil.copytree(template, data, dirs_exist_ok=True)
    return data
