"""Identifiers: UUIDv7 (RFC 9562) with a typed prefix, from injected time and randomness."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .clock import Clock, Random

PATTERN = re.compile(r"[a-z]{2,8}_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Ids:
    clock: Clock
    random: Random

    def new(self, prefix: str) -> str:
        """A fresh id such as `acc_0193...`: sorts by time of creation."""
        milliseconds = int(self.clock().timestamp() * 1000)
        tail = int.from_bytes(self.random(10), "big")
        value = (milliseconds & ((1 << 48) - 1)) << 80 | tail
        value = value & ~(0xF << 76) | (0x7 << 76)
        value = value & ~(0x3 << 62) | (0x2 << 62)
        return f"{prefix}_{value:032x}"


def kind(identifier: str) -> str:
    """The typed prefix of an id, or `unknown`."""
    head, separator, _ = identifier.partition("_")
    return head if separator else "unknown"
