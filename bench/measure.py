"""Measuring in turns: ours, baseline, ours, baseline ...; ratios pair by pair."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """Rates are median calls a second; `spread` is min, median and max of the pairs' ratios ours / baseline."""

    what: str
    ours: float
    baseline: str
    theirs: float
    spread: tuple[float, float, float]
    goal: float = 0.0


def rate(work: Callable[[int], object], count: int) -> float:
    """Calls a second of `work(count)`, which does `count` of them."""
    started = time.perf_counter()
    work(count)
    return count / (time.perf_counter() - started)


def compare(
    what: str, ours: Callable[[int], object], baseline: str, theirs: Callable[[int], object], *,
    count: int, rounds: int = 5, goal: float = 0.0,
) -> Ratio:  # fmt: skip
    """One warm-up of each, then `rounds` pairs."""
    rate(ours, max(1, count // 10))
    rate(theirs, max(1, count // 10))
    return from_pairs(what, baseline, [(rate(ours, count), rate(theirs, count)) for _ in range(rounds)], goal)


def from_pairs(what: str, baseline: str, pairs: list[tuple[float, float]], goal: float = 0.0) -> Ratio:
    """A ratio from rates that were measured elsewhere, pair by pair."""
    ratios = [left / right for left, right in pairs]
    return Ratio(
        what, statistics.median(p[0] for p in pairs), baseline, statistics.median(p[1] for p in pairs),
        (min(ratios), statistics.median(ratios), max(ratios)), goal,
    )  # fmt: skip
