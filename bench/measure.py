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


def rate(work: Callable[[int], object], count: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Calls a second of `work(count)`, which does `count` of them."""
    started = clock()
    work(count)
    return count / (clock() - started)


def compare(
    what: str, ours: Callable[[int], object], baseline: str, theirs: Callable[[int], object], *,
    count: int, rounds: int = 5, goal: float = 0.0,
) -> Ratio:  # fmt: skip
    """One warm-up of each, then `rounds` pairs. For pure computation in one thread: it counts the thread's own
    processor time, which other programs on the machine disturb less than the clock on the wall."""
    for side in (ours, theirs):
        side(max(1, count // 10))
    pairs = [(rate(ours, count, time.thread_time), rate(theirs, count, time.thread_time)) for _ in range(rounds)]
    return from_pairs(what, baseline, pairs, goal)


def from_pairs(what: str, baseline: str, pairs: list[tuple[float, float]], goal: float = 0.0) -> Ratio:
    """A ratio from rates that were measured elsewhere, pair by pair."""
    ratios = [left / right for left, right in pairs]
    return Ratio(
        what, statistics.median(p[0] for p in pairs), baseline, statistics.median(p[1] for p in pairs),
        (min(ratios), statistics.median(ratios), max(ratios)), goal,
    )  # fmt: skip
