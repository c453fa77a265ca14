"""Live checks of promises: what a check is, and what it can find. The trust room runs them and keeps the evidence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from . import probing
from .settings import Settings

if TYPE_CHECKING:
    from .perform import Kernel


class Verdict(StrEnum):
    KEPT = "kept"
    BROKEN = "broken"
    COULD_NOT_CHECK = "could not check"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a run of a check saw: one public sentence, and figures as evidence. Never personal data."""

    verdict: Verdict
    says: str
    evidence: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Doors:
    """How a check reaches the running service: from outside, as anybody would; and the machinery for what is inside."""

    kernel: Kernel
    settings: Settings
    https_url: str
    http_url: str
    certificate: str

    def headers(self) -> dict[str, str]:
        """What every client of a check sends; see `kernel.probing`."""
        return {probing.HEADER: probing.new_pass(self.kernel.keys.for_caller("kernel"), self.kernel.clock())}


@dataclass(frozen=True, slots=True)
class Check:
    """`how` says in a sentence what is tried; a check that raises counts as "could not check".

    `missing` says what the promise needs beyond what stands today: such a promise is shown as not built yet, however
    well the part that is there does.
    """

    promise: str
    how: str
    run: Callable[[Doors], Awaitable[Finding]]
    every: timedelta = timedelta(minutes=5)
    missing: str = ""
