"""The promises together with the checks that exist for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from subscription_services.kernel.checks import Check

from .promises import PROMISES


@dataclass(frozen=True, slots=True)
class Register:
    """The check of each promise that has one."""

    checks: Mapping[str, Check]


def make_register(checks: Iterable[Check]) -> Register:
    """Raises ValueError for a check of something that was not promised, a second one, or one without a sentence."""
    found: dict[str, Check] = {}
    for check in checks:
        if check.promise not in PROMISES:
            raise ValueError(f"{check.promise} is not a promise")
        if check.promise in found:
            raise ValueError(f"two checks of {check.promise}")
        if not check.how or check.every.total_seconds() < 1:
            raise ValueError(f"the check of {check.promise} does not say how or how often it runs")
        found[check.promise] = check
    return Register(found)
