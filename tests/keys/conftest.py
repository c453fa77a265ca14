"""A real key store of its own for every test, with a clock and ticks that the test moves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlcipher3

from subscription_services.keys import DEFAULT_POLICY, CallerKeys, KeyRing, KeySettings, Policy, open_embedded
from subscription_services.keys.roots.file import read_root

from .root_fixtures import aws, holder, tokens, vault

__all__ = ["aws", "holder", "tokens", "vault"]


@dataclass
class House:
    """One installation's keys; `ring()` opens them as another process would."""

    directory: Path
    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)
    elapsed: float = 0.0
    random: Callable[[int], bytes] = os.urandom
    policy: Policy = DEFAULT_POLICY
    settings: KeySettings = field(default_factory=KeySettings)
    rings: list[KeyRing] = field(default_factory=list)

    def ring(self) -> KeyRing:
        ring = open_embedded(
            self.directory, self.settings, lambda: self.now, self.random, self.policy, lambda: self.elapsed
        )
        self.rings.append(ring)
        return ring

    def keys(self, caller: str = "identity") -> CallerKeys:
        """The view of `caller` on the ring opened first."""
        return (self.rings[0] if self.rings else self.ring()).for_caller(caller)

    def close(self) -> None:
        for ring in self.rings:
            ring.close()
        self.rings.clear()

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.elapsed += seconds

    def check_copy(self, path: Path) -> None:
        """A copy of the store opens with this house's root, hangs together and bears its mark."""
        connection = sqlcipher3.connect(str(path), isolation_level=None)
        try:
            key = read_root(self.directory / "root.key").store_key().hex()
            connection.execute(f"PRAGMA key = \"x'{key}'\"")
            assert connection.execute("PRAGMA cipher_integrity_check").fetchall() == []
            assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT count(*) FROM meta WHERE name = 'copied-at'").fetchone() == (1,)
        finally:
            connection.close()

    @contextmanager
    def direct(self) -> Iterator[Any]:
        """The store as someone sees it who has the root key and full write access to the file."""
        connection = sqlcipher3.connect(str(self.directory / "keys.db"), isolation_level=None)
        key = read_root(self.directory / "root.key").store_key().hex()
        connection.execute(f"PRAGMA key = \"x'{key}'\"")
        try:
            yield connection
        finally:
            connection.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "keys")
    yield house
    house.close()
