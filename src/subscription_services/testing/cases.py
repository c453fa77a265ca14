"""A case for each operation: who is allowed and who is refused. The architecture tests run every one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from subscription_services.kernel.actors import Actor

if TYPE_CHECKING:
    from .world import World

Act = tuple[Actor, msgspec.Struct]


@dataclass(frozen=True, slots=True)
class Case:
    """`allow` and `deny` set up what they need in the world and return the actor and the request to try.

    The test performs both: the first must succeed and leave an event of outcome success (unless the operation is not
    audited), the second must raise and leave one of refused or failed. `deny=None` only for Public operations.
    """

    operation: str
    allow: Callable[[World], Act]
    deny: Callable[[World], Act] | None
