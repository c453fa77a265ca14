"""`subs keys create-root` and `subs keys move-root`, offline: two people allow it through perform(), then it happens.

The service is stopped, so the house is opened here, under the root it has, for as long as people are asked. A second
person agrees at this terminal, or approved the same request before. Whoever holds the root key and the files could
make and move keys by other means; that it takes two people and stands in the log holds for those who use this command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from subscription_services import app, keys
from subscription_services.commands.terminal import ORIGIN, Asking, do, sign_in
from subscription_services.kernel.actors import Actor
from subscription_services.kernel.authorise import digest
from subscription_services.kernel.clock import Clock, system_clock, system_random
from subscription_services.kernel.errors import ApprovalNeeded, Invalid, Refusal
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.ports import Approvals
from subscription_services.kernel.settings import HouseSettings, Settings
from subscription_services.keys.embedded import STORE
from subscription_services.keys.operations import roots as operations
from subscription_services.keys.roots import choice, moving
from subscription_services.keys.roots.address import parse
from subscription_services.keys.roots.belonging import read_mark


class Terminal(Asking, Protocol):
    """The people who make or move a root."""

    def confirm(self, what: str) -> bool:
        """Show what will happen; False leaves everything as it is."""
        ...


@dataclass(slots=True)
class AgreedHere:
    """Satisfies kernel.ports.Approvals: what people agreed to at this terminal, else what is stored.

    An agreement covers one request, once, and never the person's own.
    """

    stored: Approvals
    agreed: set[tuple[str, bytes]] = field(default_factory=set)

    def consume(
        self, connection: Connection, actor: Actor, operation: str, digest: bytes, needed: int, now: datetime
    ) -> None:
        """Raises ApprovalNeeded."""
        others = {(person, what) for person, what in self.agreed if what == digest and person != actor.id}
        if 1 <= needed <= len(others):
            self.agreed -= others
            return
        self.stored.consume(connection, actor, operation, digest, needed, now)


def create(environment: Mapping[str, str], root: str, terminal: Terminal, clock: Clock = system_clock) -> str:
    """Make a root key that is not there yet, by default that of the settings; returns the address for SUBS_KEYS_ROOT.

    Where there are keys already it takes two people; before the first start there is nobody yet who could agree.
    Raises RootKeyUnsafe when there is one, Refusal when the people may not, and what the holder of roots raises.
    """
    settings = app.read_settings(environment)
    directory = _directory(settings)
    address = parse(root or settings.of(keys.KeySettings).root)
    if not terminal.confirm(f"Make a new root key at {address}."):
        raise Refusal("Nothing was made.")
    if (directory / STORE).exists():
        moving.check_free(directory)
        # The settings may name the new one already; the keys that exist are under the one they say themselves.
        present = read_mark(directory).address or settings.of(keys.KeySettings).root
        settings = app.read_settings({**environment, "SUBS_KEYS_ROOT": present})
        _allow(settings, operations.create_root, operations.CreateRoot(str(address)), terminal, clock)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return choice.create_root(address, directory, system_random)


def move(environment: Mapping[str, str], to: str, terminal: Terminal, clock: Clock = system_clock) -> moving.Moved:
    """Move all keys from the root of the settings to the one at `to`, which is there. It takes two people.

    Raises KeyUnavailable while the service runs, Refusal when the people may not, and what opening a root raises; then
    nothing moved, and it can be repeated.
    """
    settings = app.read_settings(environment)
    directory, own = _directory(settings), settings.of(keys.KeySettings)
    address = parse(to)
    if not (directory / STORE).exists():
        raise Invalid(f"There are no keys in {directory} to move. Set SUBS_KEYS_ROOT to the root they should have.")
    moving.check_free(directory)
    found = choice.open_root(address, directory, system_random)
    if not terminal.confirm(f"Move all keys from {own.root} to {address} (root {found.fingerprint})."):
        raise Refusal("Nothing was moved.")
    _allow(settings, operations.move_root, operations.MoveRoot(str(address)), terminal, clock)
    return moving.move_root(directory, own, address, clock, system_random)


def _directory(settings: Settings) -> Path:
    if settings.of(keys.KeySettings).service:
        raise Invalid("The keys are kept elsewhere (SUBS_KEYS_SERVICE): do this on that host.")
    return settings.of(HouseSettings).data_path / "keys"


def _allow(
    settings: Settings, operation: Operation, request: operations.CreateRoot | operations.MoveRoot,
    terminal: Terminal, clock: Clock,
) -> None:  # fmt: skip
    """Through perform(), so that role, fresh sign-in, second factor and approval are asked and recorded as anywhere."""
    house = app.build(settings, clock=clock)
    try:
        here = AgreedHere(house.kernel.approvals)
        asyncio.run(_ask(replace(house.kernel, approvals=here), here, operation, request, terminal))
    finally:
        house.close()


async def _ask(
    kernel: Kernel, here: AgreedHere, operation: Operation, request: operations.CreateRoot | operations.MoveRoot,
    terminal: Terminal,
) -> None:  # fmt: skip
    first = await sign_in(kernel, terminal, "the person who does this")
    try:
        await perform(kernel, operation, first, request, origin=ORIGIN)
    except ApprovalNeeded:
        wanted = digest(operation, request)
        second = await sign_in(kernel, terminal, "a second person who agrees")
        if second.id == first.id:
            raise Refusal("The second person is the first: this takes two people.") from None
        await perform(kernel, operations.agree_to_root, second, operations.AgreeToRoot(wanted.hex()), origin=ORIGIN)
        here.agreed.add((second.id, wanted))
        await do(kernel, "identity.sign_out", second)
        await perform(kernel, operation, first, request, origin=ORIGIN)
    await do(kernel, "identity.sign_out", first)
