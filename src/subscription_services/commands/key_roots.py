"""`subs keys create-root` and `subs keys move-root`, offline: two people allow it through perform(), then it happens.

The service is stopped, so the house is opened here, under the root it has, for as long as people are asked. The second
person approves in the team console, with a passkey, while the service runs: what was asked for here waits there.
Whoever holds the root key and the files could make and move keys by other means; that it takes two people and stands in
the log holds for those who use this command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from subscription_services import app, keys
from subscription_services.commands.terminal import ORIGIN, Asking, do, sign_in
from subscription_services.kernel.actors import TeamMember
from subscription_services.kernel.clock import Clock, system_clock, system_random
from subscription_services.kernel.errors import ApprovalNeeded, Invalid, Refusal
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import Kernel, perform
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
        asyncio.run(_ask(house.kernel, operation, request, terminal))
    finally:
        house.close()


async def _ask(
    kernel: Kernel, operation: Operation, request: operations.CreateRoot | operations.MoveRoot, terminal: Terminal
) -> None:
    """A terminal holds no passkey, so whoever approves does it on the page; here it is asked for, and used."""
    first = await sign_in(kernel, terminal, "the person who does this")
    try:
        await perform(kernel, operation, first, request, origin=ORIGIN)
    except ApprovalNeeded as error:
        if error.code != ApprovalNeeded.code:  # it was asked for already, and waits
            raise
        asked = await _asked(kernel, first, error)
        if asked.way == "alone":
            raise Refusal(
                f"Nobody else could approve this. Do it from {asked.runs_from:%Y-%m-%d %H:%M} UTC on."
            ) from None
        raise Refusal(
            f"Asked for approval ({asked.id}). Start the service, let somebody else approve it with their passkey at "
            "/team/approvals, stop the service and do this again."
        ) from None
    await do(kernel, "identity.sign_out", first)


async def _asked(kernel: Kernel, first: TeamMember, error: ApprovalNeeded) -> Any:
    """The request for approval: a new one, or the one that waits already."""
    found = await do(kernel, "access.approval_requests", first)
    for item in found.mine:
        if item.ended_at is None and (item.words.operation, item.arguments) == (error.operation, error.arguments):
            return item
    reason = "At the terminal of the keys."
    given = {"operation": error.operation, "arguments": error.arguments, "reason": reason}
    return await do(kernel, "access.ask_approval", first, **given)
