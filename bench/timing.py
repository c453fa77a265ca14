"""Whether time tells that an address has an account: interleaved tries for existing and absent addresses.

Through perform(), without the network, and with bcrypt at its least cost: both would only add noise and hide a
difference. Each try is for an address that was not tried before. Mann and Whitney's test on the two samples, with the
normal approximation: the chance that an existing address takes longer than an absent one (0.5 when nothing tells), and
how probable such a result is by chance.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from bench.measure import Ratio
from subscription_services.identity.errors import WrongCredentials
from subscription_services.identity.operations.reset import AskReset
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.identity.operations.sign_up import ResendVerification, SignUp
from subscription_services.identity.operations.unlock import AskUnlock
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.context import Origin
from subscription_services.testing import World, prepared_template
from subscription_services.testing.stuffing import email, people

SAMPLES = int(os.environ.get("BENCH_SAMPLES", "400"))
ALPHA = 0.01
"""Chance of a false alarm, over all rows together."""
ASK: dict[str, Callable[[str], msgspec.Struct]] = {
    "identity.sign_in": lambda address: SignIn(address, f"not the password of {address}"),
    "identity.sign_up": lambda address: SignUp(address, "Somebody", "a stranger chose this 5"),
    "identity.ask_reset": AskReset,
    "identity.resend_verification": ResendVerification,
    "identity.ask_unlock": AskUnlock,
}


def run() -> list[Ratio]:
    """A row for each operation that takes anybody's address."""
    found = []
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
        data = prepared_template(Path(folder) / "data")
        with World.open(data) as world:
            people(world, SAMPLES)
            moment = world.clock.now
        for name, make in ASK.items():
            # a process that has not seen these people lately: what it keeps of those who are here makes them quicker
            with World.open(data) as world:
                world.clock.now = moment
                found.append(_row(name, *_times(world, name, make)))
                moment = world.clock.now
    return found


def _times(world: World, name: str, make: Callable[[str], msgspec.Struct]) -> tuple[list[float], list[float]]:
    existing, absent = [], []
    for number in range(-5, SAMPLES):
        address, nobody = email(max(number, 0)), f"{name[9:]}{number}@example.net"
        pair = [(existing, address), (absent, nobody)]
        # which comes first changes, so that what the first of two costs more falls on both
        for times, chosen in pair if number % 2 else reversed(pair):
            took = _time(world, name, make(f"warm{number}@example.net" if number < 0 else chosen), number)
            if number >= 0:
                times.append(took)
        world.clock.advance(seconds=5)
    return existing, absent


def _time(world: World, name: str, request: msgspec.Struct, number: int) -> float:
    origin = Origin(f"10.9.{number & 255}.{number >> 8 & 255}", "bench")
    started = time.perf_counter()
    with suppress(WrongCredentials):
        world.do(name, Anonymous(), request, origin=origin)
    return time.perf_counter() - started


def _row(name: str, existing: Sequence[float], absent: Sequence[float]) -> Ratio:
    larger, chance = mann_whitney(existing, absent)
    told = chance < ALPHA / len(ASK)
    verdict = (
        f"{'TOLD APART' if told else 'not told apart'} (P(longer) {larger:.3f}, p {chance:.3f}, {len(existing)} each)"
    )
    ratios = [right / left for left, right in zip(existing, absent, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Ratio(
        f"{name}, existing address: {verdict}", 1 / statistics.median(existing), "absent address (quartiles)",
        1 / statistics.median(absent), (low, middle, high),
    )  # fmt: skip


def mann_whitney(left: Sequence[float], right: Sequence[float]) -> tuple[float, float]:
    """The chance that one of `left` is larger than one of `right`, and the probability of so much by chance."""
    ranked = sorted([(value, 0) for value in left] + [(value, 1) for value in right])
    ranks = sum(place for place, (_, side) in enumerate(ranked, 1) if side == 0)
    count, other = len(left), len(right)
    larger = ranks - count * (count + 1) / 2
    deviation = (count * other * (count + other + 1) / 12) ** 0.5
    distance = abs(larger - count * other / 2) / deviation
    return larger / (count * other), 2 * (1 - statistics.NormalDist().cdf(distance))
