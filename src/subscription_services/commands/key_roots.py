"""`subs keys create-root` and `subs keys move-root`, offline: two people allow it through perform(), then it happens.

The service is stopped, so the house is opened here, under the root it has, for as long as people are asked. The second
person approves in the team console, with a passkey, while the service runs: what was asked for here waits there.
Whoever holds the root key and the files could make and move keys by other means; that it takes two people and stands in
the log holds for those who use this command.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from subscription_services import app, keys
from subscription_services.commands.terminal import Asking, allow
from subscription_services.kernel.clock import Clock, system_clock, system_random
from subscription_services.kernel.errors import Invalid, Refusal
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
        allow(settings, operations.create_root, operations.CreateRoot(str(address)), terminal, clock)
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
    allow(settings, operations.move_root, operations.MoveRoot(str(address)), terminal, clock)
    return moving.move_root(directory, own, address, clock, system_random)


def _directory(settings: Settings) -> Path:
    if settings.of(keys.KeySettings).service:
        raise Invalid("The keys are kept elsewhere (SUBS_KEYS_SERVICE): do this on that host.")
    return settings.of(HouseSettings).data_path / "keys"
