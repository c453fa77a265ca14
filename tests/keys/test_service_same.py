"""Over the wire the key service behaves as in process: the room's own tests, each with its keys behind the listener."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from subscription_services.keys import KeyRing
from subscription_services.keys.allow import AllowedClient, AllowList
from subscription_services.keys.remote import connect
from subscription_services.keys.wire import METHODS

from . import test_erasure, test_keyservice, test_rotation, test_sealing
from .conftest import House
from .listening import CALLERS, Listening

NOT_OVER_THE_WIRE = {
    # fills the store's file through the service's own connection
    "test_a_full_disk_hands_out_nothing_and_is_survived",
    # about opening a store, which clients never do
    "test_a_newer_store_is_left_alone",
    "test_without_its_journal_no_key_is_handed_out",
    # move the clock beyond what the client's certificate is good for
    "test_keys_kept_elsewhere_hold_their_version_until_somebody_decides",
    "test_an_old_version_is_destroyed_only_when_its_time_has_come_and_nothing_needs_it",
    "test_a_clock_that_was_wrong_delays_no_rotation",
    "test_without_a_schedule_nothing_is_ever_due",
    "test_a_version_made_under_a_clock_that_ran_ahead_keeps_no_older_one",
    # counts the statements of the service's own connection
    "test_work_does_not_grow_with_the_number_of_versions",
}


@dataclass
class RemoteHouse(House):
    """Its rings are clients of one key service, which lives as long as any of them."""

    running: list[Listening] = field(default_factory=list)

    def ring(self) -> KeyRing:
        if not self.running:
            found = Listening(self.directory.parent, self.settings, policy=self.policy, clock=lambda: self.now)
            identity = found.authority.identity("web")
            found.allowed = lambda: AllowList([AllowedClient(identity, CALLERS, tuple(METHODS))])
            self.running.append(found.start())
        settings = self.running[0].client_settings()
        service = connect(settings, ticks=lambda: self.elapsed)
        ring = KeyRing(service, self.settings, self.random, lambda: self.elapsed)
        self.rings.append(ring)
        return ring

    def close(self) -> None:
        super().close()
        while self.running:
            self.running.pop().close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """In place of the room's fixture: the imported tests below take this one."""
    house = RemoteHouse(tmp_path / "keys")
    yield house
    house.close()


def taken(module: ModuleType) -> dict[str, object]:
    found = {name: test for name, test in vars(module).items() if name.startswith("test_")}
    return {
        name: test
        for name, test in found.items()
        if name not in NOT_OVER_THE_WIRE and "house" in getattr(test, "__annotations__", {})
    }


TAKEN = {**taken(test_erasure), **taken(test_keyservice), **taken(test_rotation), **taken(test_sealing)}
globals().update(TAKEN)


def test_most_of_the_rooms_tests_are_taken() -> None:
    assert len(TAKEN) >= 35
