"""What can be said of a promise, from its last run and the present time. Pure; nothing is ever taken as good."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from subscription_services.kernel.checks import Verdict

STALE_AFTER = 3


class PromiseState(StrEnum):
    KEPT = "kept"
    BROKEN = "broken"
    COULD_NOT_CHECK = "could_not_check"
    STALE = "stale"
    NOT_BUILT = "not_built"


def state_of(
    every: timedelta | None, verdict: Verdict | None, checked_at: datetime | None, now: datetime
) -> PromiseState:
    """`every` is None without a check; `verdict` and `checked_at` are None before its first run.

    A run older than three intervals is stale, and so is one from the future: then a clock was wrong.
    """
    if every is None:
        return PromiseState.NOT_BUILT
    if verdict is None or checked_at is None:
        return PromiseState.COULD_NOT_CHECK
    if now - checked_at > STALE_AFTER * every or checked_at - now > every:
        return PromiseState.STALE
    match verdict:
        case Verdict.KEPT:
            return PromiseState.KEPT
        case Verdict.BROKEN:
            return PromiseState.BROKEN
        case Verdict.COULD_NOT_CHECK:
            return PromiseState.COULD_NOT_CHECK


def count(states: Iterable[PromiseState]) -> dict[str, int]:
    """How many of each, every state named."""
    counts = {state.value: 0 for state in PromiseState}
    for state in states:
        counts[state.value] += 1
    return counts
