"""Identifiers: UUIDv7 (RFC 9562) with a typed prefix, from injected time and randomness."""

from __future__ import annotations

import re

import msgspec

from .clock import Clock, Random

PATTERN = re.compile(r"[a-z]{2,8}_[0-9a-f]{32}")
_48_BITS = (1 << 48) - 1
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The hexadecimal digit with the two bits of RFC 9562's variant in front of its last two."""


class Ids(msgspec.Struct, frozen=True):
    clock: Clock
    random: Random

    def new(self, prefix: str) -> str:
        """A fresh id such as `acc_0193...`: sorts by time of creation."""
        milliseconds = int(self.clock().timestamp() * 1000) & _48_BITS
        tail = self.random(10).hex()
        return f"{prefix}_{milliseconds:012x}7{tail[1:4]}{_VARIANT[tail[4]]}{tail[5:]}"


def kind(identifier: str) -> str:
    """The typed prefix of an id, or `unknown`."""
    head, separator, _ = identifier.partition("_")
    return head if separator else "unknown"
